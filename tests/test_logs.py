"""The log: one JSON line an event, nothing chatty, and no value of a variable in a traceback."""

import json
import logging

import pytest
import structlog

from app import logs
from app.audit import Action, Actor, Event
from tests.certificates import NOW


def lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_an_event_is_one_json_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(style="json", level="info")
    structlog.get_logger().info("service.listening", port=1)

    (line,) = lines(capsys.readouterr().out)
    assert (line["event"], line["level"], line["port"]) == ("service.listening", "info", 1)
    assert str(line["timestamp"]).endswith("Z")


def test_what_is_below_the_level_is_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(style="json", level="warning")
    structlog.get_logger().info("service.listening")

    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("style", ["json", "console"])
def test_a_traceback_holds_no_value_of_a_variable(
    capsys: pytest.CaptureFixture[str], style: str
) -> None:
    logs.configure(style=style, level="info")

    def broken(secret: str) -> None:
        raise RuntimeError("without it" if secret else "")

    try:
        broken("a key " * 2)
    except RuntimeError:
        structlog.get_logger().exception("worker.fault")

    written = capsys.readouterr().out
    assert "RuntimeError" in written
    assert "a key a key" not in written


def test_the_sdk_cannot_log_bodies_even_at_debug(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(style="json", level="debug")
    for name in ("azure.core.pipeline.policies.http_logging_policy", "azure.identity", "msal"):
        logging.getLogger(name).debug("a body with a key")
        logging.getLogger(name).info("a body with a key")
        logging.getLogger(name).warning("something is wrong")

    written = lines(capsys.readouterr().out)
    assert [line["event"] for line in written] == ["something is wrong"] * 3


def test_a_pool_of_connections_says_once_a_minute_why_it_has_none(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    logs.configure(style="json", level="info")
    pool = logging.getLogger("psycopg.pool")
    for second in range(0, 90, 2):
        monkeypatch.setattr("time.time", lambda now=second: 1e9 + now)
        monkeypatch.setattr("time.time_ns", lambda now=second: (10**9 + now) * 10**9)
        pool.warning("error connecting in %r: %s", "pool-1", f"refused, port {second}")
        pool.warning("reconnection attempt in pool %r failed", "pool-1")

    written = [str(line["event"]) for line in lines(capsys.readouterr().out)]
    assert len(written) == 2 * 2
    assert written[0] == "error connecting in 'pool-1': refused, port 0"
    assert written[2] == "error connecting in 'pool-1': refused, port 60"


def test_an_audit_event_is_told_with_all_that_a_search_needs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.configure(style="json", level="info")
    logs.told(
        Event(
            id="evt-1",
            timestamp=NOW,
            actor=Actor(name="portal", kind="token"),
            action=Action.VERIFIED,
            resource_type="deployment",
            resource_id="dep-1",
            details={"certificate_name": "api-prod"},
            request_id="req-1",
        )
    )

    (line,) = lines(capsys.readouterr().out)
    assert line["event"] == "deployment.verified"
    assert line["event_category"] == "deployment"
    assert line["certificate_name"] == "api-prod"
    assert (line["audit_id"], line["actor"]) == ("evt-1", "portal")


def test_the_audit_trail_is_told_at_every_level(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(style="json", level="error")
    logs.told(
        Event(
            id="evt-1",
            timestamp=NOW,
            actor=Actor(name="portal", kind="token"),
            action=Action.VERIFIED,
            resource_type="deployment",
            resource_id="dep-1",
        )
    )

    (line,) = lines(capsys.readouterr().out)
    assert line["event"] == "deployment.verified"
