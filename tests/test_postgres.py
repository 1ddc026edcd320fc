"""The PostgreSQL of the tests can be relied on."""

import psycopg
import pytest

from tests.postgres import Postgres


def test_every_test_has_an_empty_database(postgres_url: str, postgres: Postgres) -> None:
    with postgres.database() as other, psycopg.connect(other) as connection:
        connection.execute("CREATE TABLE mine (id TEXT)")
    with psycopg.connect(postgres_url) as connection:
        found = connection.execute("SELECT 1 FROM pg_tables WHERE tablename = 'mine'").fetchall()

    assert found == []


def test_what_was_committed_is_there_after_an_outage(postgres: Postgres, postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        connection.execute("CREATE TABLE kept (id TEXT)")

    with postgres.away(), pytest.raises(psycopg.OperationalError):
        psycopg.connect(postgres_url)

    with psycopg.connect(postgres_url) as connection:
        assert connection.execute("SELECT * FROM kept").fetchall() == []
