"""The control API under /_control/: what the Python API does, for tests in other languages.

Only there when asked for; it needs no token, so the emulator must then be reachable by its
tester alone.
"""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import orjson

from app.emulator import faults
from app.emulator.access import Denial
from app.emulator.faults import Effect, Fault
from app.emulator.state import State
from app.emulator.wire import Reply, Request

PREFIX = "/_control/"

_EFFECTS: dict[str, type[Effect]] = {
    "answer": faults.Answer,
    "drop": faults.Drop,
    "delay": faults.Delay,
    "stale_read": faults.StaleRead,
    "another_writer": faults.AnotherWriter,
    "store_another": faults.StoreAnother,
    "forget_tags": faults.ForgetTags,
}
_KINDS = {kind: name for name, kind in _EFFECTS.items()}


class Control:
    """Serves the control API."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._routes: dict[str, Callable[[dict[str, Any]], object]] = {
            "GET faults": lambda _: [_fault_shape(fault) for fault in state.faults.active()],
            "POST faults": lambda body: state.faults.add(_fault(body)),
            "DELETE faults": lambda _: state.faults.clear(),
            "GET calls": lambda _: self._calls(),
            "GET denials": lambda _: [asdict(denial) for denial in state.denials],
            "POST denials": lambda body: state.denials.append(Denial(**body)),
            "DELETE denials": lambda _: state.denials.clear(),
            "POST clock": lambda body: state.clock.advance(float(body["advance"])),
            "POST reset": lambda _: state.reset(),
        }

    def __call__(self, request: Request) -> Reply | None:
        """The reply, or None if the request is not for the control API."""
        if not request.path.startswith(PREFIX):
            return None
        serve = self._routes.get(f"{request.method} {request.path.removeprefix(PREFIX)}")
        if serve is None:
            return Reply(status=404, document={"error": "no such control"})
        try:
            result = serve(request.json() if request.body else {})
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
            return Reply(status=400, document={"error": f"{type(error).__name__}: {error}"})
        return Reply(status=204) if result is None else Reply(document=result)

    def _calls(self) -> dict[str, Any]:
        calls = [asdict(call) for call in self._state.calls]
        return {"calls": calls, "writes": self._state.writes}


def _fault(body: dict[str, Any]) -> Fault:
    """{"operation": "import", "effect": {"kind": "answer", "status": 503}, "count": 2, ...}."""
    words = dict(body["effect"])
    kind = _EFFECTS[words.pop("kind")]
    if "headers" in words:
        words["headers"] = tuple((name, text) for name, text in words["headers"])
    return Fault(**{**body, "effect": kind(**words)})


def _fault_shape(fault: Fault) -> dict[str, Any]:
    effect = {"kind": _KINDS[type(fault.effect)], **asdict(fault.effect)}
    return {**asdict(fault), "effect": effect}
