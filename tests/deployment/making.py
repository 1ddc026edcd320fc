"""A deployment to run, and a diary that can crash."""

from dataclasses import dataclass, field
from typing import Any, Final, Literal

from app import errors
from app.deployment import saga
from app.deployment.connector import Held
from app.deployment.model import EXITS, NEXT, Deployment, State, Target
from app.deployment.saga import Limits
from tests.certificates import NOW, Issued
from tests.conftest import Clock
from tests.fakes import Shelf

LONG: Final = Limits(deadline_s=60, rollback_s=60)
NONE: Final = Limits(deadline_s=0, rollback_s=0)
TARGET: Final = Target(
    type="Shelf",
    config={"certificate_name": "api", "tags": {"env": "test", "team": "web"}, "depth": 3},
    address="shelf/api",
)

Moment = Literal["before", "after"]


class Crash(BaseException):
    """The process dies here."""


@dataclass(kw_only=True)
class Diary:
    """What was saved; the process dies once, before or after the write of this number."""

    saved: list[Deployment] = field(default_factory=list)
    crash_at: int | None = None
    moment: Moment = "before"
    writes: int = 0

    async def save(self, deployment: Deployment) -> None:
        self.writes += 1
        if self.writes == self.crash_at and self.moment == "before":
            raise Crash
        self.saved.append(deployment)
        if self.writes == self.crash_at:
            raise Crash

    @property
    def states(self) -> list[State]:
        return [deployment.state for deployment in self.saved]


@dataclass(frozen=True, kw_only=True)
class Story:
    """The steps that fail (or never answer), before or after they changed something; the end."""

    failing: dict[State, errors.DeployError | None]
    late: bool = False
    states: list[State]
    changes: list[str]


def deployment(issued: Issued, state: State = State.SNAPSHOTTING, **changes: Any) -> Deployment:  # noqa: ANN401 - the fields of Deployment
    """A deployment of *issued*, claimed and not begun."""
    return Deployment(
        **{
            "id": "dep-1",
            "target": TARGET,
            "certificate": issued.bundle().details,
            "created_at": NOW,
            "state": state,
            "metadata": {"certificate_id": "mc-api"},
            **changes,
        }
    )


async def run(
    begun: Deployment, shelf: Shelf, held: Held, diary: Diary, *, limits: Limits = LONG
) -> Deployment:
    """The saga from *begun* to its end."""
    return await saga.run(begun, shelf, held, diary.save, limits=limits, now=Clock(NOW))


def ways(state: State) -> set[State]:
    """Every state that may follow."""
    return {*NEXT.get(state, ()), *EXITS.get(state, ())}


def every_failure() -> list[errors.DeployError]:
    """One of each error that a step can raise."""
    kinds = errors.every(errors.DeployError)
    return [kind() for kind in kinds if issubclass(kind, errors.DeployError)]
