"""The situations in which the samples were recorded, made in the emulator.

Each arranges a vault by the name of its sample, fills in what the sample elides, and, where the
request itself is not known, asks what must have been asked.
"""

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

import httpx
from cryptography import x509
from cryptography.hazmat.primitives.serialization import NoEncryption, pkcs12

from app.emulator import Budgets, Emulator, Vault
from app.emulator.api_versions import KNOWN
from app.emulator.policies import made_by_key_vault, name_of, usage_from
from tests import certificates
from tests.emulator.conftest import Raw
from tests.emulator.making import Leaf, leaf
from tests.emulator.recorded import Exchange

# The emulator refuses previews on purpose, so what was recorded under one is asked under the next.
PREVIEW, NEWEST = "2026-03-01-preview", KNOWN[-1]

_DAY = 86_400
_CA = x509.BasicConstraints(ca=True, path_length=None)


@dataclass(kw_only=True)
class Stage:
    """Where a sample is played again; method, uri and body stand in for an unknown request."""

    emulator: Emulator
    http: Raw
    first: Exchange
    method: str = "POST"
    uri: str = f"https://my-vault.vault.azure.net/certificates/api/import?api-version={NEWEST}"
    sent: dict[str, Any] = field(default_factory=dict)
    elided: dict[str, str] = field(default_factory=dict)
    token: str = ""

    def __post_init__(self) -> None:
        self.uri = self.first.uri or self.uri

    @property
    def vault(self) -> Vault:
        return self.emulator.vault(urlsplit(self.uri).netloc.partition(".")[0])

    @property
    def name(self) -> str:
        return urlsplit(self.uri).path.split("/")[2]

    def asks(self, method: str, path: str, **sent: Any) -> None:  # noqa: ANN401 - any JSON
        self.method, self.sent = method, sent
        self.uri = f"https://my-vault.vault.azure.net/{path}?api-version={NEWEST}"

    def imports(self, made: Leaf, **body: Any) -> None:  # noqa: ANN401 - any JSON
        """Import under the name of the sample."""
        target = urlsplit(self.uri)
        uri = f"https://{target.netloc}/certificates/{self.name}/import?api-version={NEWEST}"
        headers = {"Authorization": self.http.bearer()}
        answer = self._send("POST", uri, {"value": made.pfx(), **body}, headers)
        assert answer.status_code == 200

    def play(self, exchange: Exchange) -> httpx.Response:
        """Make the request of an exchange."""
        method, uri = exchange.method or self.method, exchange.uri or self.uri
        sent = exchange.sent if exchange.method else self.sent or None
        if isinstance(sent, dict):
            sent = {**sent, **self.elided}
        headers = {"Authorization": self.http.bearer()} if exchange.with_token else {}
        if "x-ms-client-request-id" in (exchange.headers or {}):  # only an echo
            headers["x-ms-client-request-id"] = "asked"
        answer = self._send(method, self._filled(uri), sent, headers)
        if answer.content and (link := answer.json().get("nextLink")):
            self.token = link.partition("skiptoken=")[2].partition("&")[0]
        return answer

    def _filled(self, uri: str) -> str:
        """With the version that there is, the token of the page before, and no preview."""
        uri = uri.replace("skiptoken=Sanitized", f"skiptoken={self.token}")
        uri = uri.replace(PREVIEW, NEWEST)
        if version := re.search("[0-9a-f]{32}", uri):
            latest = self.vault.latest(self.name)
            assert latest
            uri = uri.replace(version[0], latest.version)
        return uri

    def _send(
        self,
        method: str,
        uri: str,
        sent: Any,  # noqa: ANN401 - any JSON
        headers: dict[str, str],
    ) -> httpx.Response:
        target = urlsplit(uri)
        request = httpx.Request(
            method,
            f"https://127.0.0.1:{self.emulator.port}{target.path}?{target.query}",
            headers={"Host": target.netloc, **headers},
            json=sent,
        )
        return self.http.send(request)

    def like(self, subject: str, *extensions: x509.ExtensionType) -> Leaf:
        """An RSA certificate with the recorded validity, at the time of the recording."""
        attributes, clock = self.first.body["attributes"], self.emulator.clock
        clock.advance(attributes["created"] - clock.now())
        return leaf(
            key=certificates.rsa_key(),
            subject=name_of(subject),
            validity=(attributes["nbf"], attributes["exp"]),
            extensions=extensions,
        )

    def made_by_key_vault(self) -> None:
        """A certificate that Key Vault made under the recorded policy: a renewal long due."""
        made = leaf(days=(-80, 9))
        self.vault.import_pem(self.name, made.cert_pem, made.key_pem)
        self.vault.set_policy(self.name, self.policy)
        self.vault.settle(self.name)
        self.vault.set_pending(self.name, in_progress=False)

    @property
    def policy(self) -> dict[str, Any]:
        shown = self.first.body["policy"].items()
        return {name: part for name, part in shown if name not in ("id", "attributes")}


def _challenge(_: Stage) -> None:
    """The request has no token, whatever the vault holds."""


def _pfx_without_policy(stage: Stage) -> None:
    subject = "E=test@contoso.org, CN=Test, OU=Test, O=Contoso, L=Redmond, S=WA, C=US"
    stage.elided = {"value": stage.like(subject, _CA).pfx("1234"), "pwd": "1234"}


def _pem_with_policy(stage: Stage) -> None:
    made = stage.like(
        "CN=Azure SDK",
        _CA,
        x509.SubjectAlternativeName([x509.RFC822Name("azuresdk@microsoft.com")]),
        x509.ExtendedKeyUsage([x509.OID_SERVER_AUTH]),
        usage_from(["digitalSignature", "keyEncipherment", "nonRepudiation"]),
    )
    stage.elided = {"value": made.pem}


