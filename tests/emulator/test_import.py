import base64
import ipaddress
import re
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, pkcs12

from app.emulator import Emulator, legacy_pfx
from tests.emulator.conftest import VAULT, Raw
from tests.emulator.making import Leaf, curve_key, leaf, usage

PEM_POLICY = {"secret_props": {"contentType": "application/x-pem-file"}}
# object identifiers in DER, equally long
P_256 = bytes.fromhex("06082a8648ce3d030107")
NO_CURVE = bytes.fromhex("06082a8648ce3d03017f")
PFX_POLICY = {"secret_props": {"contentType": "application/x-pkcs12"}}


def assert_refused(
    answer: httpx.Response, status: int, code: str, message: str, inner: str | None = None
) -> None:
    error: dict[str, Any] = {"code": code, "message": message}
    if inner:
        error["innererror"] = {"code": inner}
    assert (answer.status_code, answer.json()) == (status, {"error": error})


def without_key(made: Leaf) -> str:
    content = pkcs12.serialize_key_and_certificates(
        None, None, made.certificate, None, NoEncryption()
    )
    return base64.b64encode(content).decode()


# ---- what works


def test_a_pfx_without_policy_is_answered_as_recorded(http: Raw) -> None:
    subject = x509.Name(
        [
            x509.NameAttribute(x509.NameOID.COUNTRY_NAME, "US"),
            x509.NameAttribute(x509.NameOID.STATE_OR_PROVINCE_NAME, "WA"),
            x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "Contoso, Ltd"),
            x509.NameAttribute(x509.NameOID.COMMON_NAME, "Test"),
            x509.NameAttribute(x509.NameOID.EMAIL_ADDRESS, "test@contoso.org"),
        ]
    )
    made = leaf(subject=subject, extensions=(x509.BasicConstraints(ca=True, path_length=None),))

    answer = http.send_import(made.pfx("pw"), pwd="pw", tags={"key": "val"})

    body = answer.json()
    version = body["id"].rpartition("/")[2]
    assert answer.status_code == 200
    assert re.fullmatch(r"[0-9a-f]{32}", version)
    sha1 = made.certificate.fingerprint(hashes.SHA1())  # noqa: S303 - x5t is SHA-1 by definition
    created = body["attributes"]["created"]
    assert body == {
        "id": f"{VAULT}/certificates/api/{version}",
        "kid": f"{VAULT}/keys/api/{version}",
        "sid": f"{VAULT}/secrets/api/{version}",
        "x5t": base64.urlsafe_b64encode(sha1).rstrip(b"=").decode(),
        "cer": base64.b64encode(made.certificate.public_bytes(Encoding.DER)).decode(),
        "attributes": {
            "enabled": True,
            "nbf": int(made.certificate.not_valid_before_utc.timestamp()),
            "exp": int(made.certificate.not_valid_after_utc.timestamp()),
            "created": created,
            "updated": created,
            "recoveryLevel": "Recoverable+Purgeable",
            "recoverableDays": 90,
        },
        "tags": {"key": "val"},
        "policy": {
            "id": f"{VAULT}/certificates/api/policy",
            "key_props": {
                "exportable": True,
                "kty": "EC",
                "key_size": 256,
                "crv": "P-256",
                "reuse_key": False,
            },
            "secret_props": {"contentType": "application/x-pkcs12"},
            "x509_props": {
                "subject": 'E=test@contoso.org, CN=Test, O="Contoso, Ltd", S=WA, C=US',
                "ekus": [],
                "key_usage": [],
                "validity_months": body["policy"]["x509_props"]["validity_months"],
                "basic_constraints": {"ca": True},
            },
            "lifetime_actions": [
                {
                    "trigger": {"lifetime_percentage": 80},
                    "action": {"action_type": "EmailContacts"},
                }
            ],
            "issuer": {"name": "Unknown"},
            "attributes": {"enabled": True, "created": created, "updated": created},
        },
    }
    assert isinstance(created, int)


