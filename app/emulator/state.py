"""All that changes while the emulator runs, in one place, so that reset is one function."""

import threading
from dataclasses import dataclass, field

from app.emulator.access import Denial
from app.emulator.budgets import Budgets, Meter
from app.emulator.clock import Clock
from app.emulator.faults import Programme
from app.emulator.vaults import Vault


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """One request served. Status 0: the connection was dropped without an answer.

    Requests without a valid token are recorded as operation "challenge", whatever they wanted.
    """

    operation: str
    vault: str | None
    name: str | None
    version: str | None
    status: int
    at: float


@dataclass(kw_only=True)
class State:
    """Vaults, faults, denials, budgets, calls."""

    clock: Clock
    budgets: Budgets | None = None
    deletion_seconds: float = 0.0
    faults: Programme = field(default_factory=Programme)
    denials: list[Denial] = field(default_factory=list)
    meter: Meter = field(init=False)
    calls: list[Call] = field(default_factory=list)
    writes: int = 0
    _vaults: dict[str, Vault] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.meter = Meter(self.budgets)

    def vault(self, name: str) -> Vault:
        """The vault of this name, made on first use."""
        name = name.lower()
        with self._lock:
            if name not in self._vaults:
                self._vaults[name] = Vault(
                    name, clock=self.clock, deletion_seconds=lambda: self.deletion_seconds
                )
            return self._vaults[name]

    def reset(self) -> None:
        """Begin anew: no vaults, faults, denials or calls; the clock shows real time."""
        with self._lock:
            self._vaults.clear()
        self.clock.reset()
        self.faults.clear()
        self.denials.clear()
        self.meter.set(self.budgets)
        self.deletion_seconds = 0.0
        self.calls.clear()
        self.writes = 0
