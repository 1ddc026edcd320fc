"""What every measurement stands on: an event loop, a folder, cores to run on, and PostgreSQL."""

import asyncio
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvloop

from tests.bench import machine
from tests.bench.cluster import Cluster, cluster
from tests.bench.service import NO_SETTINGS, Service, service
from tests.postgres import Postgres, running


@dataclass(frozen=True, kw_only=True)
class Ground:
    """All of it.

    Args:
        runner: the event loop that loads the service.
        folder: gone at the end.
        cores: of what is measured, and of all else.
        postgres: it waits for the disk.
    """

    runner: asyncio.Runner
    folder: Path
    cores: tuple[set[int], set[int]]
    postgres: Postgres

    def started(
        self,
        folder: Path,
        vault_port: int,
        settings: Mapping[str, str] = NO_SETTINGS,
        *,
        replicas: bool,
    ) -> AbstractContextManager[Service | Cluster]:
        """One process with its record in a file, or two *replicas*, while the block runs.

        Args:
            folder: the vaults' CA is in it as `ca.pem`.
            vault_port: where Key Vault and login are.
            settings: what they are told besides.
            replicas: whether it is two of them, on PostgreSQL.
        """
        if replicas:
            return cluster(folder, vault_port, self.cores, self.postgres, settings)
        return service(folder, vault_port, self.cores[0], settings=settings)

    def new_folder(self) -> Path:
        """For the CA of one more Key Vault."""
        return Path(tempfile.mkdtemp(dir=self.folder))


@contextmanager
def ground() -> Iterator[Ground]:
    """Hold this process to the cores of what is not measured, until the end of it."""
    with (
        running(durable=True) as postgres,  # on all cores, so before the next
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        tempfile.TemporaryDirectory() as folder,
    ):
        cores = machine.cores()
        machine.hold(os.getpid(), cores[1])
        yield Ground(runner=runner, folder=Path(folder), cores=cores, postgres=postgres)
