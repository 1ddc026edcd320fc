"""The saga: each step once, saved after each, and a truthful end."""

from dataclasses import replace

import pytest

from app import errors
from app.deployment.connector import Held, Proof, Standing
from app.deployment.model import Deployment, Outcome, Plan, Rollback, State
from app.deployment.saga import Limits
from app.pki import Notice
from tests.certificates import Issued
from tests.conftest import Clock
from tests.deployment import making
from tests.deployment.making import Diary, Story
from tests.fakes import Shelf

S = State


class _Talkative(Shelf):
    """Has something to say at every look."""

    async def snapshot(self, deployment: Deployment, held: Held) -> Standing:
        found = await super().snapshot(deployment, held)
        return replace(found, warnings=(Notice(code="from-the-snapshot", message="."),))

    async def verify(self, deployment: Deployment) -> Proof:
        found = await super().verify(deployment)
        return replace(found, warnings=(Notice(code="from-the-proof", message="."),))


async def _run(issued: Issued, shelf: Shelf, held: Held, diary: Diary) -> Deployment:
    return await making.run(making.deployment(issued), shelf, held, diary)


async def test_a_deployment_that_works_visits_every_step_once(
    issued: Issued, shelf: Shelf, held: Held, diary: Diary
) -> None:
    await _run(issued, shelf, held, diary)

    assert diary.states == [S.IMPORTING, S.VERIFYING, S.SUCCEEDED]
    assert shelf.calls == [S.SNAPSHOTTING, S.IMPORTING, S.VERIFYING]


async def test_a_deployment_that_works_says_what_is_served_now(
    issued: Issued, shelf: Shelf, held: Held, diary: Diary
) -> None:
    end = await _run(issued, shelf, held, diary)

    assert shelf.latest is not None
    assert shelf.latest.thumbprint == end.certificate.thumbprint
    assert end.result is not None
    assert (end.version_id, end.result.deployment_id) == (shelf.latest.id, shelf.latest.id)
    assert end.error is None


async def test_what_the_target_held_and_the_plan_are_saved_before_anything_changes(
    issued: Issued, shelf: Shelf, held: Held
) -> None:
    diary = Diary(crash_at=1, moment="after")

    with pytest.raises(making.Crash):
        await _run(issued, shelf, held, diary)

    (saved,) = diary.saved
    assert saved.snapshot is not None
    assert saved.snapshot.thumbprint == "before"
    assert saved.rollback == Rollback(plan=Plan.SECRET)
    assert shelf.changes == []


async def test_the_time_of_the_end_is_said_at_the_end_only(
    issued: Issued, shelf: Shelf, held: Held, diary: Diary
) -> None:
    await _run(issued, shelf, held, diary)

    assert [one.finished_at is not None for one in diary.saved] == [False, False, True]


_UNREACHABLE = errors.TargetUnreachable()
_UNKNOWN = errors.ImportOutcomeUnknown()
_NOT_PROVEN = errors.VerificationFailed()


_FAILURES = {
    "nothing-changed-nothing-to-undo": Story(
        failing={S.SNAPSHOTTING: _UNREACHABLE}, states=[S.FAILED], changes=[]
    ),
    "import-refused": Story(
        failing={S.IMPORTING: _UNREACHABLE}, states=[S.IMPORTING, S.FAILED], changes=[]
    ),
    "import-unclear-and-not-landed": Story(
        failing={S.IMPORTING: _UNKNOWN},
        states=[S.IMPORTING, S.ROLLING_BACK, S.FAILED],
        changes=[],
    ),
    "import-unclear-and-landed-is-undone": Story(
        failing={S.IMPORTING: _UNKNOWN},
        late=True,
        states=[S.IMPORTING, S.ROLLING_BACK, S.ROLLED_BACK],
        changes=["import", "rollback"],
    ),
    "unverified-is-undone": Story(
        failing={S.VERIFYING: _NOT_PROVEN},
        states=[S.IMPORTING, S.VERIFYING, S.ROLLING_BACK, S.ROLLED_BACK],
        changes=["import", "rollback"],
    ),
    "an-undo-that-fails-is-told-apart": Story(
        failing={S.VERIFYING: _NOT_PROVEN, S.ROLLING_BACK: _UNREACHABLE},
        states=[S.IMPORTING, S.VERIFYING, S.ROLLING_BACK, S.ROLLBACK_FAILED],
        changes=["import"],
    ),
    "another-writer-found-while-importing": Story(
        failing={S.IMPORTING: errors.Superseded()},
        states=[S.IMPORTING, S.SUPERSEDED],
        changes=[],
    ),
    "another-writer-found-while-verifying": Story(
        failing={S.VERIFYING: errors.Superseded()},
        states=[S.IMPORTING, S.VERIFYING, S.SUPERSEDED],
        changes=["import"],
    ),
    "another-writer-found-while-undoing": Story(
        failing={S.VERIFYING: _NOT_PROVEN, S.ROLLING_BACK: errors.Superseded()},
        states=[S.IMPORTING, S.VERIFYING, S.ROLLING_BACK, S.SUPERSEDED],
        changes=["import"],
    ),
}


