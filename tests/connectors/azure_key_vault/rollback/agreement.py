"""The agreement: what the vault holds, the record, the metrics and the audit trail say the same.

Each rule holds for every deployment, whatever went wrong; none is told how it must have ended.
"""

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Final

from app.audit import Action
from app.connectors.azure_key_vault import tags
from app.deployment.model import Outcome, Plan, State
from app.metrics import Metrics
from tests.connectors.azure_key_vault.playground import NAME
from tests.connectors.azure_key_vault.rollback.causes import Serves
from tests.connectors.azure_key_vault.rollback.seen import Seen
from tests.connectors.azure_key_vault.secrecy import needles, written

KIND: Final = "AzureKeyVault"
# of a deployment that ended `failed`, these say that a version was or may have been made
_MADE: Final = {"verification-failed", "import-outcome-unknown", "deadline-exceeded"}
_COUNTERS: Final = tuple(
    f"certctl_deploy_{name}_total"
    for name in (
        "attempts",
        "validate_failures",
        "post_verify_failures",
        "rollback",
        "idempotent_skip",
        "rollback_impossible",
        "superseded",
    )
)
_TOLD: Final = {
    State.IMPORTING: Action.SNAPSHOT_TAKEN,
    State.VERIFYING: Action.IMPORTED,
    State.ROLLING_BACK: Action.ROLLING_BACK,
    State.SUCCEEDED: Action.VERIFIED,
    State.FAILED: Action.FAILED,
    State.ROLLED_BACK: Action.ROLLED_BACK,
    State.ROLLBACK_FAILED: Action.ROLLBACK_FAILED,
    State.SUPERSEDED: Action.SUPERSEDED,
    State.INTERRUPTED: Action.INTERRUPTED,
}


def agree(seen: Seen) -> None:
    """Every rule."""
    _nobody_elses_version_was_touched(seen)
    _what_we_made_says_so(seen)
    _the_end_is_what_the_vault_serves(seen)
    _the_error_is_the_first_one_and_true(seen)
    _the_plan_was_said_before_and_stands(seen)
    _the_metrics_say_the_same(seen)
    _the_trail_says_the_same(seen)
    _no_key_was_written(seen)


def _nobody_elses_version_was_touched(seen: Seen) -> None:
    assert seen.history[: len(seen.before)] == seen.before
    strangers = [one for one in seen.made if one not in seen.ours]
    assert strangers == strangers[:1]
    assert bool(strangers) is (seen.final.state is State.SUPERSEDED)
    assert not strangers or seen.current is strangers[0]


def _what_we_made_says_so(seen: Seen) -> None:
    for one in seen.ours:
        if one.tags:  # the vault may have been made to forget them
            assert one.tags[tags.MANAGED_BY] == "certctl"
            assert one.tags[tags.CERTIFICATE_ID] == "mc-api-prod"
            assert one.tags[tags.DEPLOYMENT_ID] == seen.final.id


def _the_end_is_what_the_vault_serves(seen: Seen) -> None:
    final = seen.final
    assert final.final
    assert (final.result is not None) is (final.state is State.SUCCEEDED)
    outcome = final.rollback.outcome if final.rollback else None
    assert (outcome is Outcome.RESTORED) is (final.state is State.ROLLED_BACK)
    assert (outcome is Outcome.ALSO_FAILED) is (final.state is State.ROLLBACK_FAILED)
    rules: dict[State, Callable[[Seen], None]] = {
        State.SUCCEEDED: _succeeded,
        State.FAILED: _failed,
        State.INTERRUPTED: _interrupted,
        State.ROLLED_BACK: _rolled_back,
        State.ROLLBACK_FAILED: _rollback_failed,
        State.SUPERSEDED: _superseded,
    }
    rules[final.state](seen)


def _succeeded(seen: Seen) -> None:
    assert seen.serves(Serves.NEW)
    assert seen.current in seen.ours
    assert seen.current is not None
    assert seen.final.result is not None
    assert seen.final.result.deployment_id == seen.current.version == seen.final.version_id


def _failed(seen: Seen) -> None:
    """Nothing of ours is there; or `error.code` says that it is, or that nobody knows."""
    assert seen.final.error is not None
    if seen.ours:
        assert seen.final.error.code in _MADE
        assert seen.final.snapshot is None or seen.final.version_id is None
    if seen.final.version_id is not None:
        assert seen.final.error.code == "verification-failed"
        assert seen.final.version_id == seen.ours[-1].version
    assert seen.final.rollback is not None
    assert seen.final.rollback.version_id is None


def _interrupted(seen: Seen) -> None:
    assert seen.made == []


