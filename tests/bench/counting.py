"""The embedded Key Vault as a process of its own, that counts requests as Azure does.

One line of JSON on standard input configures it: where to put the CA, and the `imports` and
`others` that a vault admits in ten seconds. Every further line is answered with what was served
so far: `imported`, `throttled`, and how many imports began in the `fullest` ten seconds.
"""

import json
import sys
from bisect import bisect_left
from typing import Any, Final

from app.emulator import Budgets, Emulator
from tests.bench.service import TENANT

_OK: Final = 200
_THROTTLED: Final = 429
_WINDOW_S: Final = 10


def _served(emulator: Emulator) -> dict[str, int]:
    calls = emulator.calls
    times = sorted(one.at for one in calls if one.operation == "import" and one.status == _OK)
    within = [bisect_left(times, at + _WINDOW_S) - number for number, at in enumerate(times)]
    return {
        "imported": len(times),
        "throttled": sum(one.status == _THROTTLED for one in calls),
        "fullest": max(within, default=0),
    }


def _serve(told: dict[str, Any]) -> None:
    budgets = Budgets(imports=told["imports"], others=told["others"])
    emulator = Emulator(
        tenant_id=TENANT, client_id="client", client_secret="secret", budgets=budgets
    )
    with emulator.running():
        emulator.write_ca(told["ca"])
        _say({"port": emulator.port})
        for _ in sys.stdin:
            _say(_served(emulator))


def _say(what: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _serve(json.loads(sys.stdin.readline()))
