import base64

import pytest
from cryptography.hazmat.primitives.serialization import pkcs12

from app.emulator import Clock, Emulator
from app.emulator.clouds import vault_of
from tests.emulator.conftest import Raw
from tests.emulator.making import leaf


def test_a_vault_is_looked_into_without_http(http: Raw, emulator: Emulator) -> None:
    made = leaf()
    http.send_import(made.pfx(), tags={"a": "b"})

    stored = emulator.vault("My-Vault").latest("api")

    assert stored
    assert stored.certificate == made.certificate
    assert stored.private_key
    assert (stored.chain, stored.tags, stored.enabled) == ((), {"a": "b"}, True)
    assert stored.content_type == "application/x-pkcs12"


def test_a_vault_knows_nothing_of_an_unknown_name(emulator: Emulator) -> None:
    vault = emulator.vault("my-vault")

    assert (vault.versions("none"), vault.latest("none")) == ([], None)
    with pytest.raises(KeyError):
        vault.policy("none")


def test_what_another_writer_stored_is_served(http: Raw, emulator: Emulator) -> None:
    made, issuer = leaf(days=(-9, -1)), leaf("issuer")
    stored = emulator.vault("my-vault").import_pem(
        "api", made.cert_pem, made.key_pem, issuer.cert_pem, tags={"a": "b"}
    )

    body = http.get("/certificates/api").json()
    content = pkcs12.load_pkcs12(base64.b64decode(http.get("/secrets/api").json()["value"]), None)

    assert body["id"].endswith(stored.version)
    assert body["tags"] == {"a": "b"}
    assert content.cert
    assert content.cert.certificate == made.certificate
    assert [other.certificate for other in content.additional_certs] == [issuer.certificate]
    assert emulator.writes == 0


def test_the_clock_can_be_any(http: Raw) -> None:
    clock = Clock(lambda: 1000.0)
    clock.advance(5)

    made = leaf()
    stored = Emulator(clock=clock).vault("v").import_pem("api", made.cert_pem, made.key_pem)

    assert (stored.created, stored.updated) == (1005, 1005)


def test_versions_of_one_second_have_equal_times(emulator: Emulator) -> None:
    clock = Clock(lambda: 1000.7)
    made, vault = leaf(), Emulator(clock=clock).vault("v")

    times = {vault.import_pem("api", made.cert_pem, made.key_pem).created for _ in range(3)}

    assert times == {1000}


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("v.vault.azure.net:443", "v"),
        ("localhost", "localhost"),
        ("127.0.0.1:1", "localhost"),
        ("a.b.vault.azure.net", None),
        (".vault.azure.net", None),
        ("v.example.com", None),
        ("", None),
    ],
)
def test_a_host_name_means_a_vault(host: str, name: str | None) -> None:
    found = vault_of(host)

    assert (found[0] if found else None) == name
