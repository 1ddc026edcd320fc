"""Request throttling: Key Vault's budgets per vault and, five times that, per subscription.

All vaults of the emulator share one subscription. The documentation gives the sums per ten
seconds but not the shape of the window; fixed windows are used here.
"""

from dataclasses import dataclass, field

from app.emulator.refusals import Reason, refusal
from app.emulator.told import Told


@dataclass(frozen=True, kw_only=True)
class Budgets(Told):
    """Requests one vault admits in a window of so many seconds."""

    imports: int = 300
    others: int = 4000
    seconds: float = 10.0
    vaults_per_subscription: int = 5

    def __post_init__(self) -> None:
        if self.seconds <= 0:
            raise ValueError("seconds must be more than 0")
        if min(self.imports, self.others, self.vaults_per_subscription) < 0:
            raise ValueError("imports, others and vaults_per_subscription must be 0 or more")


_SUBSCRIPTION = ""


@dataclass
class Meter:
    """Counts admitted requests; refused ones do not count."""

    budgets: Budgets | None = None
    _windows: dict[tuple[str, bool], tuple[float, int]] = field(default_factory=dict)

    def admit(self, vault: str, *, importing: bool, now: float) -> None:
        """Count a request. Raises Refusal (429, without Retry-After) past a budget."""
        if self.budgets is None:
            return
        limit = self.budgets.imports if importing else self.budgets.others
        ours = self._window((vault, importing), now)
        everyones = self._window((_SUBSCRIPTION, importing), now)
        if ours[1] >= limit or everyones[1] >= limit * self.budgets.vaults_per_subscription:
            raise refusal(Reason.THROTTLED)
        self._windows[vault, importing] = (ours[0], ours[1] + 1)
        self._windows[_SUBSCRIPTION, importing] = (everyones[0], everyones[1] + 1)

    def set(self, budgets: Budgets | None) -> None:
        """Throttle with these budgets from now on; None: admit everything."""
        self.budgets = budgets
        self._windows.clear()

    def _window(self, key: tuple[str, bool], now: float) -> tuple[float, int]:
        started, count = self._windows.get(key, (now, 0))
        if self.budgets is None or now - started >= self.budgets.seconds or now < started:
            return now, 0
        return started, count
