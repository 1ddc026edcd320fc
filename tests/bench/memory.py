"""`python -m tests.bench.memory`: whether the memory of the service grows with what it has done.

One process, its record in a file; EC keys, no limits of vaults, and every deployment to a name of
its own. Its resident memory is read when all that was handed in has ended.
"""

import argparse
import asyncio
import base64
import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Final

import uvloop

from app import main
from tests.bench import machine, material
from tests.bench.material import KINDS, Material
from tests.bench.service import Service, service

_KIND: Final = "EC P-256"
_LEAVES: Final = 60
_SIDE_BY_SIDE: Final = 64


def measure(counts: Sequence[int]) -> Iterator[float]:
    """MB after each of *counts* deployments, in all."""
    made = material.make({kind: _LEAVES if kind == _KIND else 0 for kind in KINDS})
    mine, others = machine.cores()
    machine.hold(os.getpid(), others)
    with ExitStack() as stack:
        runner = stack.enter_context(asyncio.Runner(loop_factory=uvloop.new_event_loop))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stub = stack.enter_context(machine.child("tests.bench.stub", others, main.inherited()))
        before = base64.b64encode(made.before).decode()
        port = stub.ask({"ca": str(folder / "ca.pem"), "before": before, "delay_s": 0})["port"]
        running: Service = stack.enter_context(service(folder, port, mine))
        for first, last in pairwise((0, *counts)):
            runner.run(running.closed(_bodies(made, first, last), (), _SIDE_BY_SIDE))
            yield machine.memory_mb(running.pid)


def _bodies(made: Material, first: int, last: int) -> Sequence[bytes]:
    return [made.request(f"bench-{number}", _KIND, number) for number in range(first, last)]


def run() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.memory", description=__doc__)
    parser.add_argument(
        "counts", type=int, nargs="*", default=[1_000, 5_000, 10_000, 20_000], metavar="DEPLOYMENTS"
    )
    counts = parser.parse_args().counts
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that all processes end with us
    first = None
    for count, megabytes in zip(counts, measure(counts), strict=True):
        first = megabytes if first is None else first
        sys.stdout.write(f"{count:>7} deployments: {megabytes:6.1f} MB, {megabytes / first:.2f}\n")
        sys.stdout.flush()
    sys.stdout.write("Flat is up to 1.10 from 1,000 to 20,000 deployments.\n")
    return 0


if __name__ == "__main__":
    sys.exit(run())
