"""A crash at any moment: the next run goes on from what was saved, and nothing is done twice."""

from collections.abc import Callable
from contextlib import suppress
from itertools import product

import pytest

from app import errors
from app.deployment.connector import Held
from app.deployment.model import Deployment, State
from tests.certificates import NOW, Issued
from tests.conftest import Clock
from tests.deployment import making
from tests.deployment.making import Crash, Diary, Moment
from tests.fakes import Shelf

S = State


def _works(shelf: Shelf) -> None:
    pass


def _unverified(shelf: Shelf) -> None:
    shelf.fail(S.VERIFYING, errors.VerificationFailed())


def _undo_fails(shelf: Shelf) -> None:
    _unverified(shelf)
    shelf.fail(S.ROLLING_BACK, errors.TargetForbidden())


def _refused(shelf: Shelf) -> None:
    shelf.fail(S.IMPORTING, errors.CertificateRejected())


def _unclear(shelf: Shelf) -> None:
    shelf.fail(S.IMPORTING, errors.ImportOutcomeUnknown(), late=True)


Told = Callable[[Shelf], None]
_STORIES: dict[str, Told] = {
    "works": _works,
    "refused": _refused,
    "undone": _unverified,
    "undo-fails": _undo_fails,
}
_MOMENTS: list[tuple[Moment, int]] = [("before", 1), ("after", 1), ("before", 2), ("after", 2)]
_MOMENTS += [("before", 3), ("after", 3), ("before", 4), ("after", 4)]
_CRASHES = pytest.mark.parametrize(
    ("moment", "write"), _MOMENTS, ids=[f"{moment}-save-{write}" for moment, write in _MOMENTS]
)


def _shelf(told: Told) -> Shelf:
    shelf = Shelf(Clock(NOW))
    shelf.put("before")
    told(shelf)
    return shelf


async def _crashed(issued: Issued, shelf: Shelf, diary: Diary, *, key_survives: bool) -> Deployment:
    """Run until the crash, then again from what was saved; the end."""
    held, begun = Held(issued.bundle()), making.deployment(issued)
    try:
        return await making.run(begun, shelf, held, diary)
    except Crash:
        saved = diary.saved[-1] if diary.saved else begun
        return await making.run(saved, shelf, held if key_survives else Held(), diary)


@_CRASHES
@pytest.mark.parametrize("told", _STORIES.values(), ids=_STORIES)
async def test_a_crash_at_any_save_changes_nothing_in_the_end(
    told: Told, moment: Moment, write: int, issued: Issued
) -> None:
    calm, calm_diary = _shelf(told), Diary()
    await making.run(making.deployment(issued), calm, Held(issued.bundle()), calm_diary)
    shelf, diary = _shelf(told), Diary(crash_at=write, moment=moment)

    await _crashed(issued, shelf, diary, key_survives=True)

    assert diary.saved == calm_diary.saved
    assert (shelf.changes, shelf.versions) == (calm.changes, calm.versions)


@_CRASHES
@pytest.mark.parametrize("told", _STORIES.values(), ids=_STORIES)
async def test_a_crash_that_takes_the_key_ends_as_without_it_or_says_that_nothing_changed(
    told: Told, moment: Moment, write: int, issued: Issued
) -> None:
    calm, calm_diary = _shelf(told), Diary()
    await making.run(making.deployment(issued), calm, Held(issued.bundle()), calm_diary)
    shelf, diary = _shelf(told), Diary(crash_at=write, moment=moment)

    end = await _crashed(issued, shelf, diary, key_survives=False)

    if end.state is S.INTERRUPTED:
        assert shelf.changes == []
    else:
        assert (end, shelf.changes) == (calm_diary.saved[-1], calm.changes)


@_CRASHES
@pytest.mark.parametrize("key_survives", [True, False], ids=["key-held", "key-gone"])
@pytest.mark.parametrize("told", [*_STORIES.values(), _unclear], ids=[*_STORIES, "unclear"])
async def test_whatever_crashed_the_end_says_what_the_target_serves(
    told: Told,
    key_survives: bool,  # noqa: FBT001 - a column of the table
    moment: Moment,
    write: int,
    issued: Issued,
) -> None:
    shelf, diary = _shelf(told), Diary(crash_at=write, moment=moment)

    end = await _crashed(issued, shelf, diary, key_survives=key_survives)

    new = end.state in {S.SUCCEEDED, S.ROLLBACK_FAILED}
    assert end.final
    assert shelf.latest is not None
    assert shelf.latest.thumbprint == (end.certificate.thumbprint if new else "before")
    assert shelf.changes.count("import") <= 1
    assert shelf.changes.count("rollback") <= 1


_TWICE = list(product(range(1, 5), range(1, 5)))


@pytest.mark.parametrize(("first", "second"), _TWICE, ids=[f"{a}-and-{b}" for a, b in _TWICE])
async def test_two_crashes_in_a_row_are_as_harmless_as_one(
    first: int, second: int, issued: Issued
) -> None:
    shelf, diary = _shelf(_unverified), Diary(crash_at=first)
    held, saved = Held(issued.bundle()), making.deployment(issued)
    for crash_at in (first, first + second):
        diary.crash_at = crash_at
        with suppress(Crash):
            await making.run(saved, shelf, held, diary)
        saved = diary.saved[-1] if diary.saved else saved

    end = await making.run(saved, shelf, held, diary)

    assert end.state is S.ROLLED_BACK
    assert shelf.changes == ["import", "rollback"]
