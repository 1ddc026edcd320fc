"""The contract's ground for Azure Key Vault."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from app.connectors.azure_key_vault.connector import AzureKeyVault
from app.deployment.model import Deployment
from app.emulator import Drop, Emulator, Fault
from tests.certificates import Issued
from tests.conftest import Clock
from tests.connectors.azure_key_vault.playground import NAME, Playground, opened, serves
from tests.connectors.contract import Ground


class KeyVaultGround:
    def __init__(self, playground: Playground) -> None:
        self._playground = playground

    @property
    def connector(self) -> AzureKeyVault:
        return self._playground.connector

    def deployment(self, issued: Issued, **changes: Any) -> Deployment:  # noqa: ANN401 - the fields of Deployment
        return self._playground.deployment(issued, **changes)

    def written(self, issued: Issued) -> None:
        self._playground.store(issued)

    def unreachable(self) -> None:
        cut = Fault(operation="any", effect=Drop(), count=None)
        self._playground.emulator.faults.add(cut)

    def history(self) -> Sequence[object]:
        return self._playground.vault.versions(NAME)

    def serves(self, issued: Issued) -> bool:
        return serves(self._playground.vault, issued)


@asynccontextmanager
async def ground(*, emulator: Emulator, ca_bundle: str, now: Clock) -> AsyncIterator[Ground]:
    async with opened(emulator, ca_bundle=ca_bundle, now=now) as playground:
        yield KeyVaultGround(playground)