def test_issuer_self_turns_on_auto_renew_and_the_subject_sent_is_ignored(http: Raw) -> None:
    names = x509.SubjectAlternativeName(
        [
            x509.DNSName("www.example.com"),
            x509.RFC822Name("a@example.com"),
            x509.IPAddress(ipaddress.ip_address("10.0.0.1")),
        ]
    )
    server = x509.ExtendedKeyUsage([x509.OID_SERVER_AUTH])
    made = leaf("own.example", extensions=(names, usage(), server))
    policy = {
        **PEM_POLICY,
        "x509_props": {"subject": "CN=contoso.com"},
        "issuer": {"name": "Self"},
    }

    http.params = http.params.set("api-version", "2025-07-01")

    body = http.send_import(made.pem, policy=policy, preserveCertOrder=False).json()

    assert body["preserveCertOrder"] is False
    assert body["policy"]["lifetime_actions"][0]["action"] == {"action_type": "AutoRenew"}
    assert body["policy"]["x509_props"] == {
        "subject": "CN=own.example",
        "sans": {
            "emails": ["a@example.com"],
            "dns_names": ["www.example.com"],
            "upns": [],
            "uris": [],
            "ipAddresses": ["10.0.0.1"],
        },
        "ekus": ["1.3.6.1.5.5.7.3.1"],
        "key_usage": ["digitalSignature", "nonRepudiation"],
        "validity_months": 3,
        "basic_constraints": {"ca": False},
    }


def test_lifetime_actions_sent_are_kept(http: Raw) -> None:
    actions = [{"trigger": {"days_before_expiry": 5}, "action": {"action_type": "EmailContacts"}}]

    body = http.send_import(leaf().pfx(), policy={**PFX_POLICY, "lifetime_actions": actions}).json()

    assert body["policy"]["lifetime_actions"] == actions


@pytest.mark.parametrize(
    ("curve", "name", "size"),
    [
        (ec.SECP256R1(), "P-256", 256),
        (ec.SECP384R1(), "P-384", 384),
        (ec.SECP521R1(), "P-521", 521),
        (ec.SECP256K1(), "P-256K", 256),
    ],
    ids=["P-256", "P-384", "P-521", "P-256K"],
)
def test_every_curve_of_key_vault_is_taken_and_named(
    http: Raw, curve: ec.EllipticCurve, name: str, size: int
) -> None:
    made = leaf(key=ec.generate_private_key(curve))

    body = http.send_import(made.pfx()).json()

    props = body["policy"]["key_props"]
    assert (props["kty"], props["crv"], props["key_size"]) == ("EC", name, size)


def test_an_rsa_key_is_taken(http: Raw) -> None:
    made = leaf(key=rsa.generate_private_key(65537, 2048))

    body = http.send_import(made.pfx()).json()

    assert body["policy"]["key_props"] == {
        "exportable": True,
        "kty": "RSA",
        "key_size": 2048,
        "reuse_key": False,
    }


def test_the_same_bytes_again_make_another_version(http: Raw, emulator: Emulator) -> None:
    value = leaf().pfx("pw")

    first, second = (http.send_import(value, pwd="pw").json()["id"] for _ in range(2))

    stored = [
        f"{VAULT}/certificates/api/{v.version}" for v in emulator.vault("my-vault").versions("api")
    ]
    assert stored == [first, second]
    assert emulator.writes == 2


@pytest.mark.parametrize("in_base64", [False, True], ids=["raw", "base64"])
def test_pem_is_taken_raw_and_in_base64(http: Raw, in_base64: bool) -> None:  # noqa: FBT001 - a parameter of the test
    made = leaf()
    value = base64.b64encode(made.pem.encode()).decode() if in_base64 else made.pem

    http.send_import(value, policy=PEM_POLICY)

    secret = http.get("/secrets/api").json()
    assert (secret["value"], secret["contentType"]) == (made.pem, "application/x-pem-file")


@pytest.mark.parametrize(
    ("preserve", "first"), [(False, "leaf"), (True, "issuer")], ids=["leaf first", "as sent"]
)
def test_the_leaf_comes_first_unless_the_order_is_to_be_kept(
    http: Raw,
    preserve: bool,  # noqa: FBT001 - a parameter of the test
    first: str,
) -> None:
    own, issuer = leaf("leaf"), leaf("issuer")
    value = own.key_pem + issuer.cert_pem + own.cert_pem

    http.send_import(value, policy=PEM_POLICY, preserveCertOrder=preserve)

    kept = x509.load_pem_x509_certificates(http.get("/secrets/api").json()["value"].encode())
    assert kept[0].subject.rfc4514_string() == f"CN={first}"


def test_a_disabled_version_can_be_imported(http: Raw) -> None:
    body = http.send_import(leaf().pfx(), attributes={"enabled": False}).json()

    assert body["attributes"]["enabled"] is False
    assert "tags" not in body


def test_tags_do_not_carry_forward(http: Raw) -> None:
    http.send_import(leaf().pfx(), tags={"owner": "web"})

    assert "tags" not in http.send_import(leaf().pfx()).json()


