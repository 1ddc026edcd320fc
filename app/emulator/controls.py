"""The controls of the whole emulator: faults, access, throttling, time, and what was served."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from app.emulator.access import Denial
from app.emulator.budgets import Budgets
from app.emulator.faults import Fault
from app.emulator.federation import AUDIENCE, LIFETIME, Federation
from app.emulator.roles import Assignment
from app.emulator.state import State
from app.emulator.told import Told


@dataclass(frozen=True, kw_only=True)
class Control:
    """One control: what it does, what its body says (None: nothing), and the function."""

    does: str
    run: Callable[..., object]
    body: Any = None


@dataclass(frozen=True, kw_only=True)
class Advance(Told):
    """Seconds to let pass at once."""

    advance: float

    def __post_init__(self) -> None:
        if self.advance < 0:
            raise ValueError("advance must be 0 or more: time does not go back")


@dataclass(frozen=True, kw_only=True)
class Deletion(Told):
    """Seconds that a soft delete takes."""

    seconds: float


@dataclass(frozen=True, kw_only=True)
class Application(Told):
    """An application that may log in."""

    client_id: str
    client_secret: str = field(repr=False)
    subject: str | None = None


@dataclass(frozen=True, kw_only=True)
class FederatedToken(Told):
    """For whom a federated token is."""

    client_id: str
    subject: str | None = None
    audience: str = AUDIENCE
    seconds: float = LIFETIME


def table(state: State, federation: Federation) -> dict[str, Control]:
    """The controls by method and path."""
    return {
        **_faults(state),
        **_access(state),
        **_identities(state, federation),
        **_budgets_and_time(state),
        "GET calls": Control(
            does="Every request served, and how many changed something.",
            run=lambda: {
                "calls": [asdict(call) for call in state.calls],
                "writes": state.writes,
            },
        ),
        "POST reset": Control(
            does="Begin anew: nothing stored, forbidden or wrong.", run=state.reset
        ),
    }


def _faults(state: State) -> dict[str, Control]:
    return {
        "GET faults": Control(
            does="The faults in force, those already over included.",
            run=lambda: [asdict(fault) for fault in state.faults.active()],
        ),
        "POST faults": Control(
            does="Put a fault in force; its calls are counted from now on.",
            body=Fault,
            run=state.faults.add,
        ),
        "DELETE faults": Control(does="Nothing goes wrong any more.", run=state.faults.clear),
    }


def _access(state: State) -> dict[str, Control]:
    return {
        "GET denials": Control(
            does="What is forbidden.", run=lambda: [asdict(one) for one in state.denials]
        ),
        "POST denials": Control(
            does="Forbid a data action; what is left out stands for all of them.",
            body=Denial,
            run=state.denials.append,
        ),
        "DELETE denials": Control(does="Forbid nothing.", run=state.denials.clear),
        "GET assignments": Control(
            does="The roles given.", run=lambda: [asdict(one) for one in state.assignments]
        ),
        "POST assignments": Control(
            does="Give an application a role: a built-in name, or a list of data actions.",
            body=Assignment,
            run=state.assign,
        ),
        "DELETE assignments": Control(
            does="Take all roles back; without any, everything is allowed.",
            run=state.assignments.clear,
        ),
    }


def _identities(state: State, federation: Federation) -> dict[str, Control]:
    def register(asked: Application) -> None:
        state.register(asked.client_id, asked.client_secret, asked.subject)

    def token(asked: FederatedToken) -> dict[str, str]:
        subject = asked.subject or state.application(asked.client_id).subject
        made = federation.issue(subject=subject, audience=asked.audience, seconds=asked.seconds)
        return {"token": made}

    return {
        "GET applications": Control(
            does="Who may log in, and the subject each trusts.",
            run=lambda: [
                {"client_id": client_id, "subject": known.subject}
                for client_id, known in state.applications.items()
            ],
        ),
        "POST applications": Control(
            does="Let another application log in.", body=Application, run=register
        ),
        "POST federated-tokens": Control(
            does="A token of the emulator's own issuer, as Kubernetes projects one.",
            body=FederatedToken,
            run=token,
        ),
    }


def _budgets_and_time(state: State) -> dict[str, Control]:
    def slow(asked: Deletion) -> None:
        if asked.seconds < 0:
            raise ValueError("seconds must be 0 or more")
        state.deletion_seconds = asked.seconds

    return {
        "GET budgets": Control(
            does="The requests a vault admits; null: all of them.",
            run=lambda: {"budgets": state.meter.budgets and asdict(state.meter.budgets)},
        ),
        "PUT budgets": Control(
            does="Throttle from now on; without fields by Key Vault's own numbers.",
            body=Budgets,
            run=state.meter.set,
        ),
        "DELETE budgets": Control(does="Admit everything.", run=lambda: state.meter.set(None)),
        "GET clock": Control(
            does="The emulator's time, in seconds since 1970.",
            run=lambda: {"now": state.clock.now()},
        ),
        "POST clock": Control(
            does="Let so many seconds pass at once.",
            body=Advance,
            run=lambda asked: state.clock.advance(asked.advance),
        ),
        "PUT deletion": Control(
            does="Let a soft delete take so long, by the emulator's clock.",
            body=Deletion,
            run=slow,
        ),
    }