def _rolled_back(seen: Seen) -> None:
    """The old one is served, under a version of ours; only the very same needs no other."""
    assert seen.serves(Serves.OLD)
    now, rollback, snapshot = seen.current, seen.final.rollback, seen.final.snapshot
    assert now in seen.ours
    assert now is not None
    assert rollback is not None
    assert snapshot is not None
    assert rollback.version_id == now.version
    assert now.chain == seen.before[-1].chain
    failed = {one.version for one in seen.ours if one is not now}
    if now.tags and failed:
        assert now.tags[tags.ROLLBACK_OF] in failed
        assert now.tags[tags.ROLLBACK_OF] == seen.final.version_id
        assert snapshot.tags.items() <= now.tags.items()
    if rollback.plan is Plan.SECRET:
        assert (now.value, now.content_type) == (
            seen.before[-1].value,
            seen.before[-1].content_type,
        )
    assert failed or rollback.plan is Plan.NOT_NEEDED


def _rollback_failed(seen: Seen) -> None:
    """It says where a person must look, and what to put back."""
    final = seen.final
    assert final.error is not None
    assert final.rollback is not None
    assert final.rollback.reason
    assert final.rollback.version_id in {None, *_put_back(seen)}
    assert not final.error.retryable
    said = ["A person must", final.target.address, final.version_id or ""]
    said += [final.rollback.version_id or ""]
    said += [final.snapshot.version_id] if final.snapshot else []
    for one in said:
        assert one in final.error.message


def _superseded(seen: Seen) -> None:
    assert seen.serves(Serves.STRANGERS)
    assert seen.final.rollback is not None
    assert seen.final.rollback.version_id in {None, *_put_back(seen)}


def _put_back(seen: Seen) -> list[str]:
    """The versions that the rollback made: their tags say so, if the vault kept any."""
    return [one.version for one in seen.ours if tags.ROLLBACK_OF in one.tags]


def _the_error_is_the_first_one_and_true(seen: Seen) -> None:
    errors = [one.error for one in seen.saved if one.error is not None]
    assert (errors == []) is (seen.final.state is State.SUCCEEDED)
    for first, after in pairwise(errors):
        assert (first.step, first.answer) == (after.step, after.answer)
        assert first.code == after.code or seen.final.snapshot is None
    for error in errors[-1:]:
        assert not seen.made or "nothing changed" not in error.message.lower()
        if error.retryable and seen.final.state is State.FAILED:
            assert not seen.ours or seen.serves(Serves.NEW)  # then sending it again finds it


def _the_plan_was_said_before_and_stands(seen: Seen) -> None:
    first = seen.saved[0].rollback
    assert seen.saved[0].state is State.IMPORTING
    for one in seen.saved:
        assert one.rollback is not None
        assert first is not None
        assert one.rollback.plan is first.plan
        assert one.rollback.reason == first.reason or one.state is State.ROLLBACK_FAILED
        assert one.snapshot == seen.saved[0].snapshot


def _the_metrics_say_the_same(seen: Seen) -> None:
    state, rollback = seen.final.state, seen.final.rollback
    assert rollback is not None
    impossible = [("rollback_impossible", rollback.reason)] * (rollback.plan is Plan.IMPOSSIBLE)
    unverified = [("post_verify_failures", None)]
    expected = {
        ("attempts", "success" if state is State.SUCCEEDED else "failure"),
        *impossible,
        *(unverified if {State.VERIFYING, State.ROLLING_BACK} <= seen.states else ()),
        *([("rollback", "restored")] * (state is State.ROLLED_BACK)),
        *([("rollback", "also_failed")] * (state is State.ROLLBACK_FAILED)),
        *([("superseded", None)] * (state is State.SUPERSEDED)),
    }
    assert _counted(seen) == dict.fromkeys(expected, 1)


def _counted(seen: Seen) -> dict[tuple[str, str | None], float]:
    """What a worker that saved the same would have counted: the counter and its own label."""
    metrics = Metrics(version="0", build="0", kinds=[KIND])
    for before, after in pairwise((seen.begun, *seen.saved)):
        metrics.observe(before, after, seconds=0)
    counters = metrics.registry.restricted_registry(_COUNTERS)
    return {
        (metric.name.removeprefix("certctl_deploy_"), _own_label(one.labels)): one.value
        for metric in counters.collect()
        for one in metric.samples
        if one.value
    }


def _own_label(labels: Mapping[str, str]) -> str | None:
    return next((value for key, value in labels.items() if key != "target_type"), None)


def _the_trail_says_the_same(seen: Seen) -> None:
    final, events = seen.final, seen.events
    assert [one.action for one in events] == [_TOLD[one.state] for one in seen.saved]
    told = events[-1].details
    assert told["state"] == final.state.value
    assert told["certificate_name"] == NAME
    assert told["thumbprint"] == final.certificate.thumbprint
    assert told.get("version_id") == final.version_id
    assert told.get("error_code") == (final.error.code if final.error else None)
    assert final.rollback is not None
    assert told["rollback_plan"] == final.rollback.plan.value
    assert told.get("rollback_reason") == final.rollback.reason
    assert told.get("rollback_version_id") == final.rollback.version_id
    assert told.get("previous_version_id") == (seen.before[-1].version if seen.before else None)


def _no_key_was_written(seen: Seen) -> None:
    text = written((seen.final,)) + repr(seen.events)
    assert "PRIVATE KEY" not in text
    for one in (seen.scene.new, seen.scene.old):
        for part in needles(one.key) if one is not None else ():
            assert part not in text