def test_a_legacy_pfx_is_read(http: Raw, emulator: Emulator) -> None:
    made, issuer = leaf(), leaf("issuer")
    value = legacy_pfx.write(made.certificate, made.key, (issuer.certificate,))

    assert http.send_import(base64.b64encode(value).decode()).status_code == 200

    latest = emulator.vault("my-vault").latest("api")
    assert latest
    assert (latest.certificate, latest.chain) == (made.certificate, (issuer.certificate,))


def test_only_the_last_parsed_files_are_remembered() -> None:
    from app.emulator.material import Reader  # noqa: PLC0415 - an inner part, seen here only

    reader = Reader(keep=1)
    values = [leaf().pfx(), leaf().pfx()]

    first, second = (reader.pfx(value, None) for value in values)

    assert reader.pfx(values[1], None) is second
    assert reader.pfx(values[0], None) is not first


# ---- what is refused

PFX_UNREADABLE = (
    "The specified PKCS#12 X.509 certificate content can not be read. "
    "Please check if certificate is in valid PKCS#12 format."
)
NO_KEY = (
    "No certificate with private key found in the specified X.509 certificate content. "
    "Please specify X.509 certificate content with only one certificate containing private key."
)
PEM_UNREADABLE = (
    "The specified PEM X.509 certificate content is in an unexpected format. "
    "Please check if certificate is in valid PEM format."
)
PEM_NO_KEY = (
    "Private key is not specified in the specified X.509 PEM certificate content. "
    "Please specify private key in the X.509 PEM certificate content."
)
MISMATCH = (
    "The public key of the end-entity certificate in the specified X.509 certificate content "
    "does not match the public part of the specified private key. "
    "Please check if certificate is valid."
)


def test_a_wrong_password_and_garbage_are_the_same_to_key_vault(http: Raw) -> None:
    made = leaf()

    for answer in (
        http.send_import(made.pfx("pw"), pwd="wrong"),
        http.send_import(made.pfx("pw")),
        http.send_import("AAAA"),
        http.send_import("no base64!"),
    ):
        assert_refused(answer, 400, "BadParameter", PFX_UNREADABLE)


def test_a_pfx_without_key_and_pem_sent_as_pfx_are_refused(http: Raw) -> None:
    made = leaf()

    for value in (without_key(made), made.pem, base64.b64encode(made.pem.encode()).decode()):
        assert_refused(http.send_import(value), 400, "BadParameter", NO_KEY)


def test_a_pfx_whose_key_is_of_another_certificate_is_refused(http: Raw) -> None:
    value = legacy_pfx.write(leaf().certificate, curve_key(), ())

    answer = http.send_import(base64.b64encode(value).decode())

    assert_refused(answer, 400, "BadParameter", MISMATCH)


def bad_pem() -> dict[str, tuple[str, str]]:
    own, other = leaf(), leaf()
    garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    bad_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
    return {
        "mismatch": (own.key_pem + other.cert_pem, MISMATCH),
        "no key": (own.cert_pem, PEM_NO_KEY),
        "no certificate": (own.key_pem, PEM_UNREADABLE),
        "two keys": (own.pem + other.key_pem, PEM_UNREADABLE),
        "carriage returns": (own.pem.replace("\n", "\r\n"), PEM_UNREADABLE),
        "other text": (own.pem + "subject=CN\n", PEM_UNREADABLE),
        "other block": (own.pem + own.key_pem.replace("PRIVATE", "RSA PRIVATE"), PEM_UNREADABLE),
        "unreadable certificate": (own.key_pem + garbage, PEM_UNREADABLE),
        "unreadable key": (bad_key + own.cert_pem, PEM_UNREADABLE),
        "no PEM": (base64.b64encode(b"\xff\xfe").decode(), PEM_UNREADABLE),
        "no base64": ("?", PEM_UNREADABLE),
    }


@pytest.mark.parametrize("case", list(bad_pem()))
def test_pem_is_read_strictly(http: Raw, case: str) -> None:
    value, message = bad_pem()[case]

    assert_refused(http.send_import(value, policy=PEM_POLICY), 400, "BadParameter", message)


def test_an_expired_certificate_is_refused(http: Raw, emulator: Emulator) -> None:
    answer = http.send_import(leaf(days=(-9, -1)).pfx())

    assert_refused(answer, 400, "BadParameter", "X509 Certificate is already expired")
    assert emulator.writes == 0


