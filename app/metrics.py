"""The Prometheus metrics, and the one function that feeds them from a deployment's move.

Names and labels are certctl's, as its dashboards have them; ours stand beside them. No label
holds a vault, a name, or anything else that a caller chooses.
"""

from collections.abc import Iterable
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from app.deployment.model import Deployment, Outcome, Plan, State

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_THROTTLED = "429"


class Metrics:
    """The metrics of one process, in a registry of their own.

    Args:
        version: of this service.
        build: its commit.
        kinds: the target types, whose counters are there from the start, at zero, so that the
            first increment is seen as one.
    """

    def __init__(self, *, version: str, build: str, kinds: Iterable[str] = ()) -> None:
        self.registry = CollectorRegistry()
        kind = ["target_type"]
        self._attempts = self._counter("deploy_attempts", "Ended deployments.", [*kind, "result"])
        self._refused = self._counter("deploy_validate_failures", "Refused before any step.", kind)
        self._unverified = self._counter(
            "deploy_post_verify_failures", "Imports that the read-back did not confirm.", kind
        )
        self._rollbacks = self._counter(
            "deploy_rollback", "Rollbacks, as read back from the target.", [*kind, "outcome"]
        )
        self._skips = self._counter("deploy_idempotent_skip", "Nothing to do.", kind)
        self._impossible = self._counter(
            "deploy_rollback_impossible", "Snapshots without a way back.", [*kind, "reason"]
        )
        self._superseded = self._counter("deploy_superseded", "Left to another writer.", [])
        self._duration = Histogram(
            "certctl_deploy_duration_seconds",
            "Seconds in a step; `total` from start to end.",
            [*kind, "step"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._depth = Gauge(
            "certctl_deploy_queue_depth", "Deployments that wait.", registry=self.registry
        )
        self._wait = Histogram(
            "certctl_deploy_queue_wait_seconds",
            "Seconds from acceptance to start.",
            buckets=(0.001, 0.01, *_SECONDS),
            registry=self.registry,
        )
        self._in_flight = Gauge(
            "certctl_deploy_in_flight", "Deployments that run.", kind, registry=self.registry
        )
        self._requests = self._counter(
            "target_requests", "Answers of targets.", [*kind, "operation", "status"]
        )
        self._throttled = self._counter("target_throttled", "Throttled by targets.", kind)
        self._budget = Histogram(
            "certctl_target_budget_wait_seconds",
            "Seconds that a call waited for the target's budget; most wait none.",
            [*kind, "operation"],
            buckets=(0.01, *_SECONDS),
            registry=self.registry,
        )
        info = Gauge(
            "certctl_build_info", "Always 1.", ["version", "build"], registry=self.registry
        )
        info.labels(version, build).set(1)
        for one in kinds:
            self._begin(one)

    def observe(self, before: Deployment, after: Deployment, *, seconds: float) -> None:
        """Feed the metrics from one move, which took *seconds*."""
        kind = after.target.type
        self._duration.labels(kind, before.state.value).observe(seconds)
        if before.state is State.SNAPSHOTTING:
            self._planned(after)
        if before.state is State.VERIFYING and after.state is State.ROLLING_BACK:
            self._unverified.labels(kind).inc()
        if after.final:
            self._ended(after)

    def started(self, deployment: Deployment, *, at: datetime) -> None:
        """A deployment left the queue; one that a start takes up again had not waited there."""
        if deployment.state is State.QUEUED:
            self._wait.observe(max(0.0, (at - deployment.created_at).total_seconds()))
        self._in_flight.labels(deployment.target.type).inc()

    def stopped(self, deployment: Deployment) -> None:
        """A deployment no longer runs."""
        self._in_flight.labels(deployment.target.type).dec()

    def waiting(self, deployments: int) -> None:
        """The queue has this many."""
        self._depth.set(deployments)

    def refused(self, target_type: str) -> None:
        """A deploy request was refused for its faults."""
        self._refused.labels(target_type).inc()

    def answered(self, target_type: str, operation: str, status: str) -> None:
        """A target answered; *status* is the HTTP status, or `none`."""
        self._requests.labels(target_type, operation, status).inc()
        if status == _THROTTLED:
            self._throttled.labels(target_type).inc()

    def waited(self, target_type: str, operation: str, seconds: float) -> None:
        """A call waited so long for its target's budget."""
        self._budget.labels(target_type, operation).observe(seconds)

    def render(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)

    def _begin(self, kind: str) -> None:
        for counter in (self._refused, self._unverified, self._skips, self._throttled):
            counter.labels(kind)
        for result in ("success", "failure"):
            self._attempts.labels(kind, result)
        for outcome in Outcome:
            self._rollbacks.labels(kind, outcome.value)
        self._in_flight.labels(kind)

    def _counter(self, name: str, text: str, labels: list[str]) -> Counter:
        return Counter(f"certctl_{name}_total", text, labels, registry=self.registry)

    def _planned(self, deployment: Deployment) -> None:
        rollback = deployment.rollback
        if rollback is not None and rollback.plan is Plan.IMPOSSIBLE:
            reason = rollback.reason or "unknown"
            self._impossible.labels(deployment.target.type, reason).inc()

    def _ended(self, deployment: Deployment) -> None:
        kind, state, rollback = deployment.target.type, deployment.state, deployment.rollback
        if state is State.CANCELLED:
            return  # nothing was attempted
        success = state in (State.SUCCEEDED, State.UNCHANGED)
        self._attempts.labels(kind, "success" if success else "failure").inc()
        if state is State.UNCHANGED:
            self._skips.labels(kind).inc()
        if state is State.SUPERSEDED:
            self._superseded.inc()
        if rollback is not None and rollback.outcome is not None:
            self._rollbacks.labels(kind, rollback.outcome.value).inc()
        if deployment.started_at and deployment.finished_at:
            total = (deployment.finished_at - deployment.started_at).total_seconds()
            total = max(0.0, total)  # the clock of who took it over may be behind
            self._duration.labels(kind, "total").observe(total)
