"""Three replicas on one PostgreSQL in a storm: all that may fail does, and every promise is kept.

`--chaos-seed` makes the same storm again, and `--chaos-seconds` a longer one.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

import httpx
import pytest

from app.deployment.model import State
from app.emulator import Emulator
from app.sealing import new_sealing_key
from tests.certificates import Authority, Issued, ec_key
from tests.postgres import Postgres
from tests.service.chaos.gathering import gathered
from tests.service.chaos.judge import Evidence, faults
from tests.service.chaos.load import Caller, Client, connected, deploying
from tests.service.chaos.replicas import Replica, replicas
from tests.service.chaos.storm import Storm, dice, weather
from tests.service.processes import Home
from tests.service.test_service import SecretKey, traces

pytestmark = pytest.mark.timeout(600)  # the first test waits for the storm

_REPLICAS: Final = 3
_TARGETS: Final = [
    {"vault_url": f"https://{vault}.vault.azure.net", "certificate_name": name}
    for vault in ("chaos-a", "chaos-b", "chaos-c")
    for name in ("api", "web", "mail", "shop")
]
_CERTIFICATES: Final = 4  # for each target, so that one may come twice in a row
_CALM_S: Final = 5  # with load and faults, after the last kill
_QUIET_S: Final = 120  # an import that a crash cut off is looked for half a minute


@dataclass(frozen=True, kw_only=True)
class After:
    """What a storm left."""

    evidence: Evidence
    keys: Sequence[SecretKey]
    logs: Sequence[str]
    codes: Sequence[int]  # with which the replicas ended

    def said(self, *events: str) -> list[str]:
        """The lines of the logs that tell one of *events*."""
        lines = (line for log in self.logs for line in log.splitlines())
        return [line for line in lines if any(f'"{event}"' in line for event in events)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The id of a test tells how its storm is made again."""
    seconds, seed = (metafunc.config.getoption(f"chaos_{name}") for name in ("seconds", "seed"))
    told = f"--chaos-seconds={seconds} --chaos-seed={seed}"
    metafunc.parametrize("after", [(seconds, seed)], ids=[told], indirect=True, scope="module")


@pytest.fixture(name="after", scope="module")
def _after(
    request: pytest.FixtureRequest,
    emulator: Emulator,
    ca: Authority,
    postgres: Postgres,
    tmp_path_factory: pytest.TempPathFactory,
) -> After:
    seconds, seed = request.param
    home = Home(tmp_path_factory.mktemp("chaos"), emulator)
    keys = [ec_key() for _ in range(_CERTIFICATES * len(_TARGETS))]
    issued = [ca.issue(key=key) for key in keys]
    with ExitStack() as stack:
        url = stack.enter_context(postgres.database())
        changing = stack.enter_context(weather(emulator))
        http = stack.enter_context(connected(home.token))
        some = stack.enter_context(replicas(home, _settings(home, url), _REPLICAS))
        clients = list(_clients(some, http, issued, seed))
        with deploying(clients), changing.changing(dice(seed, "weather")):
            storm = Storm(some, changing, postgres, dice(seed, "kills"))
            storm.rage(seconds - _CALM_S, calm=_CALM_S)
        return After(
            evidence=gathered(
                Caller(some, http, dice(seed, "gathering")),
                emulator,
                url,
                accepted=frozenset(id_ for client in clients for id_ in client.accepted),
                lies=changing.lies,
                within=_QUIET_S,
            ),
            keys=keys,
            codes=[replica.stop() for replica in some],
            logs=[process.log for replica in some for process in replica.lives],
        )


def _settings(home: Home, url: str) -> dict[str, str]:
    """What the replicas share, with a database that is migrated."""
    settings = {
        "STORE__URL": url,
        "QUEUE__MODE": "postgres",
        "QUEUE__SEALING_KEYS": new_sealing_key(),
        "QUEUE__HEARTBEAT_S": "0.5",
        "QUEUE__TAKEOVER_S": "3",
        "LOG__LEVEL": "debug",
    }
    code, log = home.run("migrate", **settings)
    assert code == 0, log
    return settings


def _clients(
    some: Sequence[Replica], http: httpx.Client, issued: Sequence[Issued], seed: int
) -> Iterator[Client]:
    for number, target in enumerate(_TARGETS):
        random = dice(seed, f"client {number}")
        yield Client(Caller(some, http, random), target, issued[number :: len(_TARGETS)], random)


def test_every_accepted_deployment_ends_and_says_what_is_true(after: After) -> None:
    assert faults(after.evidence) == []


def test_nothing_goes_wrong_that_nobody_thought_of(after: After) -> None:
    assert after.said("worker.fault", "http.failed", "worker.not_opened") == []


def test_no_key_is_in_any_log(after: After) -> None:
    log = "".join(after.logs).encode()
    assert b"deployment.verified" in log, "the search must look where something is"

    assert not [trace for key in after.keys for trace in traces(key) if trace in log]
    assert b"certctl-connectors seal" not in log


def test_the_replicas_stop_with_grace_in_the_end(after: After) -> None:
    assert after.codes == [0] * _REPLICAS


def test_the_storm_was_one(after: After) -> None:
    ends = Counter(one.state for one in after.evidence.told.values())

    assert ends[State.SUCCEEDED] > 10
    assert len(after.logs) >= _REPLICAS + 2
    assert after.said("worker.taken_over")
    assert after.said("worker.queue_away", "store.not_listening")