@pytest.mark.parametrize(
    "policy",
    [{}, {"issuer": {"name": "Self"}}, {"secret_props": {"contentType": "text/plain"}}, "policy"],
    ids=["empty", "without content type", "other content type", "no object"],
)
def test_a_policy_needs_a_content_type(http: Raw, policy: object) -> None:
    answer = http.send_import(leaf().pfx(), policy=policy)

    assert_refused(answer, 400, "BadParameter", "Property policy has invalid value\r\n")


EC_OPERATIONS = (
    'Unsupported key operation(s): "wrapKey", "unwrapKey". Supported values are "sign", "verify".'
)


def test_an_ec_leaf_with_key_encipherment_is_refused(http: Raw) -> None:
    made = leaf(extensions=(usage(key_encipherment=True),))

    assert_refused(http.send_import(made.pfx()), 400, "BadParameter", EC_OPERATIONS)


def test_an_ec_leaf_with_key_encipherment_in_the_policy_is_refused(http: Raw) -> None:
    policy = {**PFX_POLICY, "x509_props": {"key_usage": ["keyEncipherment"]}}

    answer = http.send_import(leaf().pfx(), policy=policy)

    assert_refused(answer, 400, "BadParameter", EC_OPERATIONS)


def test_a_short_rsa_key_is_refused(http: Raw) -> None:
    made = leaf(key=rsa.generate_private_key(65537, 1024))  # noqa: S505 - must be refused

    answer = http.send_import(made.pfx())

    message = "Unsupported key size (1024). Supported sizes are [2048, 3072, 4096]"
    assert_refused(answer, 400, "BadParameter", message, "KeySizeNotSupported")


@pytest.mark.parametrize(
    "key",
    [ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.BrainpoolP256R1())],
    ids=["Ed25519", "Brainpool"],
)
def test_other_kinds_of_key_are_refused(
    http: Raw, key: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey
) -> None:
    answer = http.send_import(leaf(key=key).pem, policy=PEM_POLICY)

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "BadParameter")


ODD = (
    "The specified X.509 certificate content is invalid. "
    "Error: One or more X.509 properties are invalid."
)


@pytest.mark.parametrize(
    "extension",
    [
        x509.UnrecognizedExtension(x509.OID_SUBJECT_ALTERNATIVE_NAME, b"no names"),
        x509.UnrecognizedExtension(x509.OID_SUBJECT_ALTERNATIVE_NAME, bytes.fromhex("3002a300")),
        x509.UnrecognizedExtension(x509.OID_KEY_USAGE, b"no bits"),
    ],
    ids=["no names", "an x400 address", "no usages"],
)
@pytest.mark.parametrize("form", ["pfx", "pem"])
def test_an_odd_certificate_is_refused(
    http: Raw, extension: x509.UnrecognizedExtension, form: str
) -> None:
    made = leaf(extensions=(extension,))

    answer = (
        http.send_import(made.pem, policy=PEM_POLICY)
        if form == "pem"
        else http.send_import(made.pfx())
    )

    assert_refused(answer, 400, "BadParameter", ODD)


def test_an_issuer_may_have_a_kind_of_key_that_is_not_known(http: Raw) -> None:
    own, issuer = leaf(), leaf("issuer")
    unknown = issuer.certificate.public_bytes(Encoding.DER).replace(P_256, NO_CURVE)
    certificate = x509.load_der_x509_certificate(unknown).public_bytes(Encoding.PEM).decode()

    answer = http.send_import(own.key_pem + certificate + own.cert_pem, policy=PEM_POLICY)

    assert answer.json()["policy"]["x509_props"]["subject"] == "CN=www.example.com"


@pytest.mark.parametrize(
    "body",
    [
        {"value": "A" * 25_601},
        {"value": ""},
        {},
        {"value": "AAAA", "pwd": 5},
        {"value": "AAAA", "pwd": "p" * 201},
        {"value": "AAAA", "tags": {str(n): "" for n in range(16)}},
        {"value": "AAAA", "tags": {"name": "v" * 257}},
        {"value": "AAAA", "tags": {"n" * 257: ""}},
        {"value": "AAAA", "tags": {"name": 5}},
        {"value": "AAAA", "tags": []},
        [],
    ],
    ids=[
        "too large",
        "empty value",
        "no value",
        "password is a number",
        "password too long",
        "too many tags",
        "long tag value",
        "long tag name",
        "tag is a number",
        "tags is a list",
        "body is a list",
    ],
)
def test_a_body_out_of_bounds_is_refused(http: Raw, body: object) -> None:
    answer = http.post("/certificates/api/import", json=body)

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "BadParameter")


