"""The error tree: complete, named once, and worded for the person who must act."""

import re

import pytest

from app import errors
from app.errors import FAULTS, Fault, Trouble

_ALL = list(errors.every())
_each = pytest.mark.parametrize("kind", _ALL, ids=lambda kind: kind.__name__)
_KEBAB = re.compile(r"[a-z]+(-[a-z0-9]+)*")
_CLASSES = {
    value
    for value in vars(errors).values()
    if isinstance(value, type) and issubclass(value, Trouble)
}


def test_each_error_has_a_code_of_its_own() -> None:
    codes = [kind.code for kind in _ALL]

    assert len(set(codes)) == len(codes)


def test_each_class_is_listed_once() -> None:
    families = {kind for kind in _CLASSES if "code" not in vars(kind)} | {Trouble}

    assert len(set(_ALL)) == len(_ALL)
    assert set(_ALL) == _CLASSES - families


def test_a_family_of_errors_can_be_listed_alone() -> None:
    targets = set(errors.every(errors.TargetError))

    assert errors.TargetForbiddenRbac in targets
    assert errors.VersionConflict not in targets
    assert targets < set(errors.every(errors.DeployError))


@_each
def test_a_code_is_kebab_case_since_callers_compare_it(kind: type[Trouble]) -> None:
    assert _KEBAB.fullmatch(kind.code)


@_each
def test_an_error_says_what_it_means_in_a_sentence(kind: type[Trouble]) -> None:
    advice = errors.advice(kind)

    assert advice[0].isupper() or advice[0] == "`"
    assert advice.endswith(".")
    assert len(advice.split()) > 5
    assert "\n" not in advice


@_each
def test_an_error_says_whether_the_same_request_may_work_later(kind: type[Trouble]) -> None:
    assert kind.retryable in {True, False}


def test_the_tree_in_the_docstring_names_every_class() -> None:
    tree = (errors.__doc__ or "").split("A class is its")[0]
    named = set(re.findall(r"[A-Z]\w+", tree.replace("…", "TargetForbidden")))

    assert {kind.__name__ for kind in _CLASSES} <= named


def test_no_error_knows_a_status_of_the_web() -> None:
    told = {kind.__name__: {*vars(kind)} & {"status", "status_code"} for kind in _CLASSES}

    assert not [name for name, found in told.items() if found]


def test_an_error_is_told_in_the_words_of_its_docstring() -> None:
    raised = errors.QueueFull()

    assert str(raised) == raised.message == errors.advice(errors.QueueFull)
    assert raised.message.startswith("Too many deployments are waiting;")


def test_an_error_may_be_told_in_words_of_its_own() -> None:
    raised = errors.VerificationFailed("The new version is disabled.")

    assert str(raised) == raised.message == "The new version is disabled."
    assert raised.code == "verification-failed"


def test_an_invalid_request_carries_every_fault_at_once() -> None:
    faults = tuple(Fault(field=name, code="wrong", message="Wrong.") for name in ("one", "other"))

    assert errors.InvalidRequest(faults).faults == faults


def test_what_the_target_answered_goes_with_the_error() -> None:
    answer = errors.TargetAnswer(status=429, code="Throttled")

    assert errors.TargetThrottled(answer=answer).answer == answer
    assert errors.TargetThrottled().answer is None


@pytest.mark.parametrize(("code", "told"), FAULTS.items(), ids=FAULTS)
def test_a_fault_of_a_certificate_names_a_field_and_says_what_to_do(
    code: str, told: tuple[str, str]
) -> None:
    field, sentence = told

    assert _KEBAB.fullmatch(code)
    assert field in {"cert_pem", "chain_pem", "key_pem"}
    assert sentence[0].isupper()
    assert sentence.endswith(".")


def test_no_fault_has_the_code_of_an_error() -> None:
    assert not FAULTS.keys() & {kind.code for kind in _ALL}
