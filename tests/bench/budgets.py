"""`python -m tests.bench.budgets`: many deployments to several vaults that count as Azure does.

By one process, or by two replicas that share what the vaults admit. How long they take beside what
the limits allow, and how often a vault said 429. Where the cores do not reach the limits (how
busy they are is told), `--scale 0.3` makes those of both sides and the pool smaller.
"""

import argparse
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from app import main
from app.settings import WorkerGroup
from tests.bench import machine, material, report
from tests.bench.figure import Figure
from tests.bench.ground import Ground, ground
from tests.bench.loops import Run
from tests.bench.material import EC, Material
from tests.bench.service import VAULTS_PER_SUBSCRIPTION, Limits

_POOL: Final = WorkerGroup().concurrency
_FOLD: Final = 2  # the pool of each replica is handed in at once, so that it never lacks work
_WINDOW_S: Final = 10
_IMPORTS, _CALLS = 300, 4000  # in a window, to one vault
_AT_MOST: Final = 1.1
_PERCENT: Final = 100
_MS: Final = 1000
_COUNTED_S: Final = 2.0  # replicas count each other twice a second


@dataclass(frozen=True, kw_only=True)
class Load:
    """So many deployments to so many vaults, with limits that are *scale* of Key Vault's."""

    deployments: int = 3000
    vaults: int = 10
    scale: float = 1.0

    @property
    def limits(self) -> Limits:
        """Of the vaults and of the service."""
        return Limits(imports=round(_IMPORTS * self.scale), calls=round(_CALLS * self.scale))

    @property
    def pool(self) -> int:
        """Deployments that a replica has in hand: the same part of all as at full scale."""
        return max(1, round(_POOL * self.scale))

    def settings(self) -> dict[str, str]:
        """What the service is told."""
        return {**self.limits.settings(), "WORKER__CONCURRENCY": str(self.pool)}

    @property
    def admitted(self) -> int:
        """Imports in ten seconds, to all vaults."""
        return self.limits.imports * min(self.vaults, VAULTS_PER_SUBSCRIPTION)

    @property
    def allowed_s(self) -> float:
        """Seconds that the limits allow for all of it."""
        return _WINDOW_S * self.deployments / self.admitted

    def bodies(self, made: Material, count: int, name: str) -> list[bytes]:
        """Requests for so many names, in each vault in turn."""
        urls = [f"https://bench-{number}.vault.azure.net" for number in range(self.vaults)]
        return [
            made.request(f"{name}-{number}", EC, number, urls[number % self.vaults])
            for number in range(count)
        ]

    def __str__(self) -> str:
        """For the table."""
        scaled = "" if self.scale == 1 else f"{self.scale:g} of "
        return (
            f"{self.deployments:,} deployments to {self.vaults} vaults, {scaled}Key Vault's limits"
        )


@dataclass(frozen=True, kw_only=True)
class Budgeted:
    """What was measured.

    Args:
        load: of it.
        replicas: whether there were two.
        run: what it took.
        throttled: how often a vault said 429.
        fullest: imports in those ten seconds that had the most.
        busy: percent of what all cores of this machine could do meanwhile.
    """

    load: Load
    replicas: bool
    run: Run
    throttled: int
    fullest: int
    busy: float

    def figures(self) -> Iterator[Figure]:
        """Those with a target, and what they are to be judged by."""
        who = "two replicas: " if self.replicas else ""
        yield Figure(
            what=f"{who}{self.load}: time, to what these allow",
            rounds=[self.run.seconds / self.load.allowed_s],
            measured=f"{self.run.seconds:.1f} s",
            beside=f"{self.load.allowed_s:.1f} s",
            at_most=_AT_MOST,
        )
        yield Figure(
            what=f"{who}429s meanwhile (beside: most imports in {_WINDOW_S} s, limit)",
            rounds=[self.throttled],
            measured=f"{self.fullest}",
            beside=f"{self.load.admitted}",
            at_most=0,
        )
        yield Figure(
            what=f"{who}this machine, busy meanwhile (measured: CPU of the service for each)",
            rounds=[self.busy],
            unit=" %",
            measured=f"{_MS * self.run.cpu_each:.1f} ms",
        )


def measure(under: Ground, made: Material, load: Load, *, replicas: bool) -> Budgeted:
    """Deploy, and say what it took and what the vaults saw."""
    folder, limits = under.new_folder(), load.limits
    bodies = load.bodies(made, load.deployments, "bench")
    warm = load.bodies(made, load.vaults, "warm")
    with machine.child("tests.bench.counting", under.cores[1], main.inherited()) as vaults:
        told = {"ca": str(folder / "ca.pem"), "imports": limits.imports, "others": limits.calls}
        port: int = vaults.ask(told)["port"]
        with under.started(folder, port, load.settings(), replicas=replicas) as running:
            if replicas:
                time.sleep(_COUNTED_S)
            deploying = running.closed(bodies, warm, _FOLD * load.pool * len(running.pids))
            with machine.busy() as busy:
                run = under.runner.run(deploying)
        seen = vaults.ask({})
    return Budgeted(
        load=load,
        replicas=replicas,
        run=run,
        throttled=seen["throttled"],
        fullest=seen["fullest"],
        busy=_PERCENT * busy.share,
    )


def run() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.budgets", description=__doc__)
    parser.add_argument("--deployments", type=int, default=Load.deployments)
    parser.add_argument("--vaults", type=int, default=Load.vaults)
    parser.add_argument("--scale", type=float, default=Load.scale, help="of limits and pool")
    parser.add_argument("--replicas", action="store_true", help="two replicas on PostgreSQL")
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that all processes end with us
    load = Load(deployments=chosen.deployments, vaults=chosen.vaults, scale=chosen.scale)
    made = material.of_ec()
    with ground() as under:
        found = measure(under, made, load, replicas=chosen.replicas)
    report.show(found.figures(), title="Deployments to vaults that throttle")
    return 0


if __name__ == "__main__":
    sys.exit(run())
