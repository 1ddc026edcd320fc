"""What every connector must do, whatever its target: the port's promises as tests can ask them.

A new connector adds a line to `GROUNDS` in `test_contract`, and a `Ground` for its target.
"""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from app.deployment.connector import Connector
from app.deployment.model import Deployment
from app.emulator import Emulator
from tests.certificates import Issued
from tests.conftest import Clock


class Ground(Protocol):
    """A target to try a connector on."""

    @property
    def connector(self) -> Connector:
        """The connector, over this target."""

    def deployment(self, issued: Issued, **changes: Any) -> Deployment:  # noqa: ANN401 - the fields of Deployment
        """A deployment of *issued* to the target, with an id of its own."""

    def written(self, issued: Issued) -> None:
        """Another writer puts *issued* there."""

    def unreachable(self) -> None:
        """From now on the target answers nothing."""

    def history(self) -> Sequence[object]:
        """Everything the target ever held, in order; equal where nothing was changed."""

    def serves(self, issued: Issued) -> bool:
        """Whether the target serves *issued*, with a key that works."""


class Opens(Protocol):
    """Opens the ground of a kind of target."""

    def __call__(
        self, *, emulator: Emulator, ca_bundle: str, now: Clock
    ) -> AbstractAsyncContextManager[Ground]:
        """The ground, closed at the end."""
