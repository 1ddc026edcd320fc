"""`python -m tests.bench.memory`: whether the memory of the service grows with what it has done.

One process, its record in a file, or two replicas on PostgreSQL; EC keys, no limits of vaults,
and every deployment to a name of its own. Resident memory is read when all that was handed in has
ended; of two replicas, that of the larger one.
"""

import argparse
import base64
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from app import main
from tests.bench import machine, material, report
from tests.bench.figure import Figure
from tests.bench.ground import Ground, ground
from tests.bench.material import EC, Material

# From the first to the last; in between for whoever runs this alone.
COUNTS: Final = (1_000, 5_000, 10_000, 20_000)
_SIDE_BY_SIDE: Final = 64
_FLAT: Final = 1.1


@dataclass(frozen=True, kw_only=True)
class Memory:
    """What was measured.

    Args:
        after: deployments in all → MB.
        replicas: whether there were two.
    """

    after: Mapping[int, float]
    replicas: bool

    def figures(self) -> Iterator[Figure]:
        """Each beside the first."""
        (first, before), *later = self.after.items()
        for count, megabytes in later:
            yield Figure(
                what=f"{'two replicas: ' if self.replicas else ''}memory after {count:,} "
                f"deployments, to that after {first:,}",
                rounds=[megabytes / before],
                measured=f"{megabytes:.1f} MB",
                beside=f"{before:.1f} MB",
                at_most=_FLAT,
            )


def measure(under: Ground, made: Material, counts: Sequence[int], *, replicas: bool) -> Memory:
    """Read the memory after each of *counts* deployments, in all."""
    folder = under.new_folder()
    with machine.child("tests.bench.stub", under.cores[1], main.inherited()) as stub:
        before = base64.b64encode(made.before).decode()
        port = stub.ask({"ca": str(folder / "ca.pem"), "before": before, "delay_s": 0})["port"]
        after = dict[int, float]()
        with under.started(folder, port, replicas=replicas) as running:
            for first, last in pairwise((0, *counts)):
                bodies = _bodies(made, first, last)
                under.runner.run(running.closed(bodies, (), _SIDE_BY_SIDE))
                after[last] = max(map(machine.memory_mb, running.pids))
    return Memory(after=after, replicas=replicas)


def _bodies(made: Material, first: int, last: int) -> Sequence[bytes]:
    return [made.request(f"bench-{number}", EC, number) for number in range(first, last)]


def run() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.memory", description=__doc__)
    parser.add_argument("counts", type=int, nargs="*", default=COUNTS, metavar="DEPLOYMENTS")
    parser.add_argument("--replicas", action="store_true", help="two replicas on PostgreSQL")
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that all processes end with us
    made = material.of_ec()
    with ground() as under:
        found = measure(under, made, chosen.counts, replicas=chosen.replicas)
    report.show(found.figures(), title="Resident memory of the service")
    return 0


if __name__ == "__main__":
    sys.exit(run())
