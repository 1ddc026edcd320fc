"""PostgreSQL over TLS: the service trusts the database that its CA vouches for, and no other.

The tests' PostgreSQL is built without TLS, so it gets a front that begins TLS as the protocol says.
https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-SSL
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

import pytest
from psycopg import conninfo

from app.sealing import new_sealing_key
from tests.certificates import Authority, Issued, authority
from tests.service.processes import DEPLOY, Home, body

NAME: Final = "db.example.test"
_SSL_REQUEST: Final = bytes.fromhex("0000000804d2162f")
_AT_MOST: Final = 65_536


@asynccontextmanager
async def fronted(url: str, served: Issued, folder: Path) -> AsyncIterator[str]:
    """The address of a front that takes nothing but TLS, for the database at *url*."""
    known = conninfo.conninfo_to_dict(url)
    carry = partial(_carry, Path(str(known["host"])) / ".s.PGSQL.5432", _context(served, folder))
    async with await asyncio.start_server(carry, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        there = f"{NAME}:{port}/{known['dbname']}?hostaddr=127.0.0.1"
        yield f"postgresql://{known['user']}:hunter2@{there}"


def _context(served: Issued, folder: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    (folder / "server.pem").write_text(served.key_pem + served.cert_pem + served.chain_pem)
    context.load_cert_chain(folder / "server.pem")
    return context


async def _carry(
    there: Path,
    context: ssl.SSLContext,
    client: asyncio.StreamReader,
    back: asyncio.StreamWriter,
) -> None:
    with contextlib.closing(back):
        if await client.read(_AT_MOST) != _SSL_REQUEST:
            return
        back.write(b"S")
        with contextlib.suppress(ssl.SSLError, ConnectionError):  # the client says why by itself
            await back.start_tls(context)
            await _hand_on(there, client, back)


async def _hand_on(there: Path, client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
    answers, server = await asyncio.open_unix_connection(there)
    ways = ((client, server), (answers, back))
    tasks = [asyncio.create_task(_one_way(*way)) for way in ways]
    with contextlib.closing(server):
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()


async def _one_way(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while octets := await reader.read(_AT_MOST):
        writer.write(octets)


@pytest.fixture(autouse=True)
def _told_as_by_the_chart(home: Home, ca: Authority) -> None:
    (home.folder / "ours.pem").write_text(ca.root.cert_pem)
    (home.folder / "another.pem").write_text(authority("Another").root.cert_pem)
    home.also = {"PGSSLMODE": "verify-full", "PGSSLROOTCERT": "ours.pem"}


async def test_what_the_environment_says_holds_for_every_connection_of_a_replica(
    home: Home, ca: Authority, postgres_url: str
) -> None:
    queue = {"QUEUE__MODE": "postgres", "QUEUE__SEALING_KEYS": new_sealing_key()}

    def deployed(url: str) -> str:
        with home.service(STORE__URL=url, **queue) as (_, http):
            answer = http.post(DEPLOY, json=body(ca.issue()), headers={"Prefer": "wait=60"})
        return str(answer.json()["state"])

    async with fronted(postgres_url, ca.issue(NAME), home.folder) as url:
        code, log = await asyncio.to_thread(home.run, "migrate", STORE__URL=url)
        assert code == 0, log
        assert await asyncio.to_thread(deployed, url) == "succeeded"


async def test_what_the_address_says_holds_without_the_environment(
    home: Home, ca: Authority, postgres_url: str
) -> None:
    home.also = {}

    async with fronted(postgres_url, ca.issue(NAME), home.folder) as url:
        given = f"{url}&sslmode=verify-full&sslrootcert="
        trusting, _ = await asyncio.to_thread(home.run, "migrate", STORE__URL=f"{given}ours.pem")
        _, log = await asyncio.to_thread(home.run, "migrate", STORE__URL=f"{given}another.pem")

    assert trusting == 0
    assert "certificate verify failed" in log


@pytest.mark.parametrize(
    ("name", "bundle", "sentence"),
    [
        pytest.param(NAME, "another.pem", "certificate verify failed", id="another-ca"),
        pytest.param("other.test", "ours.pem", "does not match host name", id="another-name"),
        pytest.param(NAME, "missing.pem", 'missing.pem" does not exist', id="no-ca"),
    ],
)
async def test_a_database_that_cannot_be_trusted_is_refused_with_a_sentence_that_says_why(
    home: Home, ca: Authority, postgres_url: str, name: str, bundle: str, sentence: str
) -> None:
    home.also["PGSSLROOTCERT"] = bundle

    async with fronted(postgres_url, ca.issue(name), home.folder) as url:
        code, log = await asyncio.to_thread(home.run, "migrate", STORE__URL=url)

    assert code == 1
    assert sentence in log
    assert "Traceback" not in log
    assert "hunter2" not in log
