"""All that changes while the emulator runs, in one place, so that reset is one function."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from app.emulator.access import Denial
from app.emulator.budgets import Budgets, Meter
from app.emulator.clock import Clock
from app.emulator.faults import Programme
from app.emulator.federation import usual_subject
from app.emulator.login import Registration
from app.emulator.roles import Assignment
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
    """Vaults, faults, applications, denials and roles, budgets, calls.

    `registered` are the applications that stay after a reset.
    """

    clock: Clock
    registered: Mapping[str, Registration]
    budgets: Budgets | None = None
    deletion_seconds: float = 0.0
    faults: Programme = field(default_factory=Programme)
    applications: dict[str, Registration] = field(init=False)
    denials: list[Denial] = field(default_factory=list)
    assignments: list[Assignment] = field(default_factory=list)
    meter: Meter = field(init=False)
    calls: list[Call] = field(default_factory=list)
    writes: int = 0
    _vaults: dict[str, Vault] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.meter = Meter(self.budgets)
        self.applications = dict(self.registered)

    def register(self, client_id: str, client_secret: str, subject: str | None = None) -> None:
        """Let an application log in, with its secret or a token of the subject it trusts."""
        self.applications[client_id] = Registration(
            client_secret=client_secret, subject=subject or usual_subject(client_id)
        )

    def application(self, client_id: str) -> Registration:
        """A known application. Raises ValueError for another, so that a slip does not pass."""
        if client_id not in self.applications:
            raise ValueError(f"client_id {client_id!r} is no application here: add it first")
        return self.applications[client_id]

    def assign(self, assignment: Assignment) -> None:
        """Give a role to a known application. Raises ValueError for another."""
        self.application(assignment.client_id)
        self.assignments.append(assignment)

    def allow_all(self) -> None:
        """Take every denial and role back: all is allowed again."""
        self.denials.clear()
        self.assignments.clear()

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
        """Begin anew: nothing stored, forbidden or wrong, no calls; the clock shows real time."""
        with self._lock:
            self._vaults.clear()
        self.clock.reset()
        self.faults.clear()
        self.allow_all()
        self.applications.clear()
        self.applications.update(self.registered)
        self.meter.set(self.budgets)
        self.deletion_seconds = 0.0
        self.calls.clear()
        self.writes = 0
