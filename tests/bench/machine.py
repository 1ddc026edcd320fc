"""Processes: started, held to a core, asked line by line, and ended by whoever started them."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_STOP_S: Final = 20
_STAT: Final = "/proc/{pid}/stat"
_KB_IN_MB: Final = 1024
_IDLE: Final = slice(3, 5)  # proc_stat(5): idle, and idle until a disk answers
_GUEST: Final = 9  # guests' time is in user's
_UTIME, _STIME = 11, 12  # proc_pid_stat(5), counted from behind the name


def cores() -> tuple[set[int], set[int]]:
    """The core of what is measured, and those of all else; empty where they cannot be told."""
    if not hasattr(os, "sched_getaffinity"):
        return set(), set()
    own = sorted(os.sched_getaffinity(0))
    return {own[0]}, set(own[1:] or own)


def hold(pid: int, to: set[int]) -> None:
    """Hold a process to some cores, where that can be done; its threads follow."""
    if to:
        os.sched_setaffinity(pid, to)


def cpu_s(pid: int) -> float:
    """CPU seconds of a process, user and system, all threads; `nan` without /proc."""
    try:
        text = Path(_STAT.format(pid=pid)).read_text()
    except OSError:
        return float("nan")
    fields = text.rpartition(")")[2].split()
    ticks = int(fields[_UTIME]) + int(fields[_STIME])
    return ticks / os.sysconf("SC_CLK_TCK")


@dataclass
class Busy:
    """The `share` of what all cores could do that was done, by whoever; `nan` without /proc."""

    share: float = float("nan")


@contextmanager
def busy() -> Iterator[Busy]:
    """How busy this machine is while the block runs; told at its end."""
    found, (worked, idled) = Busy(), _ticks()
    yield found
    worked, idled = (now - before for now, before in zip(_ticks(), (worked, idled), strict=True))
    found.share = worked / (worked + idled)


def _ticks() -> tuple[float, float]:
    """Of all cores, those with work and those without."""
    try:
        first, _, _ = Path("/proc/stat").read_text().partition("\n")
    except OSError:
        return float("nan"), float("nan")
    ticks = [int(field) for field in first.split()[1:_GUEST]]
    idled = sum(ticks[_IDLE])
    return sum(ticks) - idled, idled


def memory_mb(pid: int) -> float:
    """Resident memory of a process, in MB (proc_pid_status(5)); `nan` without /proc."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return float("nan")
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / _KB_IN_MB


class Child:
    """A process that is told things in lines of JSON on its standard input, and answers so."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def tell(self, what: Mapping[str, Any]) -> None:
        """Say something."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()

    def ask(self, what: Mapping[str, Any]) -> Any:  # noqa: ANN401 - any JSON
        """Say something, and wait for the answer."""
        self.tell(what)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise OSError(f"{self._process.args!r} ended")
        return json.loads(line)


@contextmanager
def child(module: str, core: set[int], environment: Mapping[str, str]) -> Iterator[Child]:
    """Run `python -m module` until the block ends, and its standard input with it."""
    process = subprocess.Popen(
        [sys.executable, "-m", module],
        env=dict(environment),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    hold(process.pid, core)
    with process:
        try:
            yield Child(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            _ended(process)


@contextmanager
def running(
    arguments: Sequence[str], core: set[int], environment: Mapping[str, str], log: Path
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run `python *arguments` until the block ends, with what it says in a file."""
    with log.open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
        )
    hold(process.pid, core)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        _ended(process)


def _ended(process: "subprocess.Popen[Any]") -> None:
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
