from typing import Any

import httpx
import pytest
from cryptography import x509

from app.emulator.api_versions import KNOWN
from tests.emulator.conftest import Raw
from tests.emulator.making import leaf

PEM = {"secret_props": {"contentType": "application/x-pem-file"}}
VERSIONS = ("7.0", "7.1", "7.2", "7.3", "7.4", "7.5", "7.6", "2025-07-01", "2026-04-01")


def under(http: Raw, version: str) -> Raw:
    http.params = httpx.QueryParams({"api-version": version})
    return http


@pytest.mark.parametrize("version", ["2016-10-01", *VERSIONS])
def test_every_released_version_is_known(http: Raw, version: str) -> None:
    assert under(http, version).get("/certificates").status_code == 200


def test_no_other_version_is_known() -> None:
    assert list(KNOWN) == ["2016-10-01", *VERSIONS]


@pytest.mark.parametrize(
    "version", ["9.9", "7.10", "7.6-preview.2", "2026-03-01-preview", "latest"]
)
def test_an_unknown_version_is_refused(http: Raw, version: str) -> None:
    answer = under(http, version).get("/certificates")

    message = (
        f"The specified version ({version}) is not recognized. "
        "Consider using the latest supported version (2026-04-01)."
    )
    error = {"code": "BadParameter", "message": message}
    assert (answer.status_code, answer.json()) == (400, {"error": error})


def test_no_version_at_all_is_refused(http: Raw) -> None:
    http.params = httpx.QueryParams()

    answer = http.get("/certificates")

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "BadParameter")


@pytest.mark.parametrize("version", VERSIONS)
def test_the_order_of_certificates_can_be_kept_from_7_6_on(http: Raw, version: str) -> None:
    own, issuer = leaf("leaf"), leaf("issuer")
    value = own.key_pem + issuer.cert_pem + own.cert_pem

    body = under(http, version).send_import(value, policy=PEM, preserveCertOrder=True).json()

    stored = http.get("/secrets/api").json()["value"].encode()
    first = x509.load_pem_x509_certificates(stored)[0]
    knows = version in ("7.6", "2025-07-01", "2026-04-01")
    assert body.get("preserveCertOrder") == (True if knows else None)
    assert first == (issuer.certificate if knows else own.certificate)


@pytest.mark.parametrize("version", VERSIONS)
def test_addresses_among_the_names_are_shown_from_2025_07_01_on(http: Raw, version: str) -> None:
    names = x509.SubjectAlternativeName(
        [x509.DNSName("www.example.com"), x509.UniformResourceIdentifier("spiffe://a/b")]
    )
    imported = under(http, version).send_import(leaf(extensions=(names,)).pfx()).json()

    policy = http.get("/certificates/api/policy").json()

    expected: dict[str, Any] = {"emails": [], "dns_names": ["www.example.com"], "upns": []}
    if version in ("2025-07-01", "2026-04-01"):
        expected |= {"uris": ["spiffe://a/b"], "ipAddresses": []}
    assert policy["x509_props"]["sans"] == expected
    assert imported["policy"]["x509_props"]["sans"] == expected


def test_an_older_version_does_not_set_what_it_does_not_know(http: Raw) -> None:
    http.send_import(leaf().pfx())
    sans = {"dns_names": ["a.example"], "uris": ["spiffe://a/b"]}
    under(http, "7.6").patch("/certificates/api/policy", json={"x509_props": {"sans": sans}})

    policy = under(http, "2026-04-01").get("/certificates/api/policy").json()

    assert policy["x509_props"]["sans"] == {"dns_names": ["a.example"]}


def test_a_tag_may_have_the_name_of_a_later_property(http: Raw) -> None:
    tags = {"preserveCertOrder": "yes", "uris": "none"}

    assert under(http, "7.0").send_import(leaf().pfx(), tags=tags).json()["tags"] == tags
