"""What is held: shown to nobody, copied nowhere, and let go."""

import copy
import pickle
from collections.abc import Callable

import pytest

from app.deployment.connector import Held
from app.errors import KeyGone
from tests.certificates import Issued, ec_key

_COPIES: dict[str, Callable[[object], object]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": pickle.dumps,
    "pickle-old": lambda held: pickle.dumps(held, protocol=0),
}
_TEXTS: dict[str, Callable[[object], str]] = {
    "repr": repr,
    "str": str,
    "f-string": lambda held: f"{held}",
    "percent": lambda held: f"{held!r:>10}",
}


@pytest.mark.parametrize("copied", _COPIES.values(), ids=_COPIES)
def test_what_is_held_cannot_be_copied(copied: Callable[[object], object], held: Held) -> None:
    with pytest.raises(TypeError, match=r"^what is held .* is never copied or pickled$"):
        copied(held)


@pytest.mark.parametrize("text", _TEXTS.values(), ids=_TEXTS)
def test_what_is_held_cannot_be_printed(text: Callable[[object], str], held: Held) -> None:
    assert text(held).strip() == "<Held>"


def test_what_is_held_has_no_dictionary_to_look_into(held: Held) -> None:
    with pytest.raises(TypeError):
        vars(held)


def test_what_is_held_is_what_was_sent_and_nothing_looked_up_yet(issued: Issued) -> None:
    bundle, previous_key = issued.bundle(), ec_key()
    held = Held(bundle, previous_key)

    assert (held.bundle, held.previous_key) == (bundle, previous_key)
    learnt = (held.previous, held.looked, held.deadline, held.left, held.landed, held.put_back)
    assert learnt == (None,) * 6
    assert isinstance(held.gone, KeyGone)


def test_letting_go_lets_go_of_every_key(issued: Issued) -> None:
    bundle = issued.bundle()
    held = Held(bundle, ec_key())
    held.previous = b"the previous secret"

    held.drop()

    assert not any((held.bundle, held.previous_key, held.previous))
    with pytest.raises(ValueError, match="dropped"):
        _ = bundle.key


def test_letting_go_twice_or_of_nothing_is_harmless() -> None:
    held = Held()
    held.drop()
    held.drop()

    assert held.bundle is None
