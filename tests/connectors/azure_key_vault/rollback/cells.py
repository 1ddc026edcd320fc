"""The cells: every plan by every cause by every meeting, and how each must end.

What is left out is left out by a rule, and the rule says why.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Final

from app.audit import Action
from app.deployment.model import State
from app.emulator import Answer, StaleRead
from tests.connectors.azure_key_vault.rollback.causes import (
    ALWAYS,
    DELETED_FIRST,
    FINE,
    LANDS,
    REFUSED,
    SILENT,
    TAKEN,
    UNTAGGED,
    Cause,
    Serves,
    fault,
    somebody_deletes_it,
)
from tests.connectors.azure_key_vault.rollback.ends import End, Meets, refused, unseen
from tests.connectors.azure_key_vault.rollback.meetings import (
    CARRIER,
    CRASHED,
    DELETED,
    MEETS,
    NO_READ,
    NOT_FOUND,
    STALE_LOOK,
    STRANGER,
    TELLING,
    UNSAVED,
    WORKS,
)
from tests.connectors.azure_key_vault.rollback.plans import (
    CAN,
    CANNOT,
    FIRST,
    FORCED,
    PREVIOUS_KEY,
    RSA,
    SAME_KEY,
    SECRET,
    Case,
)

ALL: Final = (FIRST, *CAN, *CANNOT)
ONE_OF_EACH_PLAN: Final = (FORCED, SECRET, PREVIOUS_KEY, SAME_KEY)
ASKED_EVERYTHING: Final = (FIRST, FORCED, SECRET, CANNOT[0])


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One deployment: what is there, what goes wrong, and what must be true afterwards."""

    case: Case
    cause: Cause
    meets: Meets
    end: End
    code: str | None
    middle: tuple[Action, ...]

    @property
    def name(self) -> str:
        return f"{self.case.name}--{self.cause.name}--rollback-{self.meets.name}"

    @property
    def serves(self) -> Serves:
        return self.end.serves or self.cause.serves


def cells() -> Iterator[Cell]:
    yield from _without_a_rollback()
    yield from _where_nothing_landed()
    yield from _where_it_can_be_undone()
    yield from _where_nothing_can_be_put_back()
    yield from _where_the_cause_goes_on()


# ---- which cells there are


def _without_a_rollback() -> Iterator[Cell]:
    """No rollback begins, so there is nothing that one could meet.

    An import knows nothing of a plan: a few cases are asked everything, the others each end.
    """
    for case in ALL:
        some = 1 if case not in ASKED_EVERYTHING else None
        for causes, state in (
            (FINE, State.SUCCEEDED),
            (REFUSED, State.FAILED),
            (TAKEN, State.SUPERSEDED),
        ):
            for cause in causes[:some]:
                if not (case is FORCED and cause is UNTAGGED):  # that could be anybody's
                    yield _straight(case, cause, state)
        if case is not FIRST:  # nothing is there that could be deleted
            yield _straight(case, DELETED_FIRST, State.FAILED)


def _where_nothing_landed() -> Iterator[Cell]:
    """The rollback looks and sends nothing, so it meets only what a look can meet.

    Not a deletion: what tells of one is the answer to an import, and that still gets none. One
    cause meets them all, since nothing is there of any.
    """
    ends = {
        WORKS: End(state=State.FAILED, sends=0, makes=0),
        CRASHED: End(state=State.FAILED, sends=0, makes=0),
        STRANGER: STRANGER.end,
        NO_READ: NO_READ.end,
        UNSAVED: End(state=State.INTERRUPTED, sends=0, makes=0),
    }
    for case, cause, meets in product(ALL, SILENT, ends):
        if cause is SILENT[0] or meets is WORKS:
            blind_first = case is FIRST and meets is NO_READ  # nothing was there to put back
            yield _undone(case, cause, meets, ends[WORKS if blind_first else meets])


def _where_it_can_be_undone() -> Iterator[Cell]:
    """Everything that a rollback can meet, by all that it can tell apart."""
    for case, cause, meets in product((*CAN, RSA), LANDS, MEETS):
        if _tells_apart(case, cause, meets) and not _cannot_be(case, cause, meets):
            yield _undone(case, cause, meets, _end(case, cause, meets))


def _tells_apart(case: Case, cause: Cause, meets: Meets) -> bool:
    """Whether this cell can end otherwise than one that is there already.

    A rollback knows of a cause only what it finds: another certificate, the right one, or a
    version that no answer named. Three causes bring these about; the others meet a few things.
    Of a plan it knows where the key is; other cases of a plan differ in what is read and sent,
    for which one cause is enough, and RSA in bytes alone. The very same certificate, where it
    arrived, leaves nothing to send, so it meets what a look can meet.
    """
    if case is FORCED and cause.serves is Serves.NEW:
        return meets.looks
    if cause is LANDS[0]:
        return meets.looks or case is not RSA
    if cause in LANDS[:3] and case in ONE_OF_EACH_PLAN:
        return True
    return meets in TELLING and case is not RSA


