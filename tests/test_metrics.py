"""Every metric moves, and says what certctl's dashboards expect of it."""

from dataclasses import replace
from datetime import timedelta

import pytest

from app.deployment.model import (
    Deployment,
    Failure,
    Outcome,
    Plan,
    Rollback,
    State,
    Target,
)
from app.metrics import Metrics
from tests.certificates import NOW, Authority

KIND = "AzureKeyVault"


@pytest.fixture(name="metrics")
def _metrics() -> Metrics:
    return Metrics(version="1.2.3", build="abc", kinds=[KIND])


@pytest.fixture(name="deployment")
def _deployment(ca: Authority) -> Deployment:
    config = {
        "vault_url": "https://secret-vault.vault.azure.net",
        "certificate_name": "secret-name",
    }
    return Deployment(
        id="dep-1",
        target=Target(type=KIND, config=config, address="secret-vault/secret-name"),
        certificate=ca.issue("secret.example.test").bundle().details,
        created_at=NOW,
        started_at=NOW,
        metadata={"certificate_id": "secret-id"},
    )


def value(metrics: Metrics, name: str, **labels: str) -> float:
    return metrics.registry.get_sample_value(name, {"target_type": KIND, **labels}) or 0


def ended(
    metrics: Metrics, before: Deployment, state: State, outcome: Outcome | None = None
) -> None:
    rollback = Rollback(plan=Plan.SECRET, outcome=outcome)
    after = replace(before, state=state, rollback=rollback, finished_at=NOW + timedelta(seconds=2))
    metrics.observe(before, after, seconds=0.5)


@pytest.mark.parametrize(
    ("state", "result"),
    [
        (State.SUCCEEDED, "success"),
        (State.UNCHANGED, "success"),
        (State.FAILED, "failure"),
        (State.ROLLED_BACK, "failure"),
        (State.ROLLBACK_FAILED, "failure"),
        (State.SUPERSEDED, "failure"),
        (State.INTERRUPTED, "failure"),
    ],
)
def test_every_end_is_counted_once(
    metrics: Metrics, deployment: Deployment, state: State, result: str
) -> None:
    ended(metrics, replace(deployment, state=State.VERIFYING), state)

    counted = {
        one: value(metrics, "certctl_deploy_attempts_total", result=one)
        for one in ("success", "failure")
    }
    assert counted == {"success": 0, "failure": 0, result: 1}


def test_a_step_that_goes_on_is_no_end(metrics: Metrics, deployment: Deployment) -> None:
    before = replace(deployment, state=State.IMPORTING)
    metrics.observe(before, replace(before, state=State.VERIFYING), seconds=0.5)

    assert value(metrics, "certctl_deploy_attempts_total", result="success") == 0
    assert value(metrics, "certctl_deploy_duration_seconds_sum", step="importing") == 0.5


@pytest.mark.parametrize("outcome", list(Outcome))
def test_both_outcomes_of_a_rollback_are_counted(
    metrics: Metrics, deployment: Deployment, outcome: Outcome
) -> None:
    ended(metrics, replace(deployment, state=State.ROLLING_BACK), State.ROLLED_BACK, outcome)

    assert value(metrics, "certctl_deploy_rollback_total", outcome=outcome.value) == 1


def test_an_import_that_the_read_back_did_not_confirm_is_counted(
    metrics: Metrics, deployment: Deployment
) -> None:
    before = replace(deployment, state=State.VERIFYING)
    metrics.observe(before, replace(before, state=State.ROLLING_BACK), seconds=0)

    assert value(metrics, "certctl_deploy_post_verify_failures_total") == 1


def test_a_snapshot_without_a_way_back_is_counted_with_its_reason(
    metrics: Metrics, deployment: Deployment
) -> None:
    before = replace(deployment, state=State.SNAPSHOTTING)
    rollback = Rollback(plan=Plan.IMPOSSIBLE, reason="chain-unknown")
    metrics.observe(before, replace(before, state=State.IMPORTING, rollback=rollback), seconds=0)

    name = "certctl_deploy_rollback_impossible_total"
    assert value(metrics, name, reason="chain-unknown") == 1


