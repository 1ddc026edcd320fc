"""The judge of the chaos test is not asleep: each doctored evidence is caught."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from app.deployment.model import State
from tests.service.chaos.judge import Evidence, Lie, Made, Told, faults

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
WAY = [State.QUEUED, State.SNAPSHOTTING, State.IMPORTING, State.VERIFYING]
BACK = [*WAY, State.ROLLING_BACK]


def at(second: float) -> datetime:
    return NOON + timedelta(seconds=second)


def told(id_: str, second: float, way: list[State], **rest: object) -> Told:
    usual: dict[str, object] = {
        "id": id_,
        "target": "a",
        "thumbprint": f"of-{id_}",
        "state": way[-1],
        "created_at": at(second),
        "started_at": at(second + 1),
        "finished_at": at(second + 2),
        "steps": list(enumerate(way, start=1)),
        "audited": way,
    }
    return Told(**{**usual, **rest})  # type: ignore[arg-type]  # fields by their names


FIRST = told("one", 0, [*WAY, State.SUCCEEDED], names="v1")
SECOND = told("two", 5, [*BACK, State.ROLLED_BACK], names="v3", before="of-one")
THIRD = told("three", 10, [*WAY[:2], State.FAILED], error="target-unavailable", before="of-one")
V1 = Made(id="v1", thumbprint="of-one", maker="one")
V2 = Made(id="v2", thumbprint="of-two", maker="two")
V3 = Made(id="v3", thumbprint="of-one", maker="two", puts_back=True)


def evidence(*some: Told, made: tuple[Made, ...] = (V1, V2, V3), **rest: object) -> Evidence:
    all_told: Mapping[str, Told] = {one.id: one for one in some or (FIRST, SECOND, THIRD)}
    usual: dict[str, object] = {
        "accepted": frozenset({"one", "two", "three"}),
        "told": all_told,
        "made": {"a": made},
    }
    return Evidence(**{**usual, **rest})  # type: ignore[arg-type]  # fields by their names


def test_kept_promises_are_nothing_to_complain_of() -> None:
    assert faults(evidence()) == []


@pytest.mark.parametrize(
    ("doctored", "caught"),
    [
        pytest.param(evidence(FIRST, SECOND), "three was accepted", id="a-lost-deployment"),
        pytest.param(
            evidence(accepted=frozenset({"one", "two"})),
            "three is in the record",
            id="one-request-twice",
        ),
        pytest.param(evidence(jobs=1), "1 jobs are left", id="a-job-left"),
        pytest.param(
            evidence(made=(V1, replace(V1, id="v9"), V2, V3)),
            "made 2 versions",
            id="a-second-import",
        ),
        pytest.param(
            evidence(made=(V1, V2, V3, replace(V3, id="v9"))),
            "put back 2",
            id="a-second-rollback",
        ),
        pytest.param(
            evidence(FIRST, SECOND, replace(THIRD, created_at=at(-1))),
            "which was accepted before",
            id="a-wrong-order",
        ),
        pytest.param(
            evidence(FIRST, replace(SECOND, started_at=at(1.5)), THIRD),
            "while one was not final",
            id="two-at-once",
        ),
        pytest.param(evidence(made=(V2, V1, V3)), "in another order", id="versions-of-two-at-once"),
        pytest.param(
            evidence(made=(V1, V2, V3, replace(V1, id="v9", maker=None))),
            "in another order",
            id="a-version-of-nobody",
        ),
        pytest.param(
            evidence(FIRST, SECOND, told("three", 10, WAY)), "is not final", id="an-unfinished-one"
        ),
        pytest.param(
            evidence(replace(FIRST, names="v2"), SECOND, THIRD),
            "one at a, succeeded, names",
            id="a-success-that-is-none",
        ),
        pytest.param(
            evidence(FIRST, SECOND, told("three", 10, [*WAY[:2], State.UNCHANGED], names="v3")),
            "three at a, unchanged, names",
            id="another-certificate-was-there",
        ),
        pytest.param(
            evidence(FIRST, replace(SECOND, before="of-none"), THIRD),
            "where of-none was before",
            id="a-rollback-to-something-else",
        ),
        pytest.param(
            evidence(made=(V1, V2, V3, Made(id="v9", thumbprint="of-three", maker="three"))),
            "three at a, failed, made",
            id="a-failure-that-changed-something",
        ),
        pytest.param(
            evidence(FIRST, SECOND, replace(THIRD, error="internal-error")),
            "says internal-error",
            id="a-fault-of-ours",
        ),
        pytest.param(
            evidence(FIRST, SECOND, told("three", 10, [*BACK, State.ROLLBACK_FAILED])),
            "does not say why",
            id="a-page-without-a-reason",
        ),
        pytest.param(
            evidence(
                FIRST, SECOND, told("three", 10, [*WAY, State.SUPERSEDED], error="superseded")
            ),
            "saw another writer",
            id="another-writer-who-is-not-there",
        ),
        pytest.param(
            evidence(replace(FIRST, steps=[*FIRST.steps[:2], (4, State.IMPORTING)]), SECOND, THIRD),
            "a gap",
            id="a-gap-in-the-steps",
        ),
        pytest.param(
            evidence(FIRST, SECOND, told("three", 10, [*WAY[:2], *WAY[1:2], State.FAILED])),
            "against the law",
            id="a-step-twice",
        ),
        pytest.param(
            evidence(replace(FIRST, audited=[*FIRST.audited, State.SUCCEEDED]), SECOND, THIRD),
            "in the audit trail",
            id="two-events-of-one-step",
        ),
        pytest.param(
            evidence(made=(V1, V2, replace(V3, thumbprint="of-two"))),
            "a serves",
            id="another-certificate-is-served",
        ),
    ],
)
def test_a_broken_promise_is_caught(doctored: Evidence, caught: str) -> None:
    assert [fault for fault in faults(doctored) if caught in fault]


def test_whoever_was_lied_to_may_make_a_second_version() -> None:
    twice = (V1, replace(V1, id="v9"), V2, V3)

    lied_to = evidence(made=twice, lies=[Lie(target="a", at=at(1.5))])
    of_another = evidence(made=twice, lies=[Lie(target="b", at=at(1.5))])
    at_another_time = evidence(made=twice, lies=[Lie(target="a", at=at(2.5))])

    assert [len(faults(one)) for one in (lied_to, of_another, at_another_time)] == [0, 1, 1]
