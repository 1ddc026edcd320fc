"""What is measured, and in which order.

Service and bare script take turns in every round, and who begins changes from round to round;
what is compared was measured within seconds of each other. Every deployment is a renewal under a
name of its own, so targets run side by side.
"""

import itertools
import json
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.hashes import SHA256

from tests import certificates
from tests.bench import budgets, memory
from tests.bench.budgets import Budgeted, Load
from tests.bench.cluster import Cluster, cluster
from tests.bench.ground import Ground
from tests.bench.loops import Run
from tests.bench.machine import Child
from tests.bench.material import EC, KINDS, RSA_2048, Material
from tests.bench.memory import COUNTS, Memory
from tests.bench.overload import QUEUE_LIMIT, Overload, overload
from tests.bench.service import Service, service

SIDE_BY_SIDE: Final = 64
_WARM: Final = 8  # deployments before those that count, at the least
_GAUGED: Final = 200
_OVER: Final = 2  # times what the service can do
_APART: Final = 10_000  # numbers of the bare script's names, from run to run


@dataclass(frozen=True, kw_only=True)
class Extent:
    """How much is measured.

    Args:
        rounds: at the most; three at the least.
        until_s: no further round begins so late, in seconds after the start.
        single: deployments one by one, in a round.
        many: deployments side by side, in a round.
        half_s: seconds at half load, in a round.
        over: deployments offered at twice the rate; half of them are too many for pool and queue.
        kills: replicas that are killed, each of a new pair.
        leaves: certificates of each kind.
        memory: deployments after which memory is read.
        budgets: deployments to vaults that throttle.
    """

    rounds: int
    until_s: float
    single: int
    many: int
    half_s: float
    over: int
    kills: int
    leaves: Mapping[str, int]
    memory: Sequence[int]
    budgets: Load


FULL: Final = Extent(
    rounds=6,
    until_s=240,
    single=20,
    many=400,
    half_s=3,
    over=1000,
    kills=3,
    leaves={RSA_2048: 120, "RSA-3072": 60, "RSA-4096": 40, EC: 120},
    memory=(COUNTS[0], COUNTS[-1]),
    budgets=Load(),
)
QUICK: Final = Extent(
    rounds=3,
    until_s=60,
    single=10,
    many=200,
    half_s=1.5,
    over=500,
    kills=1,
    leaves={RSA_2048: 40, "RSA-3072": 20, "RSA-4096": 10, EC: 40},
    memory=(500, 1500),
    budgets=Load(deployments=900, scale=0.3),
)
LEAST_ROUNDS: Final = 3


@dataclass(frozen=True, kw_only=True)
class Sides:
    """All that is measured side by side.

    Args:
        service: one process, its record in a file.
        forgetful: the same, its record in memory.
        cluster: two processes, their record in PostgreSQL.
        bare: the script.
        on_uvloop: the script on the faster event loop.
    """

    service: Service
    forgetful: Service
    cluster: Cluster
    bare: Child
    on_uvloop: Child


@dataclass(frozen=True, kw_only=True)
class Found:
    """What was measured, round by round.

    Args:
        runs: `<who>_<how>` → its runs.
        lateness: kind of key → how late the event loop was, in seconds, in each process.
        gauge: CPU seconds of one signature by an RSA-2048 key and its check: how fast the machine
            is just now.
        overload: what came of twice the load, in each process.
        takeover: seconds from each kill until all was ended.
        memory: of one process, and of two replicas.
        budgets: likewise.
    """

    runs: dict[str, list[Run]] = field(default_factory=dict)
    lateness: dict[str, list[list[float]]] = field(default_factory=dict)
    gauge: list[float] = field(default_factory=list)
    overload: list[Overload] = field(default_factory=list)
    takeover: list[float] = field(default_factory=list)
    memory: list[Memory] = field(default_factory=list)
    budgets: list[Budgeted] = field(default_factory=list)

    def keep(self, name: str, run: Run) -> None:
        """Keep the run of one round."""
        self.runs.setdefault(name, []).append(run)


