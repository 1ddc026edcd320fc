"""The real `az` CLI does to the embedded Key Vault what operators do to Azure's."""

import base64
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs12

from app.emulator import Emulator, StoredVersion
from tests.certificates import Authority, Issued
from tests.clients.az import Az
from tests.clients.files import as_pem, as_pfx

pytestmark = pytest.mark.az

# az says what a file is only together with a policy; without one Key Vault takes it for a PFX
POLICY = json.dumps({"issuer_parameters": {"name": "Unknown"}})
PEM_FILE, PFX_FILE = "application/x-pem-file", "application/x-pkcs12"


def stored(emulator: Emulator, issued: Issued) -> StoredVersion:
    """A version that somebody imported before."""
    vault = emulator.vault("localhost")
    return vault.import_pem("leaf", issued.cert_pem, issued.key_pem, issued.chain_pem)


@pytest.mark.parametrize(
    ("content", "options", "content_type"),
    [
        pytest.param(
            lambda issued: as_pfx(issued, "a word"),
            ["--password", "a word"],
            PFX_FILE,
            id="a PFX with a password",
        ),
        pytest.param(as_pfx, [], PFX_FILE, id="a PFX without a password"),
        pytest.param(as_pem, ["--policy", POLICY], PEM_FILE, id="a PEM file"),
    ],
)
def test_az_imports(
    az: Az,
    emulator: Emulator,
    ca: Authority,
    content: Callable[[Issued], bytes],
    options: list[str],
    content_type: str,
) -> None:
    issued = ca.issue()
    file = az.file(content(issued))

    told = az.certificate("import", "-n", "leaf", "-f", file, "--tags", "env=test", *options)

    version = emulator.vault("localhost").latest("leaf")
    assert version is not None
    assert (version.certificate, version.chain) == (issued.leaf, issued.chain)
    assert version.private_key is not None
    assert version.private_key.public_key() == issued.key.public_key()
    assert (version.tags, version.content_type) == ({"env": "test"}, content_type)
    assert told["id"].endswith(f"/certificates/leaf/{version.version}")
    assert told["policy"]["secretProperties"]["contentType"] == content_type


def with_another_key(ca: Authority) -> bytes:
    return as_pem(dataclasses.replace(ca.issue(), key=ca.issue().key))


@pytest.mark.parametrize(
    ("content", "options", "sentence"),
    [
        pytest.param(
            lambda ca: as_pfx(ca.issue(days=-1)),
            [],
            "X509 Certificate is already expired",
            id="an expired certificate",
        ),
        pytest.param(
            with_another_key,
            ["--policy", POLICY],
            "does not match the public part of the specified private key",
            id="another certificate's key",
        ),
        pytest.param(
            lambda ca: as_pfx(ca.issue(), "a word"),
            ["--password", "another word"],
            "The specified PKCS#12 X.509 certificate content can not be read",
            id="a wrong password",
        ),
        pytest.param(
            lambda ca: as_pem(ca.issue()),
            [],
            "No certificate with private key found in the specified X.509 certificate content",
            id="a PEM file without a policy",
        ),
    ],
)
def test_az_is_refused_what_key_vault_refuses(
    az: Az,
    emulator: Emulator,
    ca: Authority,
    content: Callable[[Authority], bytes],
    options: list[str],
    sentence: str,
) -> None:
    code, said = az.refused("import", "-n", "leaf", "-f", az.file(content(ca)), *options)

    assert code == 1
    assert "Code: BadParameter" in said
    assert sentence in said
    assert (emulator.vault("localhost").versions("leaf"), emulator.writes) == ([], 0)


def test_az_is_refused_an_action_without_a_role(az: Az, emulator: Emulator) -> None:
    emulator.deny(action="certificates/read")

    code, said = az.refused("list")

    assert code == 1
    assert "Code: Forbidden" in said
    assert '"code": "ForbiddenByRbac"' in said


def test_az_shows_the_latest_certificate_by_the_name_of_the_vault(
    az: Az, emulator: Emulator, ca: Authority
) -> None:
    stored(emulator, ca.issue())
    version = stored(emulator, ca.issue())

    told = az.certificate("show", "-n", "leaf")

    assert told["id"].endswith(f"/{version.version}")
    assert told["cer"] == version.cer
    thumbprint = base64.b64decode(told["x509Thumbprint"])
    assert base64.urlsafe_b64encode(thumbprint).rstrip(b"=").decode() == version.x5t
    assert told["policy"]["issuerParameters"]["name"] == "Unknown"


def test_az_shows_an_older_version_by_its_id(az: Az, emulator: Emulator, ca: Authority) -> None:
    older = stored(emulator, ca.issue())
    stored(emulator, ca.issue())
    id_ = f"https://localhost:{emulator.port}/certificates/leaf/{older.version}"

    told = az("keyvault", "certificate", "show", "--id", id_)

    assert (told["id"], told["cer"]) == (id_, older.cer)


