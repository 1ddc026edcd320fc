"""The official JavaScript SDK does to the embedded Key Vault what it does to Azure's."""

import base64

from app.emulator import Answer, Emulator, Fault, StoredVersion
from tests.certificates import Authority, Issued
from tests.clients.files import as_pfx
from tests.clients.node import VAULT, JavaScript


def stored(emulator: Emulator, issued: Issued) -> StoredVersion:
    """A version that somebody imported before."""
    vault = emulator.vault("my-vault")
    return vault.import_pem("api", issued.cert_pem, issued.key_pem, issued.chain_pem)


def pfx(issued: Issued, password: str | None = None) -> str:
    return base64.b64encode(as_pfx(issued, password)).decode()


def test_the_sdk_imports_a_pfx_with_tags(
    javascript: JavaScript, emulator: Emulator, ca: Authority
) -> None:
    issued = ca.issue()
    sent = {"pfx": pfx(issued, "a word"), "password": "a word", "tags": {"env": "test"}}

    given = javascript("import", name="api", **sent)

    version = emulator.vault("my-vault").latest("api")
    assert version is not None
    assert (version.certificate, version.chain) == (issued.leaf, issued.chain)
    assert version.private_key is not None
    assert version.private_key.public_key() == issued.key.public_key()
    assert version.tags == {"env": "test"}
    assert given["properties"]["id"] == f"{VAULT}/certificates/api/{version.version}"


def test_the_sdk_answers_the_challenge_of_a_vault_with_its_real_name(
    javascript: JavaScript, emulator: Emulator
) -> None:
    javascript("list")

    operations = [call.operation for call in emulator.calls]
    assert operations == ["challenge", "token", "list_certificates"]


def test_the_sdk_gets_the_latest_version(
    javascript: JavaScript, emulator: Emulator, ca: Authority
) -> None:
    stored(emulator, ca.issue())
    version = stored(emulator, ca.issue())

    given = javascript("get", name="api")

    assert given["properties"]["version"] == version.version
    assert given["cer"] == version.cer
    assert given["secretId"] == f"{VAULT}/secrets/api/{version.version}"


def test_the_sdk_gets_an_older_version(
    javascript: JavaScript, emulator: Emulator, ca: Authority
) -> None:
    older = stored(emulator, ca.issue())
    stored(emulator, ca.issue())

    given = javascript("getVersion", name="api", version=older.version)

    assert given["cer"] == older.cer


def test_the_sdk_lists_every_version_page_by_page(
    javascript: JavaScript, emulator: Emulator, ca: Authority
) -> None:
    issued = ca.issue()
    versions = {stored(emulator, issued).version for _ in range(60)}

    pages = javascript("listVersions", name="api")

    assert [len(page) for page in pages] == [25, 25, 10]
    assert {one["version"] for page in pages for one in page} == versions


def test_the_sdk_lists_no_version_of_an_unknown_certificate(javascript: JavaScript) -> None:
    assert javascript("listVersions", name="api") == [[]]


def test_the_sdk_lists_certificates_with_their_tags(
    javascript: JavaScript, emulator: Emulator, ca: Authority
) -> None:
    issued = ca.issue()
    vault = emulator.vault("my-vault")
    vault.import_pem("api", issued.cert_pem, issued.key_pem, tags={"env": "test"})

    [[one]] = javascript("list")

    assert (one["id"], one["tags"]) == (f"{VAULT}/certificates/api", {"env": "test"})


def test_the_sdk_disables_and_tags_a_version(
    javascript: JavaScript, emulator: Emulator, ca: Authority
) -> None:
    older = stored(emulator, ca.issue())
    latest = stored(emulator, ca.issue())
    changes = {"enabled": False, "tags": {"owner": "pki"}}

    javascript("update", name="api", version=older.version, **changes)

    changed, unchanged = emulator.vault("my-vault").versions("api")
    assert (changed.enabled, changed.tags) == (False, {"owner": "pki"})
    assert unchanged == latest