@pytest.mark.parametrize("story", _FAILURES.values(), ids=_FAILURES)
async def test_a_step_that_fails(
    story: Story, issued: Issued, shelf: Shelf, held: Held, diary: Diary
) -> None:
    for step, failure in story.failing.items():
        shelf.fail(step, failure, late=story.late)

    await _run(issued, shelf, held, diary)

    assert diary.states == story.states
    assert shelf.changes == story.changes


async def test_the_first_error_is_the_one_reported(
    issued: Issued, shelf: Shelf, held: Held, diary: Diary
) -> None:
    shelf.fail(S.VERIFYING, errors.VerificationFailed("It is something else."))
    shelf.fail(S.ROLLING_BACK, errors.TargetThrottled())

    end = await _run(issued, shelf, held, diary)

    assert end.error is not None
    assert (end.error.code, end.error.step) == ("verification-failed", S.VERIFYING)
    assert end.error.message.startswith("It is something else. The rollback failed too")


async def test_a_rollback_that_failed_says_what_a_person_must_do(
    issued: Issued, shelf: Shelf, held: Held, diary: Diary
) -> None:
    shelf.fail(S.VERIFYING, errors.TargetUnreachable())
    shelf.fail(S.ROLLING_BACK, errors.TargetThrottled())

    end = await _run(issued, shelf, held, diary)

    assert end.error is not None
    assert end.error.retryable is False  # whatever was said of the first error
    for told in ("target-throttled", "shelf/api", "version v2", "Put back version v1"):
        assert told in end.error.message


async def test_a_rollback_that_failed_names_no_version_of_ours_where_none_is_known(
    issued: Issued, shelf: Shelf, held: Held, diary: Diary
) -> None:
    shelf.fail(S.IMPORTING, errors.ImportOutcomeUnknown())
    shelf.fail(S.ROLLING_BACK, errors.TargetThrottled())

    end = await _run(issued, shelf, held, diary)

    assert end.error is not None
    assert end.error.message.endswith(
        "what shelf/api serves now. Put back version v1, or import a certificate that is right."
    )


async def test_a_rollback_that_fails_keeps_its_own_reason_beside_the_first_error(
    issued: Issued, shelf: Shelf, held: Held, diary: Diary
) -> None:
    shelf.fail(S.VERIFYING, errors.VerificationFailed())
    shelf.fail(S.ROLLING_BACK, errors.TargetThrottled())

    end = await _run(issued, shelf, held, diary)

    assert end.rollback == Rollback(
        plan=Plan.SECRET, outcome=Outcome.ALSO_FAILED, reason="target-throttled"
    )


async def test_a_rollback_known_to_be_impossible_keeps_the_reason_of_the_plan(
    issued: Issued, shelf: Shelf, held: Held, diary: Diary
) -> None:
    shelf.rollback = Rollback(plan=Plan.IMPOSSIBLE, reason="key-not-exportable")
    shelf.fail(S.VERIFYING, errors.VerificationFailed())

    end = await _run(issued, shelf, held, diary)

    assert end.state is S.ROLLBACK_FAILED
    assert end.rollback is not None
    assert (end.rollback.reason, end.rollback.outcome) == ("key-not-exportable", "also_failed")


async def test_a_rollback_is_said_only_with_the_version_that_was_read_back(
    issued: Issued, shelf: Shelf, held: Held, diary: Diary
) -> None:
    shelf.fail(S.VERIFYING, errors.VerificationFailed())

    end = await _run(issued, shelf, held, diary)

    assert shelf.latest is not None
    assert shelf.latest.thumbprint == "before"
    assert end.rollback == Rollback(
        plan=Plan.SECRET, outcome=Outcome.RESTORED, version_id=shelf.latest.id
    )


@pytest.mark.parametrize("failure", [errors.TargetUnavailable(), None], ids=["unread", "too-late"])
async def test_a_rollback_that_could_not_be_confirmed_names_the_version_it_made(
    issued: Issued, shelf: Shelf, held: Held, diary: Diary, failure: errors.DeployError | None
) -> None:
    shelf.fail(S.IMPORTING, errors.ImportOutcomeUnknown(), late=True)
    shelf.fail(S.ROLLING_BACK, failure, late=True)
    limits = Limits(deadline_s=60, rollback_s=0)

    end = await making.run(making.deployment(issued), shelf, held, diary, limits=limits)

    assert end.state is S.ROLLBACK_FAILED
    assert end.version_id == "v2"
    assert end.rollback is not None
    assert (end.rollback.version_id, end.rollback.outcome) == ("v3", Outcome.ALSO_FAILED)
    assert end.error is not None
    assert "Ours is version v2. The rollback made version v3. Put back version v1" in (
        end.error.message
    )


