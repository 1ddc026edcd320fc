"""The limits: a step that never answers ends in time, and a cancellation ends nothing."""

import asyncio

import pytest

from app import errors
from app.deployment.connector import Held, Proof, Standing
from app.deployment.model import Deployment, State
from app.deployment.saga import Limits
from tests.certificates import Issued
from tests.conftest import Clock
from tests.deployment import making
from tests.deployment.making import Diary, Story
from tests.fakes import Shelf

S = State


class _Slow(Shelf):
    """Looks and puts back with a pause in between."""

    async def snapshot(self, deployment: Deployment, held: Held) -> Standing:
        await asyncio.sleep(0)
        return await super().snapshot(deployment, held)

    async def roll_back(self, deployment: Deployment, held: Held) -> str | None:
        await asyncio.sleep(0)
        return await super().roll_back(deployment, held)


_HANGS = {
    "snapshot": Story(failing={S.SNAPSHOTTING: None}, states=[S.FAILED], changes=[]),
    "import-before-it-lands": Story(
        failing={S.IMPORTING: None}, states=[S.IMPORTING, S.ROLLING_BACK, S.FAILED], changes=[]
    ),
    "import-after-it-landed": Story(
        failing={S.IMPORTING: None},
        late=True,
        states=[S.IMPORTING, S.ROLLING_BACK, S.ROLLED_BACK],
        changes=["import", "rollback"],
    ),
    "verification": Story(
        failing={S.VERIFYING: None},
        states=[S.IMPORTING, S.VERIFYING, S.ROLLING_BACK, S.ROLLED_BACK],
        changes=["import", "rollback"],
    ),
}


@pytest.mark.parametrize("story", _HANGS.values(), ids=_HANGS)
async def test_a_step_that_never_answers_ends_at_the_deadline(
    story: Story, issued: Issued, shelf: Shelf, held: Held, diary: Diary
) -> None:
    (step,) = story.failing
    shelf.fail(step, None, late=story.late)

    end = await making.run(making.deployment(issued), shelf, held, diary, limits=making.NONE)

    assert (diary.states, shelf.changes) == (story.states, story.changes)
    assert end.error is not None
    assert (end.error.code, end.error.step) == ("deadline-exceeded", step)
    assert end.error.retryable is (step is not S.IMPORTING)  # such an import may still be applied


async def test_a_rollback_that_never_answers_ends_at_its_own_deadline(
    issued: Issued, shelf: Shelf, held: Held, diary: Diary
) -> None:
    shelf.fail(S.VERIFYING, errors.VerificationFailed())
    shelf.fail(S.ROLLING_BACK, None)

    end = await making.run(making.deployment(issued), shelf, held, diary, limits=making.NONE)

    assert end.state is S.ROLLBACK_FAILED
    assert end.error is not None
    assert end.error.code == "verification-failed"
    assert end.rollback is not None
    assert end.rollback.reason == "deadline-exceeded"


async def test_a_rollback_has_time_of_its_own_when_the_deployment_has_used_up_its_own(
    issued: Issued, shelf: Shelf, held: Held, diary: Diary
) -> None:
    shelf.fail(S.VERIFYING, None)
    limits = Limits(deadline_s=0, rollback_s=60)

    end = await making.run(making.deployment(issued), shelf, held, diary, limits=limits)

    assert end.state is S.ROLLED_BACK


async def test_a_rollback_is_told_a_deadline_of_its_own(
    issued: Issued, now: Clock, held: Held, diary: Diary
) -> None:
    told: list[float] = []

    class Asked(Shelf):
        async def verify(self, deployment: Deployment) -> Proof:
            told.append(held.deadline or 0)
            raise errors.VerificationFailed

        async def roll_back(self, deployment: Deployment, held: Held) -> str | None:
            told.append(held.deadline or 0)
            return await super().roll_back(deployment, held)

    shelf = Asked(now)
    shelf.put()
    began = asyncio.get_running_loop().time()
    limits = Limits(deadline_s=10, rollback_s=50)

    await making.run(making.deployment(issued), shelf, held, diary, limits=limits)

    assert [at - began for at in told] == pytest.approx([10, 50], abs=5)


async def test_a_step_may_take_its_time_within_the_limits(
    issued: Issued, now: Clock, held: Held, diary: Diary
) -> None:
    shelf = _Slow(now)
    shelf.put()
    shelf.fail(S.VERIFYING, errors.VerificationFailed())

    end = await making.run(making.deployment(issued), shelf, held, diary)

    assert end.state is S.ROLLED_BACK


@pytest.mark.parametrize("step", [S.SNAPSHOTTING, S.IMPORTING, S.VERIFYING, S.ROLLING_BACK])
async def test_a_cancellation_passes_through_and_what_was_saved_stands(
    step: State, issued: Issued, shelf: Shelf, held: Held, diary: Diary
) -> None:
    if step is S.ROLLING_BACK:
        shelf.fail(S.VERIFYING, errors.VerificationFailed())
    shelf.fail(step, None)
    task = asyncio.create_task(making.run(making.deployment(issued), shelf, held, diary))
    await shelf.hangs.wait()

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert diary.states[-1:] == ([] if step is S.SNAPSHOTTING else [step])