def test_nothing_to_do_and_another_writer_are_counted(
    metrics: Metrics, deployment: Deployment
) -> None:
    ended(metrics, replace(deployment, state=State.SNAPSHOTTING), State.UNCHANGED)
    ended(metrics, replace(deployment, state=State.VERIFYING), State.SUPERSEDED)

    assert value(metrics, "certctl_deploy_idempotent_skip_total") == 1
    assert metrics.registry.get_sample_value("certctl_deploy_superseded_total") == 1


def test_the_whole_time_of_a_deployment_is_measured(
    metrics: Metrics, deployment: Deployment
) -> None:
    ended(metrics, replace(deployment, state=State.VERIFYING), State.SUCCEEDED)

    assert value(metrics, "certctl_deploy_duration_seconds_sum", step="total") == 2


def test_a_deployment_that_ends_by_another_clock_before_its_start_took_no_time(
    metrics: Metrics, deployment: Deployment
) -> None:
    later = replace(deployment, state=State.VERIFYING, started_at=NOW + timedelta(hours=1))
    ended(metrics, later, State.SUCCEEDED)

    assert value(metrics, "certctl_deploy_duration_seconds_count", step="total") == 1
    assert value(metrics, "certctl_deploy_duration_seconds_sum", step="total") == 0


def test_the_queue_is_measured(metrics: Metrics, deployment: Deployment) -> None:
    metrics.waiting(3)
    metrics.started(deployment, at=NOW + timedelta(seconds=4))

    assert metrics.registry.get_sample_value("certctl_deploy_queue_depth") == 3
    assert metrics.registry.get_sample_value("certctl_deploy_queue_wait_seconds_sum") == 4
    assert value(metrics, "certctl_deploy_in_flight") == 1
    metrics.stopped(deployment)
    assert value(metrics, "certctl_deploy_in_flight") == 0


def test_answers_of_targets_and_throttling_are_counted(metrics: Metrics) -> None:
    metrics.answered(KIND, "import_certificate", "200")
    metrics.answered(KIND, "import_certificate", "429")

    name = "certctl_target_requests_total"
    assert value(metrics, name, operation="import_certificate", status="200") == 1
    assert value(metrics, "certctl_target_throttled_total") == 1


def test_waits_for_the_budget_of_a_target_are_measured(metrics: Metrics) -> None:
    metrics.waited(KIND, "import_certificate", 1.5)

    name = "certctl_target_budget_wait_seconds_sum"
    assert value(metrics, name, operation="import_certificate") == 1.5


def test_a_refused_request_is_counted(metrics: Metrics) -> None:
    metrics.refused(KIND)

    assert value(metrics, "certctl_deploy_validate_failures_total") == 1


def test_the_build_is_told(metrics: Metrics) -> None:
    assert b'certctl_build_info{build="abc",version="1.2.3"} 1.0' in metrics.render()


def test_counters_are_there_at_zero_before_anything_happened(metrics: Metrics) -> None:
    text = metrics.render().decode()

    assert (
        f'certctl_deploy_rollback_total{{outcome="also_failed",target_type="{KIND}"}} 0.0' in text
    )
    assert f'certctl_deploy_attempts_total{{result="success",target_type="{KIND}"}} 0.0' in text


def test_no_label_holds_what_a_caller_chose(metrics: Metrics, deployment: Deployment) -> None:
    error = Failure(code="x", message="secret", retryable=False, step=State.VERIFYING)
    ended(metrics, replace(deployment, state=State.VERIFYING, error=error), State.ROLLED_BACK)

    assert b"secret" not in metrics.render()


def test_a_cancelled_deployment_is_no_attempt(metrics: Metrics, deployment: Deployment) -> None:
    ended(metrics, replace(deployment, state=State.QUEUED), State.CANCELLED)

    assert value(metrics, "certctl_deploy_attempts_total", result="failure") == 0


def test_what_a_start_takes_up_again_did_not_wait_in_the_queue(
    metrics: Metrics, deployment: Deployment
) -> None:
    resumed = replace(deployment, state=State.VERIFYING)
    metrics.started(resumed, at=NOW + timedelta(hours=9))

    assert metrics.registry.get_sample_value("certctl_deploy_queue_wait_seconds_count") == 0