@pytest.mark.parametrize(
    ("step", "failure"),
    [
        pytest.param(S.VERIFYING, errors.InternalError(), id="a-fault-of-ours"),
        pytest.param(S.IMPORTING, errors.ImportOutcomeUnknown(), id="an-unclear-import"),
        pytest.param(S.IMPORTING, errors.CertificateRejected(), id="a-refused-import"),
    ],
)
async def test_a_first_import_that_fails_otherwise_keeps_its_code(
    issued: Issued,
    empty_shelf: Shelf,
    held: Held,
    diary: Diary,
    step: State,
    failure: errors.DeployError,
) -> None:
    empty_shelf.fail(step, failure)

    end = await _run(issued, empty_shelf, held, diary)

    assert end.state is S.FAILED
    assert end.error is not None
    assert (end.error.code, end.error.message) == (failure.code, failure.message)


async def test_what_the_target_answered_is_kept_with_the_error(
    issued: Issued, shelf: Shelf, held: Held, diary: Diary
) -> None:
    answer = errors.TargetAnswer(status=403, code="Forbidden", request_id="abc")
    shelf.fail(S.SNAPSHOTTING, errors.TargetForbidden(answer=answer))

    end = await _run(issued, shelf, held, diary)

    assert end.error is not None
    assert end.error.answer == answer


async def test_a_certificate_that_is_served_already_makes_no_version(
    issued: Issued, shelf: Shelf, held: Held, diary: Diary
) -> None:
    shelf.put(issued.bundle().details.thumbprint)

    end = await _run(issued, shelf, held, diary)

    assert (diary.states, shelf.changes) == ([S.UNCHANGED], [])
    assert end.result is not None
    assert shelf.latest is not None
    assert end.result.deployment_id == shelf.latest.id


async def test_a_certificate_that_is_there_but_disabled_is_imported(
    issued: Issued, shelf: Shelf, held: Held, diary: Diary
) -> None:
    shelf.put(issued.bundle().details.thumbprint, enabled=False)

    end = await _run(issued, shelf, held, diary)

    assert (end.state, shelf.changes) == (S.SUCCEEDED, ["import"])


async def test_force_imports_what_is_served_already(
    issued: Issued, shelf: Shelf, held: Held, diary: Diary
) -> None:
    shelf.put(issued.bundle().details.thumbprint)

    end = await making.run(making.deployment(issued, force=True), shelf, held, diary)

    assert (end.state, shelf.changes) == (S.SUCCEEDED, ["import"])


async def test_another_writer_between_snapshot_and_rollback_is_never_overwritten(
    issued: Issued, shelf: Shelf, held: Held
) -> None:
    with pytest.raises(making.Crash):
        await _run(issued, shelf, held, diary := Diary(crash_at=2, moment="after"))
    other = shelf.put("another writer")

    end = await making.run(diary.saved[-1], shelf, held, diary)

    assert end.state is S.SUPERSEDED
    assert shelf.latest == other


async def test_a_deployment_without_its_key_ends_interrupted_and_changes_nothing(
    issued: Issued, shelf: Shelf, diary: Diary
) -> None:
    end = await _run(issued, shelf, Held(), diary)

    assert (end.state, shelf.changes) == (S.INTERRUPTED, [])
    assert end.error is not None
    assert (end.error.code, end.error.retryable) == ("key-gone", True)


async def test_a_deployment_that_has_ended_is_left_alone(
    issued: Issued, shelf: Shelf, held: Held, diary: Diary
) -> None:
    ended = making.deployment(issued, S.CANCELLED)

    assert await making.run(ended, shelf, held, diary) is ended
    assert (shelf.calls, diary.saved) == ([], [])


async def test_what_was_found_beside_the_way_is_told_in_order(
    issued: Issued, now: Clock, held: Held, diary: Diary
) -> None:
    shelf = _Talkative(now)
    begun = making.deployment(issued, warnings=(Notice(code="from-the-request", message="."),))

    end = await making.run(begun, shelf, held, diary)

    codes = [notice.code for notice in end.warnings]
    assert codes == ["from-the-request", "from-the-snapshot", "from-the-proof"]


async def test_a_fault_of_ours_is_not_taken_for_an_answer_of_the_target(
    issued: Issued, shelf: Shelf, held: Held, diary: Diary
) -> None:
    shelf.fail(S.IMPORTING, ZeroDivisionError())

    with pytest.raises(ZeroDivisionError):
        await _run(issued, shelf, held, diary)

    assert diary.states == [S.IMPORTING]
