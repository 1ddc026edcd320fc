"""`python -m tests.bench.memory`: whether the memory of the service grows with what it has done.

One process, its record in a file, or two replicas on PostgreSQL; EC keys, no limits of vaults,
and every deployment to a name of its own. Resident memory is read when all that was handed in has
ended; of two replicas, that of the larger one.
"""

import argparse
import asyncio
import base64
import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Final

import uvloop

from app import main
from tests.bench import machine, material
from tests.bench.cluster import Cluster, cluster
from tests.bench.material import KINDS, Material
from tests.bench.service import Service, service
from tests.postgres import running as postgresql

_KIND: Final = "EC P-256"
_LEAVES: Final = 60
_SIDE_BY_SIDE: Final = 64


def measure(counts: Sequence[int], *, replicas: bool) -> Iterator[float]:
    """MB after each of *counts* deployments, in all; of a pair of *replicas*, or of one process."""
    made = material.make({kind: _LEAVES if kind == _KIND else 0 for kind in KINDS})
    with ExitStack() as stack:
        postgres = stack.enter_context(postgresql()) if replicas else None  # on all cores
        mine, others = machine.cores()
        machine.hold(os.getpid(), others)
        runner = stack.enter_context(asyncio.Runner(loop_factory=uvloop.new_event_loop))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stub = stack.enter_context(machine.child("tests.bench.stub", others, main.inherited()))
        before = base64.b64encode(made.before).decode()
        port = stub.ask({"ca": str(folder / "ca.pem"), "before": before, "delay_s": 0})["port"]
        running: Service | Cluster
        if postgres is None:
            running = stack.enter_context(service(folder, port, mine))
            processes = [running]
        else:
            running = stack.enter_context(cluster(folder, port, (mine, others), postgres))
            processes = list(running.replicas)
        for first, last in pairwise((0, *counts)):
            runner.run(running.closed(_bodies(made, first, last), (), _SIDE_BY_SIDE))
            yield max(machine.memory_mb(one.pid) for one in processes)


def _bodies(made: Material, first: int, last: int) -> Sequence[bytes]:
    return [made.request(f"bench-{number}", _KIND, number) for number in range(first, last)]


def run() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.memory", description=__doc__)
    parser.add_argument(
        "counts", type=int, nargs="*", default=[1_000, 5_000, 10_000, 20_000], metavar="DEPLOYMENTS"
    )
    parser.add_argument("--replicas", action="store_true", help="two replicas on PostgreSQL")
    chosen = parser.parse_args()
    counts = chosen.counts
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that all processes end with us
    first = None
    for count, megabytes in zip(counts, measure(counts, replicas=chosen.replicas), strict=True):
        first = megabytes if first is None else first
        sys.stdout.write(f"{count:>7} deployments: {megabytes:6.1f} MB, {megabytes / first:.2f}\n")
        sys.stdout.flush()
    sys.stdout.write("Flat is up to 1.10 from 1,000 to 20,000 deployments.\n")
    return 0


if __name__ == "__main__":
    sys.exit(run())
