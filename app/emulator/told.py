"""What the emulator can be told over HTTP: the same classes that tests in Python use.

The control API reads them with pydantic, strictly: a wrong type or an unknown field is refused.
"""

from typing import ClassVar

from pydantic import ConfigDict


class Told:
    """A dataclass of this kind may come as JSON."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid", strict=True, allow_inf_nan=False
    )


class Absent(Exception):
    """What is asked about is not there; its text is a sentence for the tester."""
