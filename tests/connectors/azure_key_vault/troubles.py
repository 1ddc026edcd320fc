"""What can go wrong, each with a name and a place: the fault programme, denials, other writers.

A trouble comes at a state: before the deployment begins (`snapshotting`), or once that state was
saved, so that its calls are counted from there.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

from app.deployment.model import State
from app.emulator import (
    AnotherWriter,
    Answer,
    Drop,
    Fault,
    ForgetTags,
    StaleRead,
    StoreAnother,
)
from app.emulator.effects import Effect
from app.emulator.faults import Operation
from tests.connectors.azure_key_vault.doings import (
    ADMINISTRATORS,
    BUDGETS,
    DENIALS,
    LATE,
    WRITERS,
    Doing,
    Stage,
)
from tests.connectors.azure_key_vault.playground import Happening
from tests.connectors.azure_key_vault.witness import Crash

BEGIN: Final = State.SNAPSHOTTING
ROLLING_BACK: Final = State.ROLLING_BACK


@dataclass(frozen=True, kw_only=True, repr=False)
class Trouble:
    """One thing that goes wrong once a state was reached."""

    name: str
    at: State
    does: Fault | Doing | Crash

    @property
    def id(self) -> str:
        return f"{self.at}-{self.name}"

    def __repr__(self) -> str:
        return f"<{self.id}>"

    def on(self, stage: Stage) -> list[Happening]:
        match self.does:
            case Fault() as fault:
                return [fault]
            case Crash():
                return []
            case doing:
                return [lambda: doing(stage)]


def schedule(troubles: Sequence[Trouble], stage: Stage) -> dict[State, list[Happening]]:
    """What happens when, for a deployment that meets all *troubles*."""
    at: dict[State, list[Happening]] = {}
    for one in troubles:
        at.setdefault(one.at, []).extend(one.on(stage))
    return at


def crashes(troubles: Sequence[Trouble]) -> list[Crash]:
    """When the process dies, one time after the other."""
    return [one.does for one in troubles if isinstance(one.does, Crash)]


# ---- answers


def _refusal(status: int, code: str, inner: str | None = None) -> Answer:
    return Answer(status=status, code=code, inner=inner)


_FORBIDDEN = _refusal(403, "Forbidden", "ForbiddenByRbac")
NO_ANSWER: Mapping[str, tuple[Effect, int]] = {
    "401": (_refusal(401, "Unauthorized"), 1),
    "403": (_FORBIDDEN, 1),
    "408": (Answer(status=408), 1),
    "429": (_refusal(429, "Throttled"), 1),
    "429-always": (_refusal(429, "Throttled"), 99),
    "500": (Answer(status=500), 1),
    "503": (Answer(status=503), 1),
    "503-twice": (Answer(status=503), 2),
    "dropped": (Drop(), 1),
    "dropped-twice": (Drop(), 2),
}
LOOKS: Mapping[str, tuple[Effect, int]] = {
    **NO_ANSWER,
    "gone-it-says": (_refusal(404, "CertificateNotFound"), 1),
    "no-vault-it-says": (_refusal(404, "NotFound"), 1),
    "stale": (StaleRead(), 1),
    "stale-twice": (StaleRead(), 2),
    "stale-thrice": (StaleRead(), 3),
}
_SECRETS: Mapping[str, tuple[Effect, int]] = {
    **NO_ANSWER,
    "none-it-says": (_refusal(404, "SecretNotFound"), 1),
    "disabled-it-says": (_refusal(403, "Forbidden", "SecretDisabled"), 1),
    "stale": (StaleRead(), 1),
}
_IMPORTS: Mapping[str, tuple[Effect, int]] = {
    **NO_ANSWER,
    "400": (_refusal(400, "BadParameter"), 1),
    "409-pending": (_refusal(409, "Forbidden"), 1),
    "409-deleted": (_refusal(409, "Conflict", "ObjectIsDeletedButRecoverable"), 1),
    "503-always": (Answer(status=503), 99),
    "503-applied": (Answer(status=503, applied=True), 1),
    "504-applied": (Answer(status=504, applied=True), 1),
    "dropped-always": (Drop(), 99),
    "dropped-applied": (Drop(applied=True), 1),
    "another-writer-follows": (AnotherWriter(), 1),
    "another-stored": (StoreAnother(), 1),
    "tags-forgotten": (ForgetTags(), 1),
}
_TOKENS: Mapping[str, tuple[Effect, int]] = {
    "401": (_refusal(401, "invalid_client"), 1),
    "429": (Answer(status=429), 1),
    "500-once": (Answer(status=500), 1),
    "500-always": (Answer(status=500), 99),
    "dropped": (Drop(), 1),
    "dropped-always": (Drop(), 99),
}
_CALLS: Mapping[Operation, tuple[Mapping[str, tuple[Effect, int]], Sequence[tuple[State, int]]]] = {
    "token": (_TOKENS, [(BEGIN, 1)]),
    "get_certificate": (
        LOOKS,
        [
            (BEGIN, 1),
            (State.IMPORTING, 1),
            (State.VERIFYING, 1),
            (State.VERIFYING, 2),
            (ROLLING_BACK, 1),
            (ROLLING_BACK, 2),
        ],
    ),
    "get_secret": (_SECRETS, [(BEGIN, 1), (ROLLING_BACK, 1)]),
    "get_certificate_version": (LOOKS, [(ROLLING_BACK, 1)]),
    "import": (
        _IMPORTS,
        [(State.IMPORTING, 1), (State.IMPORTING, 2), (ROLLING_BACK, 1), (ROLLING_BACK, 2)],
    ),
}


def _answers() -> Iterator[Trouble]:
    for operation, (effects, places) in _CALLS.items():
        for state, nth in places:
            for name, (effect, count) in effects.items():
                yield Trouble(
                    name=f"{operation}-{nth}-{name}",
                    at=state,
                    does=Fault(operation=operation, effect=effect, nth=nth, count=count),
                )


def _doings() -> Iterator[Trouble]:
    places = (BEGIN, State.IMPORTING, State.VERIFYING, ROLLING_BACK)
    for state in (State.VERIFYING, ROLLING_BACK):
        yield from (Trouble(name=name, at=state, does=doing) for name, doing in LATE.items())
    for state, kind in product(places, (WRITERS, ADMINISTRATORS, DENIALS, BUDGETS)):
        if state is BEGIN and kind is WRITERS:
            continue  # what is there when it begins is no trouble
        yield from (Trouble(name=name, at=state, does=doing) for name, doing in kind.items())


def _crashes() -> Iterator[Trouble]:
    final = (State.SUCCEEDED, State.ROLLED_BACK, State.ROLLBACK_FAILED)
    for state in (State.IMPORTING, State.VERIFYING, ROLLING_BACK, *final):
        for when in ("before", "after"):
            if when == "before" or state not in final:
                yield Trouble(name=f"dies-{when}", at=state, does=Crash(state=state, when=when))


TROUBLES: Final = (*_answers(), *_doings(), *_crashes())