def _cannot_be(case: Case, cause: Cause, meets: Meets) -> bool:
    """Whether the emulator cannot bring it about, or nobody could see the truth.

    A read-back given up at the deadline may still use up a stale answer. Disabling is a write, so
    a stale look shows our version before it: enabled, and the very certificate that was forced.
    """
    twice_the_same = case is FORCED and cause.name == "disabled"
    return meets is STALE_LOOK and (twice_the_same or cause.name == "deadline")


def _where_nothing_can_be_put_back() -> Iterator[Cell]:
    """No rollback is sent, so it meets only what its look can meet; each cause is undone once."""
    for case, cause, meets in product((FIRST, *CANNOT), LANDS, MEETS):
        found_apart = cause in LANDS[:3] and case in (FIRST, CANNOT[0])
        if meets.looks and (meets is WORKS or cause is LANDS[0] or found_apart):
            yield _undone(case, cause, meets, _hopeless(case, cause, meets))


# a first import has nothing to put back, whatever its rollback could not see
_LEFT: Final = End(state=State.FAILED, sends=0, makes=0)
_GOES_ON: Final = tuple(
    (
        Cause(name=name, code=code, verifying=[what], serves=serves),
        possible,
        first,
    )
    for name, code, what, serves, possible, first in (
        (
            "unreadable-from-then-on",
            "target-unavailable",
            fault("get_certificate", Answer(status=503), count=ALWAYS),
            Serves.NEW,
            refused("target-unavailable", sends=0),
            _LEFT,
        ),
        (
            "forbidden-from-then-on",
            "target-forbidden-rbac",
            lambda play: play.emulator.deny(),
            Serves.NEW,
            refused("target-forbidden-rbac", sends=0),
            _LEFT,
        ),
        (
            "stale-from-then-on",
            "verification-failed",
            fault("get_certificate", StaleRead(), count=ALWAYS),
            Serves.NEW,
            unseen("verification-failed"),
            _LEFT,
        ),
        (
            "deleted-after-the-import",
            "verification-failed",
            somebody_deletes_it,
            Serves.NOTHING,
            refused("name-soft-deleted", sends=0),
            _LEFT,
        ),
    )
)


def _where_the_cause_goes_on() -> Iterator[Cell]:
    """What failed the import fails the rollback too, so nothing else can be met."""
    for cause, possible, first in _GOES_ON:
        for case in ALL:
            impossible = refused(case.reason or "", sends=0)
            end = first if case is FIRST else impossible if case in CANNOT else possible
            yield _undone(case, cause, WORKS, end)


# ---- how they must end


def _straight(case: Case, cause: Cause, state: State) -> Cell:
    imported = (Action.IMPORTED,) if cause.told and cause not in (*REFUSED, DELETED_FIRST) else ()
    end = End(state=state, sends=0, makes=0)
    return Cell(case=case, cause=cause, meets=WORKS, end=end, code=cause.code, middle=imported)


def _undone(case: Case, cause: Cause, meets: Meets, end: End) -> Cell:
    """The cell of a rollback; one that nobody heard of before the crash begins anew."""
    code, told, undoing = cause.code, cause.told, True
    if meets is UNSAVED:
        told = cause not in SILENT
        undoing = told and cause.serves is not Serves.NEW
        code = "verification-failed" if undoing else None if told else "key-gone"
    middle = (Action.IMPORTED,) * told + (Action.ROLLING_BACK,) * undoing
    found = cause in LANDS and meets in (WORKS, NOT_FOUND, CRASHED)
    if case is FIRST and end.state is State.FAILED and (told or found):
        code = "verification-failed"
    return Cell(case=case, cause=cause, meets=meets, end=end, code=code, middle=middle)


def _end(case: Case, cause: Cause, meets: Meets) -> End:
    """How a rollback ends that can be done."""
    right = cause.serves is Serves.NEW
    if meets is UNSAVED and right:
        return End(state=State.SUCCEEDED, sends=0, makes=0)
    if meets is STALE_LOOK and not cause.told:
        # it looks as if nothing had landed, and the code says that nobody knows
        return End(state=State.FAILED, sends=0, makes=0)
    if case is FORCED and right and meets in (WORKS, CRASHED, NOT_FOUND):
        # the very certificate from before is served, and is all that could be put back
        return End(state=State.ROLLED_BACK, sends=0, makes=0)
    return meets.end if case.outlives_a_crash or meets.keyless is None else meets.keyless


def _hopeless(case: Case, cause: Cause, meets: Meets) -> End:
    """How a rollback ends that has nothing to put back, or nothing to do it with."""
    if meets in (STRANGER, CARRIER):
        return meets.end
    serves = meets.end.serves if meets is DELETED else None
    if meets is UNSAVED and cause.serves is Serves.NEW:
        return End(state=State.SUCCEEDED, sends=0, makes=0)
    landed = cause.told or meets is not STALE_LOOK
    if not landed or case is FIRST:
        return End(state=State.FAILED, sends=0, makes=0, serves=serves)
    reason = case.reason or meets.end.reason or ""
    return refused(reason, sends=0, serves=serves)
