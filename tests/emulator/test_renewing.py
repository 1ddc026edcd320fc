"""Key Vault renewing by itself: under issuer Self and AutoRenew, once a trigger has passed."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from app.emulator import Emulator, StoredVersion, Vault
from app.emulator.policies import dotnet_name, name_of
from tests import certificates
from tests.certificates import Authority, Issued
from tests.emulator.conftest import Raw
from tests.emulator.making import Leaf

DAY = 86_400
AT_80 = {"lifetime_percentage": 80}
LIFE = 91 * DAY  # of a certificate of the tests' authority
PAST_80 = 0.81 * LIFE  # from its beginning


def policy(
    issuer: str = "Self", action: str = "AutoRenew", trigger: dict[str, int] | None = None
) -> dict[str, Any]:
    return {
        "secret_props": {"contentType": "application/x-pkcs12"},
        "issuer": {"name": issuer},
        "lifetime_actions": [{"trigger": trigger or AT_80, "action": {"action_type": action}}],
    }


def pass_by(emulator: Emulator, seconds: float) -> None:
    """Let so many seconds of a certificate's life be over; it began a day ago."""
    began = certificates.NOW.timestamp() - DAY
    emulator.clock.advance(began + seconds - emulator.clock.now())


@pytest.fixture
def vault(emulator: Emulator) -> Vault:
    return emulator.vault("my-vault")


@pytest.fixture
def issued(ca: Authority) -> Issued:
    return ca.issue()


def imported(http: Raw, issued: Issued, **body: Any) -> str:  # noqa: ANN401 - any JSON
    answer = http.send_import(Leaf(issued.leaf, issued.key).pfx(), **{"policy": policy(), **body})
    assert answer.status_code == 200
    return str(answer.json()["id"]).rpartition("/")[2]


def latest(vault: Vault) -> StoredVersion:
    found = vault.latest("api")
    assert found is not None
    return found


def test_the_certificate_of_an_authority_is_replaced_past_80_percent(
    http: Raw, emulator: Emulator, vault: Vault, issued: Issued
) -> None:
    version = imported(http, issued, tags={"owner": "web"})

    pass_by(emulator, PAST_80)

    renewed = latest(vault)
    certificate = renewed.certificate
    assert len(vault.versions("api")) == 2
    assert renewed.version != version
    assert certificate.subject == certificate.issuer == issued.leaf.subject
    assert certificate.public_key() != issued.leaf.public_key()
    assert renewed.private_key is not None
    assert renewed.private_key.public_key() == certificate.public_key()
    assert (renewed.chain, renewed.tags, renewed.enabled) == ((), {"owner": "web"}, True)


def test_what_it_is_replaced_by_has_the_names_and_uses_of_the_policy(
    http: Raw, emulator: Emulator, vault: Vault, ca: Authority
) -> None:
    names = x509.SubjectAlternativeName(
        [x509.DNSName("a.example"), x509.RFC822Name("a@example.com")]
    )
    server = x509.ExtendedKeyUsage([x509.OID_SERVER_AUTH])
    imported(http, ca.intermediate.issue(names=(), extensions=(names, server)))

    pass_by(emulator, PAST_80)

    extensions = latest(vault).certificate.extensions
    assert extensions.get_extension_for_class(x509.SubjectAlternativeName).value == names
    assert extensions.get_extension_for_class(x509.ExtendedKeyUsage).value == server
    assert extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False


def test_it_is_valid_for_the_months_of_the_policy_from_ten_minutes_before(
    http: Raw, emulator: Emulator, vault: Vault, issued: Issued
) -> None:
    imported(http, issued)
    http.patch("/certificates/api/policy", json={"x509_props": {"validity_months": 12}})

    pass_by(emulator, PAST_80)

    made = latest(vault)
    created = datetime.fromtimestamp(made.created, UTC)
    assert made.certificate.not_valid_before_utc == created - timedelta(minutes=10)
    end = made.certificate.not_valid_after_utc
    assert (end.year, end.month) == (created.year + 1, created.month)


@pytest.mark.parametrize(
    "kept",
    [
        policy(issuer="Unknown", action="EmailContacts"),
        policy(action="EmailContacts"),
        policy(issuer="Unknown"),
        policy(issuer="DigiCert"),
    ],
    ids=["Unknown, mail", "Self, mail", "Unknown, renew", "another authority, renew"],
)
def test_without_issuer_self_and_auto_renew_nothing_is_ever_replaced(
    http: Raw, emulator: Emulator, vault: Vault, issued: Issued, kept: dict[str, Any]
) -> None:
    version = imported(http, issued, policy=kept)

    pass_by(emulator, 10 * LIFE)

    assert [one.version for one in vault.versions("api")] == [version]


@pytest.mark.parametrize(
    ("trigger", "when"),
    [
        (AT_80, 0.8 * LIFE),
        ({"lifetime_percentage": 50}, 0.5 * LIFE),
        ({"days_before_expiry": 5}, LIFE - 5 * DAY),
    ],
    ids=["80 percent", "50 percent", "5 days before the end"],
)
def test_the_trigger_says_when(
    http: Raw,
    emulator: Emulator,
    vault: Vault,
    issued: Issued,
    trigger: dict[str, int],
    when: float,
) -> None:
    imported(http, issued, policy=policy(trigger=trigger))

    pass_by(emulator, when - 60)
    assert len(vault.versions("api")) == 1
    pass_by(emulator, when + 60)
    assert len(vault.versions("api")) == 2