def _example_of_the_specification(stage: Stage) -> None:
    stage.elided = {"value": stage.like("CN=KeyVaultTest").pfx("123")}


def _latest(stage: Stage) -> None:
    stage.made_by_key_vault()


def _secret(stage: Stage) -> None:
    stage.imports(leaf())


def _disabled_secret(stage: Stage) -> None:
    stage.imports(leaf(), attributes={"enabled": False})


def _created_version(stage: Stage) -> None:
    stage.imports(leaf())
    stage.vault.set_pending(stage.name, in_progress=False)


def _tagged_version(stage: Stage) -> None:
    tags = {"second tag": "second value", "first tag": "first value"}
    stage.imports(leaf(), tags=tags, preserveCertOrder=False)
    stage.vault.set_pending(stage.name, in_progress=False)


def _fourteen_versions(stage: Stage) -> None:
    """Of one certificate; the pages of six before the last two have been read."""
    made = leaf()
    for _ in range(14):
        stage.vault.import_pem(stage.name, made.cert_pem, made.key_pem)
    first = stage.first.uri.replace("$skiptoken=Sanitized&", "")
    stage.play(replace(stage.first, uri=first))


def _nothing_there(_: Stage) -> None:
    """Nothing was ever made under the name."""


def _role_missing(stage: Stage) -> None:
    stage.emulator.deny(action="certificates/read", by="rbac")
    stage.asks("GET", "certificates/codesign/")


def _access_policy_missing(stage: Stage) -> None:
    stage.emulator.deny(action="certificates/import/action", by="policy")


def _outside_the_firewall(stage: Stage) -> None:
    stage.emulator.deny(by="firewall")
    stage.asks("GET", "certificates/api/")


def _soft_deleted(stage: Stage) -> None:
    made = leaf()
    stage.asks("POST", "certificates/hotsqa/import", value=made.pfx())
    stage.imports(made)
    stage.vault.soft_delete("hotsqa")


def _creation_pending(stage: Stage) -> None:
    stage.vault.set_pending(stage.name)
    stage.sent = {"value": leaf().pfx()}


def _throttled(stage: Stage) -> None:
    stage.emulator.throttle(Budgets(imports=0))


def _expired(stage: Stage) -> None:
    stage.sent = {"value": leaf(days=(-9, -1)).pfx()}


def _policy_without_content_type(stage: Stage) -> None:
    stage.sent = {"value": leaf().pfx(), "policy": {"issuer": {"name": "Unknown"}}}


def _no_private_key(stage: Stage) -> None:
    only = pkcs12.serialize_key_and_certificates(
        None, None, leaf().certificate, None, NoEncryption()
    )
    stage.sent = {"value": base64.b64encode(only).decode()}


def _rsa_signed_by_ec(stage: Stage) -> None:
    issued = certificates.authority().issue(key=certificates.rsa_key())
    stage.sent = {"value": Leaf(issued.leaf, certificates.rsa_key()).pfx()}


def _wrong_password(stage: Stage) -> None:
    stage.sent = {"value": leaf().pfx("right"), "pwd": "wrong"}


def _self_signed_creation(stage: Stage) -> None:
    policy = made_by_key_vault("CN=DefaultPolicy", issuer="Self")
    stage.vault.set_pending(stage.name, policy=policy)


def _first_creation_pending(stage: Stage) -> None:
    stage.vault.set_pending(stage.name, policy=stage.policy)


def _two_deleted(stage: Stage) -> None:
    for item in stage.first.body["value"]:
        made, name = leaf(), item["id"].rpartition("/")[2]
        stage.vault.import_pem(name, made.cert_pem, made.key_pem)
        stage.vault.soft_delete(name)


SITUATIONS: dict[str, Callable[[Stage], None]] = {
    "01-challenge.401": _challenge,
    "02-import-pfx-no-policy.200": _pfx_without_policy,
    "03-import-pem-with-policy-issuer-self.200": _pem_with_policy,
    "04-get-latest.200": _latest,
    "05-get-secret-pkcs12.200": _secret,
    "06-patch-disable-then-get-version.200": _created_version,
    "07-list-versions-paged.200": _fourteen_versions,
    "08-list-versions-nonexistent.200": _nothing_there,
    "09-get-certificate-not-found.404": _nothing_there,
    "10-pending-not-found.404": _nothing_there,
    "11-get-secret-disabled.403": _disabled_secret,
    "12-forbidden-by-rbac.403": _role_missing,
    "13-forbidden-by-policy.403": _access_policy_missing,
    "14-forbidden-by-firewall.403": _outside_the_firewall,
    "15-import-name-soft-deleted.409": _soft_deleted,
    "16-import-while-pending.409": _creation_pending,
    "17-throttled.429": _throttled,
    "18-import-expired.400": _expired,
    "19-import-policy-without-content-type.400": _policy_without_content_type,
    "20-import-no-private-key.400": _no_private_key,
    "21-import-key-size.400": _rsa_signed_by_ec,
    "22-import-unreadable-or-wrong-password.400": _wrong_password,
    "23-patch-empty-tags-clears.200": _tagged_version,
    "24-spec-import-example-2026-04-01": _example_of_the_specification,
    "25-pending-cancel-then-delete.200": _self_signed_creation,
    "26-get-latest-first-creation-pending.200": _first_creation_pending,
    "27-list-deleted-then-purge.200": _two_deleted,
}
