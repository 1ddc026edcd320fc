"""Everything that is said while a deployment runs: logs at their loudest, and every exception."""

import logging
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar, cast

from app.connectors.azure_key_vault.connector import AzureKeyVault
from app.deployment.connector import Held, Proof, Standing
from app.deployment.model import Deployment
from tests.connectors.azure_key_vault.playground import Playground

_Answer = TypeVar("_Answer")
# "" is the root; what the service keeps quiet speaks up, and the emulator's server does not count
_LOUD: Final = ("", "azure", "aiohttp", "msal", "asyncio")
_LOUDNESS: Final = {**dict.fromkeys(_LOUD, logging.DEBUG), "uvicorn": logging.ERROR}


class Overheard(logging.Handler):
    """The connector, and all that is said around it."""

    def __init__(self, connector: AzureKeyVault) -> None:
        super().__init__(logging.DEBUG)
        self._connector = connector
        self._said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self._said.append(self.format(record))

    def taken(self) -> str:
        """What was said since the last time."""
        said, self._said = self._said, []
        return "\n".join(said)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the connector has
        return getattr(self._connector, name)

    async def snapshot(self, deployment: Deployment, held: Held) -> Standing:
        return await self._heard(self._connector.snapshot(deployment, held))

    async def import_certificate(self, deployment: Deployment, held: Held) -> str:
        return await self._heard(self._connector.import_certificate(deployment, held))

    async def verify(self, deployment: Deployment) -> Proof:
        return await self._heard(self._connector.verify(deployment))

    async def roll_back(self, deployment: Deployment, held: Held) -> str | None:
        return await self._heard(self._connector.roll_back(deployment, held))

    async def _heard(self, step: Awaitable[_Answer]) -> _Answer:
        try:
            return await step
        except Exception as error:
            self._said.extend(_chain(error))
            raise


def _chain(error: BaseException | None) -> Iterator[str]:
    """The texts of an exception and of all below it."""
    while error is not None:
        yield f"{error!r} {error} {error.args!r}"
        assert error.__cause__ is not error, "an exception that says it caused itself"
        error = error.__cause__ or error.__context__


@contextmanager
def overhearing(play: Playground) -> Iterator[Overheard]:
    """Listen to *play* until the block ends."""
    root, connector, heard = logging.getLogger(), play.connector, Overheard(play.connector)
    others, levels = root.handlers, {name: logging.getLogger(name).level for name in _LOUDNESS}
    play.connector = cast(AzureKeyVault, heard)
    root.handlers = [heard]  # and nobody else, who would keep it all
    for name, level in _LOUDNESS.items():
        logging.getLogger(name).setLevel(level)
    try:
        yield heard
    finally:
        root.handlers = others
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        play.connector = connector
