"""A connection to PostgreSQL that is lost, or stands still, in the middle of what it was doing."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

import psycopg
import pytest

from app import errors
from app.store import Store
from app.store.address import Address
from app.store.impatient import Silent
from app.store.postgres import Connection
from app.store.transaction import Transaction
from app.store.writer import Writer
from tests.postgres import Postgres
from tests.store.builders import accepted, at

PUT = "INSERT INTO meta (name, value) VALUES (?, '')"


@contextmanager
def _aside(url: str) -> Iterator[psycopg.Connection]:
    """Another connection to the same database."""
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


def _names(url: str) -> set[str]:
    with _aside(url) as connection:
        rows = connection.execute("SELECT name FROM meta WHERE value = ''").fetchall()
    return {name for (name,) in rows}


def _cut(url: str, pid: int) -> None:
    with _aside(url) as connection:
        connection.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))


@pytest.fixture(name="connection")
def _connection(database_url: str) -> Connection:
    return Connection(Address.of(database_url, patience=5).connect)


@pytest.fixture(name="writer")
async def _writer(connection: Connection) -> Writer:
    return Writer(connection, asyncio.get_running_loop())


async def test_a_connection_lost_within_a_commit_leaves_nothing_of_it(
    writer: Writer, connection: Connection, database_url: str
) -> None:
    def put(name: str, *, cut: bool = False) -> asyncio.Future[None]:
        def work(transaction: Transaction) -> None:
            transaction.execute(PUT, (f"{name} 1",))
            if cut:
                _cut(database_url, connection.pid)
            transaction.execute(PUT, (f"{name} 2",))
            transaction.later(PUT, (f"{name} 3",))

        return writer.submit(work)

    told = await asyncio.gather(put("a"), put("b", cut=True), put("c"), return_exceptions=True)
    await put("d")

    lost = [type(each) for each in told]
    assert errors.StoreUnavailable in lost
    kept = {name for name, each in zip("abc", told, strict=True) if each is None} | {"d"}
    assert _names(database_url) == {f"{name} {number}" for name in kept for number in (1, 2, 3)}
    await writer.aclose()


def test_a_transaction_is_never_carried_on_over_another_connection(
    connection: Connection, database_url: str
) -> None:
    connection.begin()
    connection.execute(PUT, ("first",))
    _cut(database_url, connection.pid)

    for _ in range(2):
        with pytest.raises(psycopg.OperationalError):
            connection.execute(PUT, ("second",))
    with pytest.raises(psycopg.OperationalError):
        connection.rollback()

    connection.begin()
    connection.execute(PUT, ("third",))
    connection.commit()
    assert _names(database_url) == {"third"}
    connection.close()


def test_a_question_over_a_connection_that_was_lost_is_asked_again(
    connection: Connection, database_url: str
) -> None:
    _cut(database_url, connection.pid)

    assert connection.execute("SELECT 1").fetchone() == (1,)
    connection.close()


def test_a_question_that_was_given_up_is_not_asked_again(
    database_url: str, postgres: Postgres
) -> None:
    connection = Connection(Address.of(database_url, patience=0.2).connect)
    with postgres.standing_still():
        began = monotonic()
        with pytest.raises(Silent):
            connection.execute("SELECT 1")
        assert monotonic() - began < 2  # in which a new connection would have been given up

    assert connection.execute("SELECT 1").fetchone() == (1,)
    connection.close()


async def test_what_another_process_holds_up_is_given_up_in_time_and_goes_on_afterwards(
    database_url: str,
) -> None:
    store = await Store.open(database_url, now=lambda: at(0), patience=0.2)
    made = await accepted(store, 1)
    with _aside(database_url) as other, other.transaction():
        other.execute("SELECT 1 FROM deployments FOR UPDATE")

        with pytest.raises(errors.StoreUnavailable) as refusal:
            await store.claim(made.id, "one")

    assert isinstance(refusal.value.__cause__, psycopg.errors.QueryCanceled)
    assert await store.claim(made.id, "one") == made
    await store.aclose()


async def test_a_process_that_stands_still_holds_up_the_others_for_a_while_only(
    database_url: str,
) -> None:
    store = await Store.open(database_url, now=lambda: at(0))
    made = await accepted(store, 1)
    frozen = Connection(Address.of(database_url, patience=0.2).connect)
    frozen.begin()
    frozen.execute("UPDATE deployments SET runner = 'frozen'")

    assert await store.claim(made.id, "one") == made

    with pytest.raises(psycopg.errors.IdleInTransactionSessionTimeout):
        frozen.commit()
    frozen.close()
    await store.aclose()
