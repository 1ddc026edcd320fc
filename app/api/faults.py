"""pydantic's errors in our words: the field, a stable code, a sentence, and never the input.

pydantic's own messages may repeat what was sent, and here that may be a private key.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from app.errors import Fault

# pydantic's type: (our code, our sentence). Only limits of ours may be filled in.
_SENTENCES: Final[Mapping[str, tuple[str, str]]] = {
    "missing": ("missing", "This field is required."),
    "extra_forbidden": ("unknown-field", "There is no such field here."),
    "string_type": ("not-a-string", "Send a string."),
    "string_too_long": ("too-long", "Use {max_length} characters at the most."),
    "string_too_short": ("too-short", "Use {min_length} characters at the least."),
    "string_pattern_mismatch": ("pattern-mismatch", "This is not written as it must be."),
    "string_unicode": ("not-unicode", "Send valid UTF-8."),
    "bool_type": ("not-a-boolean", "Send true or false."),
    "int_type": ("not-an-integer", "Send a whole number."),
    "int_parsing": ("not-an-integer", "Send a whole number."),
    "int_parsing_size": ("not-an-integer", "Send a smaller whole number."),
    "int_from_float": ("not-an-integer", "Send a whole number."),
    "greater_than_equal": ("too-small", "Send {ge} at the least."),
    "less_than_equal": ("too-large", "Send {le} at the most."),
    "dict_type": ("not-an-object", "Send a JSON object."),
    "model_type": ("not-an-object", "Send a JSON object."),
    "model_attributes_type": ("not-an-object", "Send a JSON object."),
    "too_long": ("too-many", "Send {max_length} entries at the most."),
    "enum": ("not-a-choice", "Use one of: {expected}."),
    "literal_error": ("not-a-choice", "Use one of: {expected}."),
}
_OTHER: Final = ("invalid", "This value is not valid.")
_OURS: Final = ("max_length", "min_length", "ge", "le", "expected")
_PLAIN: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_KEBAB: Final = re.compile(r"[a-z]+(-[a-z]+)+")


def named(found: Iterable[Mapping[str, Any]]) -> tuple[Fault, ...]:
    """The faults that pydantic *found*, in its order."""
    return tuple(_fault(one) for one in found)


def _fault(one: Mapping[str, Any]) -> Fault:
    kind, limits = one["type"], one.get("ctx") or {}
    if _KEBAB.fullmatch(kind):  # a check of our own, with its own sentence
        return Fault(field=path(one["loc"]), code=kind, message=one["msg"])
    code, text = _SENTENCES.get(kind, _OTHER)
    ours = {key: limits[key] for key in _OURS if key in limits}
    return Fault(field=path(one["loc"]), code=code, message=text.format_map(ours))


def path(steps: Iterable[int | str]) -> str:
    """The dotted path. A name that is no plain word may be a value put in the wrong place: `*`."""
    words = [str(step) for step in steps if step != "[key]"]
    return ".".join(word if _PLAIN.fullmatch(word) else "*" for word in words) or "body"
