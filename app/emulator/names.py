"""Names as Key Vault takes them: told apart without regard to case, shown as first written."""

from collections.abc import Iterator, MutableMapping
from typing import TypeVar

_Value = TypeVar("_Value")


class ByName(MutableMapping[str, _Value]):
    """Values by name."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[str, _Value]] = {}

    def __getitem__(self, name: str) -> _Value:
        return self._found[name.lower()][1]

    def __setitem__(self, name: str, value: _Value) -> None:
        shown, _ = self._found.get(name.lower(), (name, value))
        self._found[name.lower()] = (shown, value)

    def __delitem__(self, name: str) -> None:
        del self._found[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter([shown for shown, _ in self._found.values()])

    def __len__(self) -> int:
        return len(self._found)

    def shown(self, name: str) -> str:
        """A name as it was first written. Raises KeyError."""
        return self._found[name.lower()][0]
