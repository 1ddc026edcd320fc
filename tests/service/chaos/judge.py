"""Judges what a storm left: what the record says of each deployment, and what the vaults hold.

Two rules keep this fair. A deployment that was lied to (a stale read) may take what it was shown
for true. And a rollback that failed says that a person must look, so it promises nothing.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby, pairwise
from typing import Final

from app.deployment.model import EXITS, FINAL, NEXT, State

_MAY_HAVE_LANDED: Final = {"verification-failed", "import-outcome-unknown", "deadline-exceeded"}
_LAWFUL: Final = {state: {*NEXT.get(state, ()), *EXITS.get(state, ())} for state in State}


@dataclass(frozen=True, kw_only=True)
class Made:
    """A version in a vault, and which deployment it says made it."""

    id: str
    thumbprint: str
    maker: str | None
    puts_back: bool = False


@dataclass(frozen=True, kw_only=True)
class Told:
    """What the record says of a deployment.

    `before` is the thumbprint in its snapshot, `names` the version that it says is served now.
    """

    id: str
    target: str
    thumbprint: str
    state: State
    created_at: datetime
    steps: Sequence[tuple[int, State]]
    audited: Sequence[State]
    started_at: datetime | None = None
    finished_at: datetime | None = None
    error: str | None = None
    before: str | None = None
    names: str | None = None


@dataclass(frozen=True, kw_only=True)
class Lie:
    """A stale read."""

    target: str
    at: datetime


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What is there at the end: of *accepted* ids, the record, the vaults, and the queue."""

    accepted: frozenset[str]
    told: Mapping[str, Told]
    made: Mapping[str, Sequence[Made]]
    lies: Sequence[Lie] = ()
    jobs: int = 0

    def ran(self, target: str) -> list[Told]:
        """The deployments that were started there, in this order."""
        there = [one for one in self.told.values() if one.target == target]
        started = [(one.started_at, one) for one in there if one.started_at is not None]
        return [one for _, one in sorted(started, key=lambda pair: pair[0])]

    def made_by(self, one: Told) -> list[Made]:
        """The versions that a deployment made."""
        return [version for version in self.made.get(one.target, ()) if version.maker == one.id]

    def named_by(self, one: Told) -> Made | None:
        """The version that a deployment says is served."""
        found = (each for each in self.made.get(one.target, ()) if each.id == one.names)
        return next(found, None)

    def lied_to(self, one: Told) -> bool:
        """Whether a look of a deployment was stale."""
        begun, ended = one.started_at, one.finished_at
        if begun is None or ended is None:
            return False
        return any(lie.target == one.target and begun <= lie.at <= ended for lie in self.lies)


def faults(evidence: Evidence) -> list[str]:
    """What is wrong, a sentence each; nothing, where every promise was kept."""
    found = [*_lost(evidence)]
    for one in evidence.told.values():
        wrong = (*_steps(one), *_imports(evidence, one), *_ENDS[one.state](evidence, one))
        found += [f"{one.id} at {one.target}, {one.state}, {text}" for text in wrong]
    for target in evidence.made.keys() | {one.target for one in evidence.told.values()}:
        found += [f"{target} {text}" for text in (*_order(evidence, target),)]
        found += [f"{target} {text}" for text in (*_serves(evidence, target),)]
    return found


def _lost(evidence: Evidence) -> Iterator[str]:
    for id_ in sorted(evidence.accepted - evidence.told.keys()):
        yield f"{id_} was accepted, and is not in the record"
    for id_ in sorted(evidence.told.keys() - evidence.accepted):
        if evidence.told[id_].state is not State.INTERRUPTED:  # after which a repeat is a new one
            yield f"{id_} is in the record, and its request was answered with another"
    if evidence.jobs:
        yield f"{evidence.jobs} jobs are left in the queue"


# ---- of each deployment


