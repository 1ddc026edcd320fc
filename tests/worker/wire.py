"""The way to PostgreSQL, on which an answer can be lost, or a question can be late."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote

from psycopg import conninfo

_SOCKET: Final = ".s.PGSQL.5432"
_AT_MOST: Final = 65_536


class Wire:
    """Hands on what is asked and answered, but for the one that is to be lost or late.

    `lost` is set when that was cut off, `healed` lets a late question through, and `done` is set
    when PostgreSQL has answered it, to nobody.
    """

    def __init__(self, there: Path) -> None:
        self._there = there
        self._question: bytes | None = None
        self._late: bytes | None = None
        self.lost = asyncio.Event()
        self.healed = asyncio.Event()
        self.done = asyncio.Event()

    def lose(self, question: bytes) -> None:
        """Cut the next connection that asks this, once PostgreSQL has answered."""
        self._question = question

    def delay(self, question: bytes) -> None:
        """Cut the next connection that asks this; PostgreSQL hears it when all is `healed`."""
        self._late = question

    async def carry(self, client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        """Carry one connection until either side closes it."""
        answers, server = await asyncio.open_unix_connection(self._there)
        loses = asyncio.Event()
        both = [
            asyncio.create_task(self._ask(client, server, back, loses)),
            asyncio.create_task(self._answer(answers, back, loses)),
        ]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in both:
                task.cancel()
            server.close()
            back.close()

    async def _ask(
        self,
        client: asyncio.StreamReader,
        server: asyncio.StreamWriter,
        back: asyncio.StreamWriter,
        loses: asyncio.Event,
    ) -> None:
        while octets := await client.read(_AT_MOST):
            if self._question is not None and self._question in octets:
                self._question = None
                loses.set()
            if self._late is not None and self._late in octets:
                self._late = None
                loses.set()
                back.close()
                self.lost.set()
                await self.healed.wait()
                server.write(octets)
                await self.done.wait()
                return
            server.write(octets)

    async def _answer(
        self, answers: asyncio.StreamReader, back: asyncio.StreamWriter, loses: asyncio.Event
    ) -> None:
        while octets := await answers.read(_AT_MOST):
            if loses.is_set():
                self.lost.set()
                self.done.set()
                return
            back.write(octets)


@asynccontextmanager
async def wired(url: str, folder: Path) -> AsyncIterator[tuple[Wire, str]]:
    """A wire to the database at *url*, and the address by which it is taken."""
    known = conninfo.conninfo_to_dict(url)
    wire = Wire(Path(str(known["host"])) / _SOCKET)
    async with await asyncio.start_unix_server(wire.carry, folder / _SOCKET):
        yield wire, url.replace(quote(str(known["host"]), safe=""), quote(str(folder), safe=""))
