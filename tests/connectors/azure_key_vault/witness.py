"""A witness at the vault: every call and every other writer's doing, in order, and what was true.

The connector sees answers only, and some of them lie. The witness sits in the emulator's fault
programme, which every call passes, so it knows what each call found, what it left, and whether
it was told the truth.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import pairwise
from typing import Final, Literal

from app.deployment.connector import Held
from app.deployment.model import Deployment, State
from app.emulator import Answer, Fault, ForgetTags, StaleRead, StoredVersion
from app.emulator.effects import NOTHING, Effects
from app.emulator.faults import Programme
from app.emulator.stored import Entry
from tests.connectors.azure_key_vault.playground import (
    NAME,
    Crashed,
    Happening,
    Playground,
    Run,
)

OTHERS: Final = "others"
_LOOK: Final = "get_certificate"
_NONE: Final = "CertificateNotFound"
_BEGIN: Final = State.SNAPSHOTTING


@dataclass(frozen=True, kw_only=True)
class Moment:
    """A call, or somebody else's doing, with what was there before and after it."""

    what: str
    state: State  # saved last
    status: int
    effects: Effects
    before: Entry | None
    after: Entry | None
    made: tuple[StoredVersion, ...]

    @property
    def current(self) -> StoredVersion | None:
        """What is current after it."""
        return self.after.latest if self.after else None

    @property
    def looked(self) -> bool:
        """Whether it is a look at what is current, with an answer that says it."""
        told = self.effects.end(applied=False)
        if self.what != _LOOK or told is None:
            return self.what == _LOOK and self.status in {200, 404}
        return isinstance(told, Answer) and told.code == _NONE

    @property
    def stale(self) -> bool:
        return self.effects.has(StaleRead)

    @property
    def shown(self) -> StoredVersion | None:
        """What such a look showed as current."""
        return self.shown_entry.latest if self.shown_entry else None

    @property
    def shown_entry(self) -> Entry | None:
        lied = self.effects.end(applied=False) is not None
        entry = self.before.before if self.stale and self.before else self.before
        return None if lied else entry

    @property
    def ours(self) -> StoredVersion | None:
        """The version that a call of ours made; what came with it is another writer's."""
        return self.made[0] if self.what == "import" and self.made else None

    @property
    def forgot_tags(self) -> bool:
        return self.effects.has(ForgetTags)


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A deployment, seen from outside: what it said at each step, and what was true."""

    begun: Deployment
    since: datetime
    saved: tuple[Deployment, ...]
    final: Deployment
    lives: int  # how often the process was started
    moments: tuple[Moment, ...]
    now: StoredVersion | None  # what is current at its end

    def made(self, *states: State) -> list[StoredVersion]:
        """The versions it made in *states*."""
        return [one.ours for one in self.moments if one.ours and one.state in states]

    @property
    def crashed(self) -> bool:
        return self.lives > 1

    @property
    def last_look(self) -> Moment | None:
        return next((one for one in reversed(self.moments) if one.looked), None)


@dataclass(frozen=True, kw_only=True)
class Crash:
    """The process dies right before or right after a state is saved, and starts again."""

    state: State
    when: Literal["before", "after"]


class Witness(Programme):
    """The emulator's fault programme, and what passed it."""

    def __init__(self, play: Playground) -> None:
        super().__init__()
        self._play = play
        self._state = _BEGIN
        self._marks: list[_Mark] = []
        self._calls_before = 0

    def take(self, operation: str, vault: str | None, name: str | None) -> Effects:
        effects = super().take(operation, vault, name)
        self._mark(operation, effects)
        return effects

    async def watch(
        self,
        begun: Deployment,
        held: Held,
        *,
        at: Mapping[State, Sequence[Happening]],
        dies: Sequence[Crash] = (),
        meanwhile: Sequence[Happening] = (),
    ) -> Seen:
        """Run *begun* to its end, however often the process *dies*.

        *at* says what happens once a state was saved, or at the start; *meanwhile* what happens
        while a process that died is down.
        """
        self._state, self._calls_before = _BEGIN, len(self._calls())
        self._marks.clear()
        await self._happen(at.get(_BEGIN, ()))
        since = self._play.now()
        runs: list[Run] = []
        for crash in (*dies, None):
            reached = runs[-1].final if runs else begun
            happen = self._hooks(at, crash)
            runs.append(await self._play.run(reached, held, at=happen, dies=_dying(crash)))
            if runs[-1].final.final:
                break
            await self._happen(meanwhile)
            held = Held()
        return Seen(
            begun=begun,
            since=since,
            saved=tuple(one for run in runs for one in run.saved),
            final=runs[-1].final,
            lives=len(runs),
            moments=tuple(self._moments()),
            now=self._play.vault.latest(NAME),
        )

    def _hooks(
        self, at: Mapping[State, Sequence[Happening]], crash: Crash | None
    ) -> dict[State, list[Happening]]:
        async def reached(state: State) -> None:
            self._state = state
            await self._happen(at.get(state, ()))
            if crash == Crash(state=state, when="after"):
                raise Crashed

        return {state: [partial(reached, state)] for state in State}

    async def _happen(self, happenings: Sequence[Happening]) -> None:
        for one in happenings:
            if not isinstance(one, Fault):
                self._mark(OTHERS, NOTHING)
            await self._play.happen([one])

    def _moments(self) -> Iterator[Moment]:
        self._mark("the end", NOTHING)
        statuses = iter(self._calls()[self._calls_before :])
        for mark, then in pairwise(self._marks):
            yield Moment(
                what=mark.what,
                state=mark.state,
                status=0 if mark.what == OTHERS else next(statuses),
                effects=mark.effects,
                before=mark.entry,
                after=then.entry,
                made=tuple(then.versions[id_] for id_ in then.versions if id_ not in mark.versions),
            )

    def _mark(self, what: str, effects: Effects) -> None:
        vault = self._play.vault
        with vault.lock:
            entry, gone = vault.entries.get(NAME), vault.deleted.get(NAME)
        both = (entry, gone.entry if gone else None)
        versions = {one.version: one for entry_ in both if entry_ for one in entry_.versions}
        self._marks.append(
            _Mark(what=what, state=self._state, effects=effects, entry=entry, versions=versions)
        )

    def _calls(self) -> list[int]:
        """The status of every call that reached the programme, in its order."""
        return [one.status for one in self._play.emulator.calls if one.operation != "challenge"]


@dataclass(frozen=True, kw_only=True)
class _Mark:
    what: str
    state: State
    effects: Effects
    entry: Entry | None
    versions: Mapping[str, StoredVersion]


def _dying(crash: Crash | None) -> Callable[[Deployment], bool]:
    return lambda reached: crash == Crash(state=reached.state, when="before")


@contextmanager
def witnessing(play: Playground) -> Iterator[Witness]:
    """A witness at the vault of *play*, until the block ends."""
    state = play.emulator.state
    before, state.faults = state.faults, Witness(play)
    try:
        yield state.faults
    finally:
        state.faults = before