def _steps(one: Told) -> Iterator[str]:
    """Its steps lead lawfully from the first to the only final one, and are in the trail."""
    states = [state for _, state in one.steps]
    if [seq for seq, _ in one.steps] != list(range(1, len(states) + 1)):
        yield f"has steps with a gap: {one.steps}"
    lawful = all(after in _LAWFUL[before] for before, after in pairwise(states))
    if states[:1] != [State.QUEUED] or states[-1:] != [one.state] or not lawful:
        yield f"has steps against the law: {states}"
    if Counter(one.audited) != Counter(states):
        yield f"has other steps in the audit trail: {states}, not {one.audited}"


def _imports(evidence: Evidence, one: Told) -> Iterator[str]:
    back = Counter(version.puts_back for version in evidence.made_by(one))
    if (back[False] > 1 or back[True] > 1) and not evidence.lied_to(one):
        yield f"made {back[False]} versions and put back {back[True]}"


def _unfinished(_: Evidence, one: Told) -> Iterator[str]:
    yield "is not final"


def _succeeded(evidence: Evidence, one: Told) -> Iterator[str]:
    named = evidence.named_by(one)
    if named is None or (named.maker, named.thumbprint) != (one.id, one.thumbprint):
        yield f"names {named}"


def _unchanged(evidence: Evidence, one: Told) -> Iterator[str]:
    named = evidence.named_by(one)
    if named is None or named.thumbprint != one.thumbprint:
        yield f"names {named}"
    yield from _nothing(evidence, one)


def _rolled_back(evidence: Evidence, one: Told) -> Iterator[str]:
    named = evidence.named_by(one)
    if named is None or (named.maker, named.thumbprint) != (one.id, one.before):
        yield f"names {named} where {one.before} was before"


def _rollback_failed(_: Evidence, one: Told) -> Iterator[str]:
    if one.error is None:
        yield "does not say why"


def _failed(evidence: Evidence, one: Told) -> Iterator[str]:
    """Nothing was made, or the first under the name, and then the code says so."""
    if one.error in {None, "internal-error"}:
        yield f"says {one.error}"
    if one.before is not None or one.error not in _MAY_HAVE_LANDED:
        yield from _nothing(evidence, one)


def _superseded(evidence: Evidence, one: Told) -> Iterator[str]:
    if not evidence.lied_to(one):
        yield "saw another writer where there is none"


def _nothing(evidence: Evidence, one: Told) -> Iterator[str]:
    if (made := evidence.made_by(one)) and not evidence.lied_to(one):
        yield f"made {made}"


_ENDS: Final[Mapping[State, Callable[[Evidence, Told], Iterator[str]]]] = {
    **{state: _unfinished for state in State if state not in FINAL},
    State.SUCCEEDED: _succeeded,
    State.UNCHANGED: _unchanged,
    State.ROLLED_BACK: _rolled_back,
    State.ROLLBACK_FAILED: _rollback_failed,
    State.FAILED: _failed,
    State.SUPERSEDED: _superseded,
    State.INTERRUPTED: _nothing,
    State.CANCELLED: _nothing,
}


# ---- of each target


def _order(evidence: Evidence, target: str) -> Iterator[str]:
    """One at a time, in the order accepted, and so their versions."""
    ran = evidence.ran(target)
    for one, then in pairwise(ran):
        if one.created_at > then.created_at:
            yield f"ran {one.id} before {then.id}, which was accepted before"
        if one.finished_at is None or then.started_at is None or one.finished_at > then.started_at:
            yield f"ran {then.id} while {one.id} was not final"
    place = {one.id: number for number, one in enumerate(ran)}
    makers = [maker for maker, _ in groupby(each.maker for each in evidence.made.get(target, ()))]
    places = [place.get(maker or "", -1) for maker in makers]
    if places != sorted(set(places)) or -1 in places:
        yield f"has versions in another order, by {makers}"


def _serves(evidence: Evidence, target: str) -> Iterator[str]:
    """What is served is what the last deployment that changed it says."""
    changed = [one for one in evidence.ran(target) if evidence.made_by(one)]
    if not changed:
        return
    last, served = changed[-1], evidence.made[target][-1]
    says = {State.SUCCEEDED: last.thumbprint, State.ROLLED_BACK: last.before}
    if says.get(last.state, served.thumbprint) != served.thumbprint:
        yield f"serves {served}, and {last.id} says {last.state}"