def test_az_does_not_find_a_missing_certificate(az: Az) -> None:
    code, said = az.refused("show", "-n", "leaf")

    assert code == 3
    assert "Code: CertificateNotFound" in said
    assert "A certificate with (name/id) leaf was not found in this key vault" in said


def test_az_lists_every_certificate(az: Az, emulator: Emulator, ca: Authority) -> None:
    issued, names = ca.issue(), {f"leaf-{number}" for number in range(30)}
    for name in names:
        emulator.vault("localhost").import_pem(name, issued.cert_pem, issued.key_pem)

    told = az.certificate("list")

    assert len(told) == 30
    assert {one["name"] for one in told} == names


def test_az_lists_every_version_of_a_certificate(az: Az, emulator: Emulator, ca: Authority) -> None:
    issued = ca.issue()
    versions = {stored(emulator, issued).version for _ in range(60)}

    told = az.certificate("list-versions", "-n", "leaf")

    assert len(told) == 60
    assert {one["id"].rpartition("/")[2] for one in told} == versions


def test_az_tags_a_certificate_and_leaves_it_enabled(
    az: Az, emulator: Emulator, ca: Authority
) -> None:
    stored(emulator, ca.issue())

    az.certificate("set-attributes", "-n", "leaf", "--tags", "owner=pki")

    version = emulator.vault("localhost").latest("leaf")
    assert version is not None
    assert (version.tags, version.enabled) == ({"owner": "pki"}, True)


def test_az_disables_a_certificate_whose_secret_is_then_refused(
    az: Az, emulator: Emulator, ca: Authority
) -> None:
    stored(emulator, ca.issue())

    told = az.certificate("set-attributes", "-n", "leaf", "--enabled", "false")

    version = emulator.vault("localhost").latest("leaf")
    assert version is not None
    assert (told["attributes"]["enabled"], version.enabled) == (False, False)
    secret = az.run("keyvault", "secret", "show", "--vault-name", "localhost", "-n", "leaf")
    assert secret.returncode == 1
    assert '"code": "SecretDisabled"' in secret.stderr


def test_az_deletes_a_certificate_and_recovers_it(
    az: Az, emulator: Emulator, ca: Authority
) -> None:
    version, vault = stored(emulator, ca.issue()), emulator.vault("localhost")

    az.certificate("delete", "-n", "leaf")

    assert [one["name"] for one in az.certificate("list-deleted")] == ["leaf"]
    assert (vault.versions("leaf"), list(vault.deleted)) == ([], ["leaf"])
    az.certificate("recover", "-n", "leaf")
    assert (vault.versions("leaf"), list(vault.deleted)) == ([version], [])


def test_az_purges_a_deleted_certificate_whose_name_is_taken_until_then(
    az: Az, emulator: Emulator, ca: Authority
) -> None:
    issued, vault = ca.issue(), emulator.vault("localhost")
    stored(emulator, issued)
    vault.soft_delete("leaf")
    file = az.file(as_pfx(issued))

    code, said = az.refused("import", "-n", "leaf", "-f", file)

    assert code == 1
    assert '"code": "ObjectIsDeletedButRecoverable"' in said
    az.certificate("purge", "-n", "leaf")
    assert not vault.deleted
    az.certificate("import", "-n", "leaf", "-f", file)
    assert len(vault.versions("leaf")) == 1


@pytest.mark.parametrize(
    ("encoding", "load"),
    [
        pytest.param("PEM", x509.load_pem_x509_certificate, id="PEM"),
        pytest.param("DER", x509.load_der_x509_certificate, id="DER"),
    ],
)
def test_az_downloads_a_certificate(
    az: Az,
    emulator: Emulator,
    ca: Authority,
    tmp_path: Path,
    encoding: str,
    load: Callable[[bytes], x509.Certificate],
) -> None:
    version, file = stored(emulator, ca.issue()), tmp_path / "leaf"

    az.certificate("download", "-n", "leaf", "-f", str(file), "-e", encoding)

    assert load(file.read_bytes()) == version.certificate


def test_az_shows_the_secret_which_is_the_whole_pfx(
    az: Az, emulator: Emulator, ca: Authority
) -> None:
    issued = ca.issue()
    version = stored(emulator, issued)

    told = az("keyvault", "secret", "show", "--vault-name", "localhost", "-n", "leaf")

    key, leaf, chain = pkcs12.load_key_and_certificates(base64.b64decode(told["value"]), None)
    assert (leaf, tuple(chain)) == (issued.leaf, issued.chain)
    assert key is not None
    assert key.public_key() == issued.key.public_key()
    assert told["id"].endswith(f"/secrets/leaf/{version.version}")
    assert (told["contentType"], told["managed"]) == (PFX_FILE, True)


def test_az_is_not_logged_in_with_a_wrong_secret(
    az_program: Path, emulator: Emulator, tmp_path: Path
) -> None:
    az = Az(az_program, tmp_path / "home", emulator)
    az.know_the_emulator()

    done = az.log_in("a wrong secret")

    assert done.returncode == 1
    assert "AADSTS7000215: Invalid client secret provided." in done.stderr
    assert az("account", "list") == []
