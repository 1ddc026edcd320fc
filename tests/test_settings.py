"""What can be configured, and what refuses to start."""

from pathlib import Path

import pytest
from pydantic import BaseModel

from app import parts, settings
from app.api.access import Open
from app.connectors import REGISTRY
from app.metrics import Metrics
from app.parts import Part
from app.sealing import new_sealing_key
from app.settings import PREFIX, Unusable

GROUPS: dict[str, type[BaseModel]] = {kind.settings: kind.options for kind in REGISTRY.values()}


def read(monkeypatch: pytest.MonkeyPatch, **values: str) -> settings.Settings:
    for name, value in {"ACCESS__FILE": "callers.toml", **values}.items():
        monkeypatch.setenv(f"{PREFIX}{name}", value)
    return settings.read(GROUPS)


def test_without_an_access_file_the_service_says_how_to_make_one() -> None:
    with pytest.raises(ValueError, match="python -m app token new"):
        parts.access(settings.read(GROUPS), Part.API)


def test_workers_alone_need_no_access_file_as_nobody_calls_them() -> None:
    assert isinstance(parts.access(settings.read(GROUPS), Part.WORKER), Open)


def test_the_defaults_listen_on_loopback_with_access_required(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = read(monkeypatch)

    assert (found.http.host, found.http.port) == ("127.0.0.1", 8080)
    assert found.access.mode == "required"
    assert found.store.url.get_secret_value() == "sqlite:///data/certctl-connectors.db"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.test"])  # noqa: S104 - to be refused
def test_access_control_cannot_be_off_beyond_loopback(
    monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    with pytest.raises(Unusable, match="only allowed while listening on loopback"):
        read(monkeypatch, ACCESS__MODE="disabled", HTTP__HOST=host)


def test_a_deployment_is_kept_as_long_as_a_repeat_is_answered_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(Unusable, match="STORE__DEPLOYMENT_DAYS is less than"):
        read(monkeypatch, STORE__DEPLOYMENT_DAYS="6")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.0.0.9"])
def test_access_control_can_be_off_on_loopback(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    found = read(monkeypatch, ACCESS__MODE="disabled", HTTP__HOST=host)

    assert found.access.mode == "disabled"


@pytest.mark.parametrize(
    "name", ["HTPP__PORT", "HTTP__PROT", "AZURE__CLIENT_SECRET", "PORT", "WORKER__CONCURENCY"]
)
def test_an_unknown_setting_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    with pytest.raises(Unusable, match=name):
        read(monkeypatch, **{name: "very-secret-value"})


def test_a_refusal_repeats_no_value(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unusable) as refused:
        read(monkeypatch, HTTP__PORT="very-secret-value", WORKER__QUEUE_LIMIT="0")

    assert "very-secret-value" not in str(refused.value)
    assert "HTTP__PORT" in str(refused.value)
    assert "WORKER__QUEUE_LIMIT" in str(refused.value)


def test_a_connector_brings_its_own_group(monkeypatch: pytest.MonkeyPatch) -> None:
    found = read(
        monkeypatch, AZURE__ALLOWED_VAULTS='["prod-*"]', AZURE__CONNECT_TO="127.0.0.1:8443"
    )

    assert found.group("azure").allowed_vaults == ("prod-*",)
    assert found.group("azure").connect_to == "127.0.0.1:8443"


def test_settings_cannot_be_changed_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    found = read(monkeypatch)

    with pytest.raises(ValueError, match="frozen"):
        found.http.port = 1


def test_a_list_that_is_not_written_as_one_is_refused_with_an_example(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(Unusable, match="JSON list"):
        read(monkeypatch, AZURE__ALLOWED_VAULTS="prod-*")


def test_a_mapping_is_written_as_a_json_object(monkeypatch: pytest.MonkeyPatch) -> None:
    found = read(monkeypatch, AZURE__SUBSCRIPTIONS='{"prod-*": "production"}')

    assert found.group("azure").subscriptions == {"prod-*": "production"}


def test_a_password_in_the_address_of_the_store_is_never_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = "postgresql://user:hunter2@db/certctl"
    found = read(monkeypatch, STORE__URL=url, QUEUE__MODE="postgres")

    assert "hunter2" not in repr(found)
    assert "hunter2" not in found.model_dump_json()


def sealed_by(monkeypatch: pytest.MonkeyPatch, file: Path) -> settings.Settings:
    return read(
        monkeypatch,
        STORE__URL="postgresql://db/certctl",
        QUEUE__MODE="postgres",
        QUEUE__SEALING_KEYS_FILE=str(file),
    )


async def test_sealing_keys_can_be_in_a_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "sealing-keys"
    file.write_text(f"{new_sealing_key()}\n{new_sealing_key()}\n")

    async with parts.sealer(
        sealed_by(monkeypatch, file), {}, Metrics(version="", build="")
    ) as made:
        assert made is not None


@pytest.mark.parametrize(
    "content", [pytest.param(None, id="missing"), pytest.param(b"\xff" * 32, id="not-text")]
)
async def test_a_file_of_sealing_keys_that_cannot_be_read_is_named_and_nothing_of_it_repeated(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None
) -> None:
    file = tmp_path / "sealing-keys"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(ValueError, match="QUEUE__SEALING_KEYS_FILE") as refusal:
        async with parts.sealer(sealed_by(monkeypatch, file), {}, Metrics(version="", build="")):
            pass

    assert "xff" not in f"{refusal.value} {refusal.value.__cause__}"
