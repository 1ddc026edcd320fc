"""A vault that many use, and deployments into it: whatever comes together, every promise holds.

Other writers, administrators, denials, time, and deployments with up to three troubles each come
in any order that hypothesis thinks of. In the suite the same few hundred stories are tried each
time; this looks for new ones, from a random seed, for as long as it is let:

    python -m pytest tests/connectors/azure_key_vault/test_machine.py \
        --hypothesis-profile=deep --timeout=0

What it finds becomes a scenario of its own in `test_found`.
"""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from functools import partial
from typing import Any, Final, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from app.deployment.connector import Held
from app.deployment.model import Insist, State
from app.emulator import Emulator
from app.emulator.access import By
from app.emulator.material import PEM, PFX
from app.errors import TargetError
from tests import certificates
from tests.certificates import NOW, Issued
from tests.conftest import Clock
from tests.connectors.azure_key_vault.doings import (
    ADMINISTRATORS,
    IMPORT,
    LATE,
    READ,
    SECRET,
    STRANGER,
    WRITERS,
    Stage,
)
from tests.connectors.azure_key_vault.playground import AT_ONCE, NAME, opened
from tests.connectors.azure_key_vault.proving import proving
from tests.connectors.azure_key_vault.troubles import TROUBLES, Trouble

QUICK: Final = settings(
    derandomize=True,
    max_examples=150,
    stateful_step_count=10,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
CA: Final = certificates.authority()
_FIRST: Final = CA.issue()
ISSUED: Final[Mapping[str, Issued]] = {
    "first": _FIRST,
    "second": CA.issue(),
    "first-renewed": CA.issue(key=_FIRST.key),
    "soon-expired": CA.issue(days=1 / 60),
    "self-signed": certificates.self_signed("self.example", days=90),
    "of-a-stranger": STRANGER.issue(),
    "rsa": certificates.authority("RSA", rsa=True).issue(key=certificates.rsa_key()),
}
TAGS: Final[Mapping[str, dict[str, str] | None]] = {
    "none": None,
    "some": {"owner": "web"},
    "as-many-as-fit": {f"tag-{number}": "x" for number in range(15)},
}
MEANWHILE: Final = {**WRITERS, **LATE, **ADMINISTRATORS}
certificate = st.sampled_from(sorted(ISSUED))

_Came = TypeVar("_Came")


class SharedVault(RuleBasedStateMachine):
    """The vault, all who use it, and us."""

    def __init__(self, emulator: Emulator, ca_bundle: str, runner: asyncio.Runner) -> None:
        super().__init__()
        self._runner = runner
        self._open = AsyncExitStack()
        self._opened = partial(opened, emulator, ca_bundle=ca_bundle, now=Clock(NOW))
        emulator.reset()

    @initialize(
        down=st.sampled_from([(), (0, 0)]),
        read_previous_secret=st.sampled_from(["always", "never"]),
    )
    def opens(self, down: tuple[float, ...], read_previous_secret: str) -> None:
        opening = self._opened(
            patience=replace(AT_ONCE, down=down), read_previous_secret=read_previous_secret
        )
        self.play = self._run(self._open.enter_async_context(opening))
        self.proves = self._open.enter_context(proving(self.play))

    def teardown(self) -> None:
        self._run(self._open.aclose())

    @rule(
        name=certificate,
        troubles=st.lists(st.sampled_from(TROUBLES), max_size=3, unique_by=lambda one: one.id),
        spoiled=st.booleans(),
        meanwhile=st.lists(st.sampled_from(sorted(MEANWHILE)), max_size=1),
        asks=st.fixed_dictionaries(
            {
                "force": st.booleans(),
                "insist": st.sampled_from(Insist),
                "config": st.sampled_from([{}, {"tags": {}}]),
            }
        ),
        previous_key=st.sampled_from([None, *sorted(ISSUED)]),
    )
    def deploys(
        self,
        name: str,
        troubles: Sequence[Trouble],
        spoiled: bool,  # noqa: FBT001 - hypothesis hands it over by name
        meanwhile: Sequence[str],
        asks: dict[str, Any],
        previous_key: str | None,
    ) -> None:
        stage = self._stage(name)
        self._run(
            self.proves.deploy(
                stage,
                troubles,
                spoiled=spoiled,
                meanwhile=[partial(MEANWHILE[one], stage) for one in meanwhile],
                previous_key=ISSUED[previous_key] if previous_key else None,
                **asks,
            )
        )

    @rule(name=certificate)
    def deploys_twice(self, name: str) -> None:
        """What succeeded and is deployed again without any trouble is left as it is."""
        stage = self._stage(name)
        once = self._run(self.proves.deploy(stage))
        again = self._run(self.proves.deploy(stage))

        if once.final.state is State.SUCCEEDED:
            assert again.final.state is State.UNCHANGED

    @rule(name=certificate)
    def is_asked(self, name: str) -> None:
        """A plan and a question change nothing."""
        before = self.play.emulator.writes
        self._run(self._asks(self._stage(name)))

        assert self.play.emulator.writes == before

    @rule(
        name=certificate,
        content_type=st.sampled_from([PFX, PEM, None]),
        tags=st.sampled_from(sorted(TAGS)),
        keeps_tags=st.booleans(),
    )
    def another_writes(
        self,
        name: str,
        content_type: str | None,
        tags: str,
        keeps_tags: bool,  # noqa: FBT001 - likewise
    ) -> None:
        self._stage(name).writes(
            ISSUED[name], content_type=content_type, tags=TAGS[tags], keeps_tags=keeps_tags
        )

    @rule(doing=st.sampled_from(sorted(ADMINISTRATORS)))
    def administrator_acts(self, doing: str) -> None:
        ADMINISTRATORS[doing](self._stage("first"))

    @rule()
    def becomes_usable_again(self) -> None:
        vault = self.play.vault
        vault.clear_pending(NAME)
        if NAME in vault.deleted:
            vault.recover(NAME)
        self._stage("first").changes(enabled=True)

    @rule()
    def becomes_not_exportable(self) -> None:
        self._stage("first").sets_policy(key_props={"exportable": False})

    @rule(action=st.sampled_from([READ, IMPORT, SECRET]), by=st.sampled_from(["rbac", "policy"]))
    def right_is_taken(self, action: str, by: By) -> None:
        self._stage("first").denies(action, by)

    @rule()
    def rights_are_given(self) -> None:
        self.play.emulator.allow_all()

    def _stage(self, name: str) -> Stage:
        latest = self.play.vault.latest(NAME)
        served = (one for one in ISSUED.values() if latest and one.leaf == latest.certificate)
        return Stage(play=self.play, new=ISSUED[name], old=next(served, ISSUED["second"]))

    async def _asks(self, stage: Stage) -> None:
        connector, waiting = self.play.connector, self.play.deployment(stage.new)
        held = Held(stage.new.bundle())
        questions = (
            connector.snapshot(waiting, held),
            connector.conflict(waiting.target),
            connector.served(waiting.target),
        )
        for question in questions:
            with suppress(TargetError):
                await question
        held.drop()

    def _run(self, coming: Coroutine[Any, Any, _Came]) -> _Came:
        return self._runner.run(coming)


@pytest.mark.timeout(600)  # half a minute, on a machine that has nothing else to do
def test_every_promise_holds_in_a_vault_that_many_use(running: Emulator, ca_bundle: str) -> None:
    deep = settings.get_current_profile_name() == "deep"
    with asyncio.Runner() as runner:
        run_state_machine_as_test(
            lambda: SharedVault(running, ca_bundle, runner),  # type: ignore[arg-type] # any factory will do, its text says
            settings=settings() if deep else QUICK,
        )
    running.reset()