def test_a_body_that_is_no_json_is_refused(http: Raw) -> None:
    answer = http.post("/certificates/api/import", content=b"{")

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "BadParameter")


@pytest.mark.parametrize("name", ["www.example.com", "a_b", "n" * 128], ids=["dot", "_", "long"])
def test_a_name_key_vault_does_not_allow_is_refused(http: Raw, name: str) -> None:
    answer = http.send_import(leaf().pfx(), name=name)

    message = f"The request URI contains an invalid name: {name}"
    assert_refused(answer, 400, "BadParameter", message)


def test_a_soft_deleted_name_cannot_be_used(http: Raw, emulator: Emulator) -> None:
    http.send_import(leaf().pfx())
    emulator.vault("my-vault").soft_delete("api")

    answer = http.send_import(leaf().pfx())

    message = (
        "Certificate api is currently in a deleted but recoverable state, and its name cannot be "
        "reused; in this state, the certificate can only be recovered or purged."
    )
    assert_refused(answer, 409, "Conflict", message, "ObjectIsDeletedButRecoverable")


def test_a_name_being_deleted_cannot_be_used(http: Raw, emulator: Emulator) -> None:
    emulator.slow_deletion(5)
    http.send_import(leaf().pfx())
    http.delete("/certificates/api")

    answer = http.send_import(leaf().pfx())

    message = "Certificate is currently being deleted."
    assert_refused(answer, 409, "Conflict", message, "ObjectIsBeingDeleted")


def test_a_pending_creation_forbids_an_import(http: Raw, emulator: Emulator) -> None:
    emulator.vault("my-vault").set_pending("api", in_progress=True)

    answer = http.send_import(leaf().pfx())

    message = (
        "A new key vault certificate can not be created or imported while a pending key vault "
        "certificate's status is inProgress."
    )
    assert_refused(answer, 409, "Forbidden", message)


def test_a_finished_creation_is_overwritten_by_an_import(http: Raw, emulator: Emulator) -> None:
    emulator.vault("my-vault").set_pending("api", in_progress=False)

    assert "pending" not in http.send_import(leaf().pfx()).json()
    assert http.get("/certificates/api/pending").status_code == 404


# ---- values of another kind than they should be

RENEW = {"trigger": {"lifetime_percentage": 1}, "action": {"action_type": "AutoRenew"}}


@pytest.mark.parametrize(
    "body",
    [
        {"attributes": "on"},
        {"attributes": [1]},
        {"attributes": {"enabled": "false"}},
        {"preserveCertOrder": "yes"},
        {"policy": {**PFX_POLICY, "key_props": "RSA"}},
        {"policy": {**PFX_POLICY, "key_props": {"exportable": "no"}}},
        {"policy": {**PFX_POLICY, "issuer": "Self"}},
        {"policy": {**PFX_POLICY, "issuer": {"name": 5}}},
        {"policy": {**PFX_POLICY, "x509_props": "CN=x"}},
        {"policy": {**PFX_POLICY, "x509_props": {"key_usage": 5}}},
        {"policy": {**PFX_POLICY, "lifetime_actions": "AutoRenew"}},
        {"policy": {**PFX_POLICY, "issuer": {"name": "Self"}, "lifetime_actions": [1]}},
        {
            "policy": {
                **PFX_POLICY,
                "issuer": {"name": "Self"},
                "lifetime_actions": [{**RENEW, "trigger": {"lifetime_percentage": "soon"}}],
            }
        },
    ],
    ids=[
        "attributes as text",
        "attributes as list",
        "enabled as text",
        "order as text",
        "key as text",
        "exportable as text",
        "issuer as text",
        "issuer as number",
        "properties as text",
        "usage as number",
        "actions as text",
        "action as number",
        "trigger as text",
    ],
)
def test_a_value_of_another_kind_is_refused_and_spoils_nothing(
    http: Raw, emulator: Emulator, body: dict[str, Any]
) -> None:
    answer = http.send_import(leaf().pfx(), **body)

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "BadParameter")
    assert http.get("/certificates").json()["value"] == []
    assert emulator.writes == 0


def test_a_certificate_that_cannot_be_made_again_is_kept_as_it_is(
    http: Raw, emulator: Emulator
) -> None:
    years = 365 * 7900  # its renewal would outlive the calendar
    policy = {**PFX_POLICY, "issuer": {"name": "Self"}, "lifetime_actions": [RENEW]}
    http.send_import(leaf(days=(-1, years)).pfx(), policy=policy)
    emulator.clock.advance(86_400 * years / 100)

    assert len(emulator.vault("my-vault").versions("api")) == 1