class Rounds:
    """Measures, round by round.

    Args:
        under: event loop, folder, cores and PostgreSQL.
        port: where the stub of Key Vault is; its CA is in the folder.
        made: certificates and requests.
        extent: how much.
    """

    def __init__(self, under: Ground, port: int, made: Material, extent: Extent) -> None:
        self._under = under
        self._runner = under.runner
        self._mine = (under.folder, port, under.cores[0])
        self._both = (under.folder, port, under.cores, under.postgres)
        self._made = made
        self._extent = extent
        self._numbers = itertools.count()
        self.found = Found()

    def compare(self, sides: Sides, *, until: float) -> None:
        """All rounds; but for the first, none begins after *until*."""
        for number in range(self._extent.rounds):
            if number < LEAST_ROUNDS or time.monotonic() < until:
                self._round(sides)

    def _round(self, sides: Sides) -> None:
        extent = self._extent
        self._pair("single", extent.single, 1, sides)
        self._closed("cluster_single", extent.single, 1, sides.cluster)
        self._pair("many", extent.many, SIDE_BY_SIDE, sides)
        asked = self._ask(sides.on_uvloop, extent.many, SIDE_BY_SIDE)
        self.found.keep("uvloop_many", asked)
        self._closed("cluster_many", extent.many, SIDE_BY_SIDE, sides.cluster)
        self._durability(sides)
        self._half(sides.service)
        self.found.gauge.append(_gauge())

    def lateness(self) -> None:
        """How late the event loop is at half load, for each kind of key, in a new process.

        Each key is seen once by that process.
        """
        file = self._under.folder / "lateness.json"
        rate = statistics.median(run.rate for run in self.found.runs["service_many"]) / 2
        windows: dict[str, Run] = {}
        with service(*self._mine, ("-m", "tests.bench.probe", str(file))) as running:
            for kind in KINDS:
                bodies = self._bodies(len(self._made.leaves[kind]), kind)
                windows[kind] = self._runner.run(running.paced(bodies, self._bodies(_WARM), rate))
        samples = json.loads(file.read_text())
        for kind, run in windows.items():
            inside = [late for at, late in samples if 0 <= at - run.began <= run.seconds]
            self.found.lateness.setdefault(kind, []).append(inside)

    def overload(self) -> None:
        """Twice of what a new process can do, as it has just shown."""
        limit = {"WORKER__QUEUE_LIMIT": str(QUEUE_LIMIT)}
        bodies, warm = self._bodies(self._extent.many), self._bodies(SIDE_BY_SIDE)
        with service(*self._mine, settings=limit) as running:
            can = self._runner.run(running.closed(bodies, warm, SIDE_BY_SIDE)).rate
            offered = self._bodies(self._extent.over)
            self.found.overload.append(self._runner.run(overload(running, offered, _OVER * can)))

    def takeover(self) -> None:
        """Kill one of a new pair of replicas while both carry deployments."""
        bodies, warm = self._bodies(SIDE_BY_SIDE), self._bodies(_WARM)
        with cluster(*self._both) as running:
            self.found.takeover.append(self._runner.run(running.takeover(bodies, warm)))

    def long(self) -> None:
        """What takes many deployments: whether memory grows, and what throttling vaults allow."""
        under, made, extent = self._under, self._made, self._extent
        for replicas in (False, True):
            self.found.memory.append(memory.measure(under, made, extent.memory, replicas=replicas))
            self.found.budgets.append(
                budgets.measure(under, made, extent.budgets, replicas=replicas)
            )

    def _pair(self, how: str, count: int, side_by_side: int, sides: Sides) -> None:
        """Service and script in turn, then the script with its calls one by one."""
        service_first = len(self.found.runs.get(f"sequential_{how}", ())) % 2 == 0
        for service_now in (service_first, not service_first):
            if service_now:
                self._closed(f"service_{how}", count, side_by_side, sides.service)
            else:
                self.found.keep(f"bare_{how}", self._ask(sides.bare, count, side_by_side))
        asked = self._ask(sides.bare, count, side_by_side, "sequential")
        self.found.keep(f"sequential_{how}", asked)

    def _durability(self, sides: Sides) -> None:
        """Record in a file and record in memory in turn."""
        turns = [("file_many", sides.service), ("memory_many", sides.forgetful)]
        if len(self.found.runs.get("file_many", ())) % 2:
            turns.reverse()
        for name, running in turns:
            self._closed(name, self._extent.many, SIDE_BY_SIDE, running)

    def _closed(self, name: str, count: int, side_by_side: int, running: Service | Cluster) -> None:
        bodies, warm = self._bodies(count), self._bodies(max(side_by_side, _WARM))
        self.found.keep(name, self._runner.run(running.closed(bodies, warm, side_by_side)))

    def _half(self, running: Service) -> None:
        """Half of what this round's service has just shown that it can do."""
        rate = self.found.runs["service_many"][-1].rate / 2
        bodies, warm = self._bodies(int(rate * self._extent.half_s)), self._bodies(SIDE_BY_SIDE)
        self.found.keep("service_half", self._runner.run(running.paced(bodies, warm, rate)))

    def _ask(self, bare: Child, count: int, side_by_side: int, variant: str = "gathered") -> Run:
        asked = {"variant": variant, "concurrency": side_by_side}
        warm = max(side_by_side, _WARM)
        bare.ask({**asked, "first": next(self._numbers) * _APART, "count": warm})
        told = bare.ask({**asked, "first": next(self._numbers) * _APART, "count": count})
        latencies = tuple(told["latencies"])
        return Run(seconds=told["seconds"], latencies=latencies, cpu_s=told["cpu_s"])

    def _bodies(self, count: int, kind: str = RSA_2048) -> list[bytes]:
        name = f"bench-{next(self._numbers)}"
        return [self._made.request(f"{name}-{at}", kind, at) for at in range(count)]


def _gauge() -> float:
    key = certificates.rsa_key()
    before = time.process_time()
    for _ in range(_GAUGED):
        signature = key.sign(b"", padding.PKCS1v15(), SHA256())
        key.public_key().verify(signature, b"", padding.PKCS1v15(), SHA256())
    return (time.process_time() - before) / _GAUGED
