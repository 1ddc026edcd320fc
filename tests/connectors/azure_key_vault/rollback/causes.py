"""The causes: what happens to an import and to its read-back, and what that leaves behind."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from app.emulator import AnotherWriter, Answer, Drop, Fault, ForgetTags, StaleRead, StoreAnother
from app.emulator.effects import Effect
from app.emulator.faults import Operation
from tests.certificates import authority
from tests.connectors.azure_key_vault.playground import NAME, Playground
from tests.connectors.azure_key_vault.rollback.leap import past_the_deadline

Happening = Fault | Callable[[Playground], object]
STRANGER: Final = authority("Stranger").issue("stranger.example")


class Serves(Enum):
    """What the vault serves."""

    OLD = "what was there before"
    NEW = "what was sent"
    DISABLED = "what was sent, but disabled"
    ANOTHER = "what the vault made of it"
    STRANGERS = "what another writer brought"
    NOTHING = "nothing, for it was deleted"


@dataclass(frozen=True, kw_only=True, eq=False)
class Cause:
    """Why a deployment fails, if it does.

    `sends` and `makes` are the imports sent and the versions made up to there; `told` is whether
    the vault's answer said which version that is.
    """

    name: str
    code: str | None = None
    importing: Sequence[Happening] = ()
    verifying: Sequence[Happening] = ()
    serves: Serves = Serves.NEW
    sends: int = 1
    makes: int = 1
    told: bool = True
    warnings: tuple[str, ...] = ()


def fault(operation: Operation, effect: Effect, nth: int = 1, count: int | None = 1) -> Fault:
    return Fault(operation=operation, effect=effect, nth=nth, count=count)


def a_stranger_writes(play: Playground) -> None:
    play.store(STRANGER)


def a_stranger_carries_the_tags_over(play: Playground) -> None:
    """As some tools do: their own certificate, with all tags of the version before it."""
    play.store(STRANGER, tags=dict(play.latest.tags))


def somebody_disables_it(play: Playground) -> None:
    play.vault.set_enabled(NAME, play.latest.version, False)


def somebody_deletes_it(play: Playground) -> None:
    play.vault.soft_delete(NAME)


def a_creation_is_pending(play: Playground) -> None:
    play.vault.set_pending(NAME)


ALWAYS: Final = None
UNAVAILABLE = Answer(status=503, code="ServiceUnavailable")
FORBIDDEN = Answer(status=403, code="Forbidden", inner="ForbiddenByRbac")
THROTTLED = Answer(status=429, code="Throttled")
REJECTED = Answer(status=400, code="BadParameter", message="X509 Certificate is already expired")
UNAVAILABLE_BUT_APPLIED = Answer(status=503, code="ServiceUnavailable", applied=True)
_WRONG = fault("import", StoreAnother())
_BLIND = fault("get_certificate", UNAVAILABLE, count=2)  # one look: a read is repeated once

UNTAGGED: Final = Cause(
    name="tags-forgotten-and-503-applied",
    importing=[fault("import", ForgetTags()), fault("import", UNAVAILABLE_BUT_APPLIED)],
    warnings=("tags-differ",),
)
# it works after all
FINE = (
    Cause(name="503-applied", importing=[fault("import", UNAVAILABLE_BUT_APPLIED)]),
    Cause(name="nothing-goes-wrong"),
    Cause(name="503-once", importing=[fault("import", UNAVAILABLE)], sends=2),
    Cause(name="504-applied", importing=[fault("import", Answer(status=504, applied=True))]),
    Cause(name="dropped-after", importing=[fault("import", Drop(applied=True))]),
    Cause(name="dropped-before-once", importing=[fault("import", Drop())], sends=2),
    Cause(name="throttled-once", importing=[fault("import", THROTTLED)], sends=2),
    Cause(name="read-back-stale-once", verifying=[fault("get_certificate", StaleRead())]),
    Cause(
        name="tags-forgotten",
        importing=[fault("import", ForgetTags())],
        warnings=("tags-differ",),
    ),
    UNTAGGED,
)

# the import was surely not applied
REFUSED = tuple(
    Cause(name=name, code=code, importing=[what], serves=Serves.OLD, sends=sends, makes=0)
    for name, code, what, sends in (
        ("503-always", "target-unavailable", fault("import", UNAVAILABLE, count=ALWAYS), 3),
        ("throttled-always", "target-throttled", fault("import", THROTTLED, count=ALWAYS), 3),
        ("forbidden", "target-forbidden-rbac", fault("import", FORBIDDEN), 1),
        ("rejected", "certificate-rejected", fault("import", REJECTED), 1),
        ("unauthenticated", "target-unauthenticated", fault("import", Answer(status=401)), 1),
        ("pending", "pending-operation", a_creation_is_pending, 1),
    )
)
DELETED_FIRST = Cause(
    name="deleted-before-the-import",
    code="name-soft-deleted",
    importing=[somebody_deletes_it],
    serves=Serves.NOTHING,
    makes=0,
)

# the import was not applied, but no answer said so: the rollback looks, and finds nothing to undo
SILENT = tuple(
    Cause(
        name=name,
        code=code,
        importing=[what],
        serves=Serves.OLD,
        sends=sends,
        makes=0,
        told=False,
    )
    for name, code, what, sends in (
        (
            "504-always",
            "import-outcome-unknown",
            fault("import", Answer(status=504), count=ALWAYS),
            3,
        ),
        ("dropped-always", "import-outcome-unknown", fault("import", Drop(), count=ALWAYS), 3),
        ("deadline-before-the-import", "deadline-exceeded", past_the_deadline, 0),
    )
)

# another writer was quicker than our read-back, or than our look after an unclear answer
TAKEN = (
    Cause(
        name="a-stranger-after-the-import",
        code="superseded",
        importing=[fault("import", AnotherWriter())],
        serves=Serves.STRANGERS,
    ),
    Cause(
        name="a-stranger-before-the-read-back",
        code="superseded",
        verifying=[a_stranger_writes],
        serves=Serves.STRANGERS,
    ),
    Cause(
        name="a-stranger-with-our-tags-before-the-read-back",
        code="superseded",
        verifying=[a_stranger_carries_the_tags_over],
        serves=Serves.STRANGERS,
    ),
    Cause(
        name="a-stranger-after-the-import-and-503",
        code="superseded",
        importing=[fault("import", AnotherWriter()), fault("import", UNAVAILABLE_BUT_APPLIED)],
        serves=Serves.STRANGERS,
        told=False,
    ),
)

# it landed, and is to be undone; the first three are all that a rollback can tell apart: our
# version holds something else, it is right, or no answer said which one is ours
LANDS = (
    Cause(
        name="wrong-certificate",
        code="verification-failed",
        importing=[_WRONG],
        serves=Serves.ANOTHER,
    ),
    Cause(
        name="forbidden-in-between",
        code="target-forbidden-rbac",
        verifying=[fault("get_certificate", FORBIDDEN)],
    ),
    Cause(
        name="outcome-unknown",
        code="import-outcome-unknown",
        importing=[fault("import", Drop(applied=True)), _BLIND],
        told=False,
    ),
    Cause(
        name="wrong-certificate-and-outcome-unknown",
        code="import-outcome-unknown",
        importing=[_WRONG, fault("import", Drop(applied=True)), _BLIND],
        serves=Serves.ANOTHER,
        told=False,
    ),
    Cause(
        name="wrong-certificate-and-503",
        code="verification-failed",
        importing=[_WRONG, fault("import", UNAVAILABLE_BUT_APPLIED)],
        serves=Serves.ANOTHER,
    ),
    Cause(
        name="wrong-certificate-and-dropped",
        code="verification-failed",
        importing=[_WRONG, fault("import", Drop(applied=True))],
        serves=Serves.ANOTHER,
    ),
    Cause(
        name="wrong-certificate-without-tags",
        code="verification-failed",
        importing=[_WRONG, fault("import", ForgetTags())],
        serves=Serves.ANOTHER,
    ),
    Cause(
        name="disabled",
        code="verification-failed",
        verifying=[somebody_disables_it],
        serves=Serves.DISABLED,
    ),
    Cause(
        name="read-back-stale",
        code="verification-failed",
        verifying=[fault("get_certificate", StaleRead(), count=3)],
    ),
    Cause(name="read-back-fails", code="target-unavailable", verifying=[_BLIND]),
    Cause(
        name="read-back-dropped",
        code="target-unreachable",
        verifying=[fault("get_certificate", Drop(), count=4)],
    ),
    Cause(name="deadline", code="deadline-exceeded", verifying=[past_the_deadline]),
)
