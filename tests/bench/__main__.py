"""`python -m tests.bench [--quick]`: measure everything, print the table, draw the picture."""

import argparse
import base64
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from app import main
from tests.bench import chart, machine, material, report
from tests.bench.cluster import cluster
from tests.bench.figures import figures
from tests.bench.ground import ground
from tests.bench.machine import Child
from tests.bench.material import Material
from tests.bench.rounds import FULL, QUICK, Extent, Found, Rounds, Sides
from tests.bench.service import TENANT, service

_DELAY_S: Final = 0.03  # of every call
_PROBES: Final = 3
_FORGETFUL: Final = {"STORE__URL": "sqlite:///:memory:"}


def bench(extent: Extent) -> Found:
    """Measure everything."""
    until = time.monotonic() + extent.until_s
    made = material.make(extent.leaves)
    with ExitStack() as stack:
        under = stack.enter_context(ground())
        folder, (mine, others) = under.folder, under.cores
        port = _stub(stack, folder, made, others)
        bare = _bare(stack, folder, port, made, mine)
        on_uvloop = _bare(stack, folder, port, made, mine, uvloop=True)
        rounds = Rounds(under, port, made, extent)
        with (
            service(folder, port, mine) as single,
            service(folder, port, mine, settings=_FORGETFUL) as forgetful,
            cluster(folder, port, under.cores, under.postgres) as pair,
        ):
            sides = Sides(
                service=single, forgetful=forgetful, cluster=pair, bare=bare, on_uvloop=on_uvloop
            )
            rounds.compare(sides, until=until)
        for _ in range(_PROBES):
            rounds.lateness()
            rounds.overload()
        for _ in range(extent.kills):
            rounds.takeover()
        rounds.long()
        return rounds.found


def _stub(stack: ExitStack, folder: Path, made: Material, core: set[int]) -> int:
    """Start the stub; its port. Its CA is in the folder then."""
    started = stack.enter_context(machine.child("tests.bench.stub", core, _environment(folder)))
    before = base64.b64encode(made.before).decode()
    told = {"ca": str(folder / "ca.pem"), "before": before, "delay_s": _DELAY_S}
    port: int = started.ask(told)["port"]
    return port


def _bare(
    stack: ExitStack,
    folder: Path,
    port: int,
    made: Material,
    core: set[int],
    *,
    uvloop: bool = False,
) -> Child:
    started = stack.enter_context(machine.child("tests.bench.bare", core, _environment(folder)))
    url = f"https://127.0.0.1:{port}"
    started.tell({"vault_url": url, "tenant": TENANT, "pfx": made.pfx(), "uvloop": uvloop})
    return started


def _environment(folder: Path) -> Mapping[str, str]:
    """OpenSSL's own variable makes the SDK trust the stub, with no option that would slow it."""
    ours = {"SSL_CERT_FILE": str(folder / "ca.pem"), "NO_PROXY": "127.0.0.1"}
    return {**main.inherited(), **ours}


def run() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="less of everything")
    parser.add_argument("--picture", type=Path, default=Path("bench.png"), help="where to draw")
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that all processes end with us
    began = time.monotonic()
    found = bench(QUICK if chosen.quick else FULL)
    rounds, seconds = len(found.runs["service_many"]), time.monotonic() - began
    shown = list(figures(found))
    text = "The service beside a bare script of the Azure SDK, each call taking"
    title = f"{text} {_MS * _DELAY_S:.0f} ms; {rounds} rounds, {seconds:.0f} s"
    report.show(shown, title=title)
    chart.draw(shown, chosen.picture, title=title)
    return 0


_MS: Final = 1000


if __name__ == "__main__":
    sys.exit(run())
