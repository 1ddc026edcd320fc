import os
import signal
import socket
import ssl
import threading
from pathlib import Path

import httpx
import pytest

from app.emulator import Delay, Emulator, Fault, serve
from app.emulator.cli import directions


def test_an_emulator_that_is_not_running_has_no_port() -> None:
    emulator = Emulator()

    with pytest.raises(RuntimeError, match="not running"):
        _ = emulator.port
    assert emulator.plain_port is None


def test_an_emulator_runs_once_at_a_time_and_can_run_again() -> None:
    emulator = Emulator()

    with emulator.running():
        with pytest.raises(RuntimeError, match="already"), emulator.running():
            pass
        port = emulator.port

    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    with emulator.running(port=0) as again:
        socket.create_connection(("127.0.0.1", again.port)).close()


def test_a_port_in_use_is_an_error(emulator: Emulator) -> None:
    other = Emulator()

    with pytest.raises(OSError, match="in use"), other.running(port=emulator.port):
        pass
    with other.running():
        assert other.port


def test_a_second_port_in_use_leaves_nothing_open(emulator: Emulator) -> None:
    other = Emulator()

    with pytest.raises(OSError, match="in use"), other.running(plain_port=emulator.port):
        pass
    with other.running():
        assert other.plain_port is None


def test_stopping_does_not_wait_for_a_delayed_answer(caplog: pytest.LogCaptureFixture) -> None:
    emulator = Emulator()
    held = Fault(operation="token", effect=Delay(seconds=60))
    emulator.faults.add(held)
    failures: list[httpx.TransportError] = []

    def ask(port: int) -> None:
        trust = ssl.create_default_context(cadata=emulator.ca_pem)
        url = f"https://localhost:{port}/tenant/oauth2/v2.0/token"
        try:
            httpx.post(url, verify=trust, timeout=30)
        except httpx.TransportError as error:
            failures.append(error)

    with emulator.running():
        client = threading.Thread(target=ask, args=(emulator.port,))
        client.start()
        emulator.faults.wait_until_met(held)
    client.join(10)

    assert len(failures) == 1
    assert caplog.records == []


def test_the_ca_can_be_written_to_a_file(emulator: Emulator, tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"

    emulator.write_ca(path)

    assert path.read_text() == emulator.ca_pem


def test_no_key_shows_in_a_representation(emulator: Emulator) -> None:
    from tests.emulator.making import leaf  # noqa: PLC0415 - used here only

    made = leaf()
    stored = emulator.vault("my-vault").import_pem("api", made.cert_pem, made.key_pem)

    assert "PRIVATE" not in repr(stored)
    assert "private_key" not in repr(stored)
    assert stored.value not in repr(stored)


def test_the_directions_name_every_setting(emulator: Emulator) -> None:
    text = directions(emulator, host="127.0.0.1", ca="ca.pem", token="token")

    address = f"127.0.0.1:{emulator.port}"
    for line in (
        f"export CERTCTL_CONNECTORS_AZURE__CONNECT_TO={address}",
        "export CERTCTL_CONNECTORS_AZURE__CA_BUNDLE=ca.pem",
        f"export AZURE_TENANT_ID={emulator.tenant_id}",
        f"export AZURE_CLIENT_ID={emulator.client_id}",
        f"export AZURE_CLIENT_SECRET={emulator.client_secret}",
        "export AZURE_FEDERATED_TOKEN_FILE=token",
        f"export AZURE_POD_IDENTITY_AUTHORITY_HOST=http://127.0.0.1:{emulator.plain_port}",
    ):
        assert line in text.splitlines()
    assert f"--connect-to ::{address}" in text
    assert "/_control/" in text
    assert f"IDENTITY_ENDPOINT=http://127.0.0.1:{emulator.plain_port}/msi/token" in text
    assert f"IDENTITY_HEADER={emulator.identity_header}" in text


def test_the_directions_name_nothing_that_was_not_asked_for() -> None:
    emulator = Emulator()
    with emulator.running():
        text = directions(emulator, host="127.0.0.1", ca="ca.pem")

    for word in ("_control", "AZURE_FEDERATED_TOKEN_FILE", "IDENTITY"):
        assert word not in text


def test_served_in_the_foreground_it_stops_at_a_signal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ca = tmp_path / "ca.pem"
    before = signal.getsignal(signal.SIGTERM)

    def stop() -> None:
        while not ca.exists():
            threading.Event().wait(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    stopper = threading.Thread(target=stop, daemon=True)
    stopper.start()
    serve(Emulator(), ca_out=ca)
    stopper.join()

    assert "CERTIFICATE" in ca.read_text()
    assert "CONNECT_TO=127.0.0.1:" in capsys.readouterr().out
    assert signal.getsignal(signal.SIGTERM) is before
