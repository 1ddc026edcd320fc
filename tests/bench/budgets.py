"""`python -m tests.bench.budgets`: many deployments to several vaults that count as Azure does.

How long they take beside what the limits allow, and how often a vault said 429. Where one core
does not reach the limits, `--scale 0.3` makes those of both sides smaller.
"""

import argparse
import asyncio
import os
import signal
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import uvloop

from app import main
from tests.bench import machine, material
from tests.bench.loops import Run
from tests.bench.material import KINDS
from tests.bench.service import VAULTS_PER_SUBSCRIPTION, Limits, Service, service

_KIND: Final = "EC P-256"
_LEAVES: Final = 60
_SIDE_BY_SIDE: Final = 128  # twice the pool, so that it never lacks work
_WINDOW_S: Final = 10
_IMPORTS, _CALLS = 300, 4000  # in a window, to one vault


def _bodies(count: int, vaults: int, name: str) -> list[bytes]:
    """Requests for so many names, in each vault in turn."""
    made = material.make({kind: _LEAVES if kind == _KIND else 0 for kind in KINDS})
    urls = [f"https://bench-{number}.vault.azure.net" for number in range(vaults)]
    return [
        made.request(f"{name}-{number}", _KIND, number, urls[number % vaults])
        for number in range(count)
    ]


def measure(count: int, vaults: int, limits: Limits) -> tuple[Run, dict[str, Any]]:
    """Deploy, and say what it took and what the vaults saw."""
    mine, others = machine.cores()
    machine.hold(os.getpid(), others)
    bodies, warm = _bodies(count, vaults, "bench"), _bodies(vaults, vaults, "warm")
    with ExitStack() as stack:
        runner = stack.enter_context(asyncio.Runner(loop_factory=uvloop.new_event_loop))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        environment = main.inherited()
        counting = machine.child("tests.bench.counting", others, environment)
        vault = stack.enter_context(counting)
        told = {"ca": str(folder / "ca.pem"), "imports": limits.imports, "others": limits.calls}
        port: int = vault.ask(told)["port"]
        started = service(folder, port, mine, settings=limits.settings())
        running: Service = stack.enter_context(started)
        run = runner.run(running.closed(bodies, warm, _SIDE_BY_SIDE))
        return run, vault.ask({})


def run() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.budgets", description=__doc__)
    parser.add_argument("--deployments", type=int, default=3000)
    parser.add_argument("--vaults", type=int, default=10)
    parser.add_argument("--scale", type=float, default=1.0, help="of all limits, on both sides")
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that all processes end with us
    limits = Limits(imports=round(_IMPORTS * chosen.scale), calls=round(_CALLS * chosen.scale))
    took, seen = measure(chosen.deployments, chosen.vaults, limits)
    admitted = limits.imports * min(chosen.vaults, VAULTS_PER_SUBSCRIPTION)
    allowed = _WINDOW_S * chosen.deployments / admitted
    sys.stdout.write(
        f"{chosen.deployments} deployments to {chosen.vaults} vaults; {limits.imports} imports "
        f"and {limits.calls} other calls in 10 s to each, five times that to all\n"
        f"took {took.seconds:.1f} s, where the limits allow {allowed:.1f} s "
        f"({took.seconds / allowed - 1:+.1%}); {took.rate:.1f} a second\n"
        f"429s: {seen['throttled']}; imports in the fullest 10 s: {seen['fullest']} of {admitted}\n"
        f"CPU of the service: {took.cpu_each * 1000:.1f} ms each, "
        f"{took.cpu_s / took.seconds:.0%} of one core\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(run())
