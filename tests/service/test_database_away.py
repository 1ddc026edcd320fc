"""A service whose PostgreSQL stands still, or is away: it says so, and can be stopped."""

import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from time import monotonic

import pytest

from app.sealing import new_sealing_key
from tests.certificates import Authority
from tests.postgres import Postgres
from tests.service.processes import DEPLOY, Home, body, held_up

_DRAIN_S = 1


@pytest.mark.parametrize(
    ("gone", "grace_s"),  # beyond the drain: the chart asks for ten
    [
        pytest.param(Postgres.standing_still, 10, id="still"),
        pytest.param(Postgres.away, 6, id="away"),
    ],
)
def test_a_service_says_that_its_database_does_not_answer_and_is_stopped_in_time(
    home: Home,
    ca: Authority,
    postgres: Postgres,
    postgres_url: str,
    gone: Callable[[Postgres], AbstractContextManager[None]],
    grace_s: float,
) -> None:
    settings = {
        "STORE__URL": postgres_url,
        "QUEUE__MODE": "postgres",
        "QUEUE__SEALING_KEYS": new_sealing_key(),
        "WORKER__DRAIN_S": str(_DRAIN_S),
    }
    code, log = home.run("migrate", **settings)
    assert code == 0, log
    home.emulator.faults.add(fault := held_up("get_certificate"))
    with home.service(**settings) as (process, http):
        taken = http.post(DEPLOY, json=body(ca.issue())).json()["id"]
        home.emulator.faults.wait_until_met(fault)
        with gone(postgres):
            with ThreadPoolExecutor() as pool:
                asked = [
                    pool.submit(http.get, f"/api/v1/deployments/{taken}"),
                    pool.submit(http.post, DEPLOY, json=body(ca.issue(), "another")),
                    pool.submit(http.get, "/ready"),
                ]
            answers = [each.result() for each in asked]
            process.signal(signal.SIGTERM)
            told = monotonic()
            code = process.wait()
            took = monotonic() - told

    assert [answer.status_code for answer in answers] == [503] * 3
    assert [answer.json()["code"] for answer in answers] == ["store-unavailable"] * 3
    assert all(int(answer.headers["Retry-After"]) > 0 for answer in answers)
    assert code == 0
    assert took < _DRAIN_S + grace_s
    assert "Traceback" not in process.log