@pytest.mark.parametrize(
    "trigger",
    [{"lifetime_percentage": 100}, {"days_before_expiry": 200}, {}],
    ids=["percentage", "days", "nothing"],
)
def test_a_trigger_out_of_bounds_never_passes(
    http: Raw, emulator: Emulator, vault: Vault, issued: Issued, trigger: dict[str, int]
) -> None:
    imported(http, issued)
    actions = [{"trigger": trigger, "action": {"action_type": "AutoRenew"}}]
    http.patch("/certificates/api/policy", json={"lifetime_actions": actions})

    pass_by(emulator, 2 * LIFE)

    assert len(vault.versions("api")) == 1


LOOKS: dict[str, Callable[[Raw, Vault], str]] = {
    "certificate": lambda http, _: str(http.get("/certificates/api/").json()["x5t"]),
    "list": lambda http, _: str(http.get("/certificates").json()["value"][0]["x5t"]),
    "latest": lambda _, vault: latest(vault).x5t,
    "versions": lambda _, vault: vault.versions("api")[-1].x5t,
}


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_whoever_looks_first_sees_it(
    http: Raw, emulator: Emulator, vault: Vault, issued: Issued, look: Callable[[Raw, Vault], str]
) -> None:
    imported(http, issued)
    before = look(http, vault)
    pass_by(emulator, PAST_80)
    http.headers["Authorization"] = http.bearer()

    assert look(http, vault) != before
    assert emulator.writes == 1, "nobody has written but the importer"


def test_it_happens_once_a_trigger_and_is_dated_then_whoever_looks_when(
    http: Raw, emulator: Emulator, vault: Vault, issued: Issued
) -> None:
    imported(http, issued)

    pass_by(emulator, 0.9 * LIFE)
    first = [one.created for one in vault.versions("api")]
    assert [one.created for one in vault.versions("api")] == first
    pass_by(emulator, 3 * LIFE)
    later = [one.created for one in vault.versions("api")]

    assert len(first) == 2
    assert first[1] == certificates.NOW.timestamp() - DAY + 0.8 * LIFE
    assert later[:2] == first
    assert len(later) == 4
    assert later == sorted(set(later))


def test_a_policy_agreed_on_after_the_trigger_is_acted_on_at_once(
    http: Raw, emulator: Emulator, vault: Vault, issued: Issued
) -> None:
    imported(http, issued, policy=policy(issuer="Unknown", action="EmailContacts"))
    pass_by(emulator, PAST_80)

    vault.set_policy("api", {**vault.policy("api"), **policy()})

    assert latest(vault).created == int(emulator.clock.now())


@pytest.mark.parametrize(
    ("props", "kind"),
    [
        ({"kty": "RSA", "key_size": 2048}, rsa.RSAPublicKey),
        ({"kty": "EC", "crv": "P-384"}, ec.EllipticCurvePublicKey),
    ],
    ids=["RSA", "EC"],
)
def test_the_key_is_of_the_kind_the_policy_names(
    http: Raw,
    emulator: Emulator,
    vault: Vault,
    issued: Issued,
    props: dict[str, Any],
    kind: type,
) -> None:
    imported(http, issued)
    http.patch("/certificates/api/policy", json={"key_props": props})

    pass_by(emulator, PAST_80)

    key = latest(vault).certificate.public_key()
    assert isinstance(key, kind)
    assert getattr(key, "key_size", None) == props.get("key_size", 384)


def test_the_key_is_kept_where_the_policy_says_so(
    http: Raw, emulator: Emulator, vault: Vault, issued: Issued
) -> None:
    imported(http, issued)
    http.patch("/certificates/api/policy", json={"key_props": {"reuse_key": True}})

    pass_by(emulator, PAST_80)

    assert latest(vault).certificate != issued.leaf
    assert latest(vault).certificate.public_key() == issued.leaf.public_key()


def test_a_secret_in_pem_stays_one(
    http: Raw, emulator: Emulator, vault: Vault, issued: Issued
) -> None:
    pem = {**policy(), "secret_props": {"contentType": "application/x-pem-file"}}
    assert http.send_import(issued.key_pem + issued.cert_pem, policy=pem).status_code == 200

    pass_by(emulator, PAST_80)

    [found] = x509.load_pem_x509_certificates(latest(vault).value.encode())
    assert found == latest(vault).certificate
    assert "PRIVATE KEY" in latest(vault).value


def test_a_deleted_certificate_is_not_replaced(
    http: Raw, emulator: Emulator, vault: Vault, issued: Issued
) -> None:
    version = imported(http, issued)
    vault.soft_delete("api")

    pass_by(emulator, PAST_80)
    http.headers["Authorization"] = http.bearer()

    assert http.get("/deletedcertificates/api").json()["id"].endswith(version)


@pytest.mark.parametrize(
    "text",
    ['E=a@example.com, CN=Test, O="Contoso, ""Ltd""", S=WA, C=US', "OID.2.5.4.97=X, CN=a", ""],
    ids=["quoted", "by number", "empty"],
)
def test_a_name_is_read_as_it_is_written(text: str) -> None:
    assert dotnet_name(name_of(text)) == text
