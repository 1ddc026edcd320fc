"""How a rollback must end, and what a meeting is."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from app.deployment.model import State
from tests.connectors.azure_key_vault.rollback.causes import Happening, Serves


class Dies(Enum):
    """When the process dies."""

    BEFORE_THE_ROLLBACK_IS_SAVED = "the step before is done, and nobody knows"
    BEFORE_THE_ROLLBACK_BEGINS = "it is saved that it begins"
    BEFORE_THE_END_IS_SAVED = "it is done, and nobody knows"


@dataclass(frozen=True, kw_only=True)
class End:
    """How a rollback must end.

    `sends` and `makes` are the imports sent and the versions made by it, and `names` whether it
    can know which version that is: an answer or a look told it, and no crash took that away.
    `serves` is what the vault serves then, where it is not what the failed import left there.
    """

    state: State
    reason: str | None = None
    sends: int = 1
    makes: int = 1
    names: bool = True
    serves: Serves | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Meets:
    """What the rollback meets; after a crash `again` is met by the second run.

    `looks` says that it is met by the first look already, and so where nothing is put back too;
    `keyless` is the end where the key for the rollback died with the process.
    """

    name: str
    end: End
    happenings: Sequence[Happening] = ()
    looks: bool = False
    dies: Dies | None = None
    again: Sequence[Happening] = ()
    keyless: End | None = None


RESTORED: Final = End(state=State.ROLLED_BACK, serves=Serves.OLD)
OVERTAKEN: Final = End(state=State.SUPERSEDED, serves=Serves.STRANGERS)
OVERTAKEN_UNSEEN: Final = replace(OVERTAKEN, names=False)
LEFT_ALONE: Final = End(state=State.SUPERSEDED, serves=Serves.STRANGERS, sends=0, makes=0)


def refused(reason: str, *, sends: int = 1, serves: Serves | None = None) -> End:
    """The rollback makes no version, because of *reason*."""
    return End(state=State.ROLLBACK_FAILED, reason=reason, sends=sends, makes=0, serves=serves)


def unseen(reason: str, *, names: bool = True) -> End:
    """The rollback is done but cannot be read back, because of *reason*."""
    return End(state=State.ROLLBACK_FAILED, reason=reason, names=names, serves=Serves.OLD)
