"""A first import: nothing was there before it, so a rollback has nothing to put back."""

import pytest

from app import errors
from app.deployment.connector import Held
from app.deployment.model import Plan, Rollback, State
from app.deployment.saga import Limits
from tests.certificates import Issued
from tests.deployment import making
from tests.deployment.making import Diary
from tests.fakes import Shelf

S = State


async def test_a_first_import_that_fails_ends_failed_because_nothing_was_there_to_put_back(
    issued: Issued, empty_shelf: Shelf, held: Held, diary: Diary
) -> None:
    empty_shelf.fail(S.VERIFYING, errors.VerificationFailed())

    end = await making.run(making.deployment(issued), empty_shelf, held, diary)

    assert end.state is S.FAILED
    assert end.error is not None
    assert end.error.code == "verification-failed"
    assert end.rollback == Rollback(plan=Plan.NOT_NEEDED)


async def test_a_first_import_that_cannot_be_read_back_is_told_by_the_code_as_one_that_was_made(
    issued: Issued, empty_shelf: Shelf, held: Held, diary: Diary
) -> None:
    answer = errors.TargetAnswer(status=503)
    empty_shelf.fail(S.VERIFYING, errors.TargetUnavailable(answer=answer))

    end = await making.run(making.deployment(issued), empty_shelf, held, diary)

    assert end.state is S.FAILED
    assert end.error is not None
    assert (end.error.code, end.error.step) == ("verification-failed", S.VERIFYING)
    assert end.error.message == (
        "Version v1 was made, the first under this name, but not read back (target-unavailable): "
        + errors.advice(errors.TargetUnavailable)
    )
    assert end.error.retryable
    assert end.error.answer == answer


@pytest.mark.parametrize("failure", [errors.TargetForbiddenRbac(), None], ids=["unread", "late"])
async def test_a_first_import_whose_rollback_cannot_look_has_nothing_to_put_back(
    issued: Issued, empty_shelf: Shelf, held: Held, diary: Diary, failure: errors.DeployError | None
) -> None:
    empty_shelf.fail(S.VERIFYING, errors.TargetForbiddenRbac())
    empty_shelf.fail(S.ROLLING_BACK, failure)
    limits = Limits(deadline_s=60, rollback_s=0)

    end = await making.run(making.deployment(issued), empty_shelf, held, diary, limits=limits)

    assert end.state is S.FAILED
    assert end.rollback == Rollback(plan=Plan.NOT_NEEDED)
    assert end.error is not None
    assert end.error.code == "verification-failed"
    assert end.error.message.count(errors.advice(errors.TargetForbiddenRbac)) == 1


async def test_a_first_import_that_is_something_else_keeps_its_sentence(
    issued: Issued, empty_shelf: Shelf, held: Held, diary: Diary
) -> None:
    empty_shelf.fail(S.VERIFYING, errors.VerificationFailed("It is something else."))

    end = await making.run(making.deployment(issued), empty_shelf, held, diary)

    assert end.error is not None
    assert end.error.message == "It is something else."