def test_the_sdk_reads_the_policy_that_the_import_left(
    javascript: JavaScript, emulator: Emulator, ca: Authority
) -> None:
    stored(emulator, ca.issue("api.example.test"))

    given = javascript("getPolicy", name="api")

    told = {"issuerName", "subject", "keyType", "keyCurveName", "contentType", "exportable"}
    assert {name: given[name] for name in told} == {
        "issuerName": "Unknown",
        "subject": "CN=api.example.test",
        "keyType": "EC",
        "keyCurveName": "P-256",
        "contentType": "application/x-pkcs12",
        "exportable": True,
    }


def test_the_sdk_changes_the_policy(
    javascript: JavaScript, emulator: Emulator, ca: Authority
) -> None:
    stored(emulator, ca.issue())
    policy = {"issuerName": "Self", "subject": "CN=x", "reuseKey": True}

    javascript("updatePolicy", name="api", policy=policy)

    left = emulator.vault("my-vault").policy("api")
    assert left["issuer"]["name"] == "Self"
    assert left["key_props"]["reuse_key"] is True


def test_the_sdk_deletes_a_certificate_and_recovers_it(
    javascript: JavaScript, emulator: Emulator, ca: Authority
) -> None:
    version, vault = stored(emulator, ca.issue()), emulator.vault("my-vault")

    javascript("delete", name="api")

    [[gone]] = javascript("listDeleted")
    assert gone["recoveryId"] == f"{VAULT}/deletedcertificates/api"
    assert (vault.versions("api"), list(vault.deleted)) == ([], ["api"])
    javascript("recover", name="api")
    assert (vault.versions("api"), list(vault.deleted)) == ([version], [])


def test_the_sdk_purges_a_deleted_certificate(
    javascript: JavaScript, emulator: Emulator, ca: Authority
) -> None:
    stored(emulator, ca.issue())
    vault = emulator.vault("my-vault")
    vault.soft_delete("api")

    javascript("purge", name="api")

    assert (vault.versions("api"), list(vault.deleted)) == ([], [])


def test_the_sdk_throws_not_found_for_a_missing_certificate(javascript: JavaScript) -> None:
    thrown = javascript.thrown("get", name="api")

    assert (thrown["name"], thrown["code"], thrown["statusCode"]) == (
        "RestError",
        "CertificateNotFound",
        404,
    )


def test_the_sdk_throws_the_refusal_of_an_expired_certificate(
    javascript: JavaScript, emulator: Emulator, ca: Authority
) -> None:
    thrown = javascript.thrown("import", name="api", pfx=pfx(ca.issue(days=-1)))

    assert (thrown["code"], thrown["statusCode"]) == ("BadParameter", 400)
    assert thrown["message"] == "X509 Certificate is already expired"
    assert emulator.writes == 0


def test_the_sdk_throws_the_conflict_of_a_deleted_name(
    javascript: JavaScript, emulator: Emulator, ca: Authority
) -> None:
    issued = ca.issue()
    stored(emulator, issued)
    emulator.vault("my-vault").soft_delete("api")

    thrown = javascript.thrown("import", name="api", pfx=pfx(issued))

    assert (thrown["code"], thrown["statusCode"]) == ("Conflict", 409)


def test_the_sdk_throws_forbidden_without_a_role(
    javascript: JavaScript, emulator: Emulator, ca: Authority
) -> None:
    emulator.deny(action="certificates/import/action")

    thrown = javascript.thrown("import", name="api", pfx=pfx(ca.issue()))

    assert (thrown["code"], thrown["statusCode"]) == ("Forbidden", 403)


def test_the_sdk_repeats_an_import_that_was_made_but_answered_503(
    javascript: JavaScript, emulator: Emulator, ca: Authority
) -> None:
    emulator.faults.add(Fault(operation="import", effect=Answer(status=503, applied=True)))

    javascript("import", name="api", pfx=pfx(ca.issue()))

    assert len(emulator.vault("my-vault").versions("api")) == 2


def test_the_sdk_is_not_logged_in_with_a_wrong_secret(javascript: JavaScript) -> None:
    thrown = javascript.thrown("list", secret="a wrong secret")

    assert thrown["name"] == "AuthenticationError"
    assert "AADSTS7000215: Invalid client secret provided." in thrown["message"]
