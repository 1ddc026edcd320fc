"""The programs of other makers that are clients here, and where `make clients` put them.

Missing, they are missed loudly: what they prove would otherwise be proven nowhere.
"""

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
JAVASCRIPT: Final = Path("tests/clients/javascript")


class Missing(Exception):
    """A program is not there; the message says what installs it."""


def az(root: Path = ROOT) -> Path:
    """The `az` CLI in its own environment.

    Raises:
        Missing: it was never made.
    """
    program = root / ".venv-az/bin/az"
    if not program.exists():
        raise Missing("The az CLI is missing: run `make clients`.")
    return program


def node(root: Path = ROOT) -> Path:
    """Node.js, of the wheel beside `az`.

    Raises:
        Missing: it was never installed.
    """
    program = root / ".venv-az/bin/node"
    if not program.exists():
        raise Missing("Node.js is missing: run `make clients`.")
    return program


def act(root: Path = ROOT) -> Path:
    """The program that lets the JavaScript SDK act, with that SDK beside it.

    Raises:
        Missing: the SDK was never installed.
    """
    folder = root / JAVASCRIPT
    if not (folder / "node_modules/.package-lock.json").exists():
        raise Missing("The JavaScript SDK is missing: run `make clients`.")
    return folder / "act.mjs"
