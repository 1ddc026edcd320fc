"""Somebody else with rights of their own, who asks over HTTP what the vault serves."""

import base64
import json
import ssl
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPSConnection
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.hazmat.primitives.serialization.pkcs12 import load_key_and_certificates

from app.emulator import Emulator
from app.emulator.material import PEM
from tests.connectors.azure_key_vault.playground import NAME


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What anybody sees of the current version."""

    version_id: str
    certificate: x509.Certificate
    enabled: bool


class Auditor:
    """Reads the vault as a consumer does; what is denied to the connector is not denied here."""

    def __init__(self, emulator: Emulator, connection: HTTPSConnection) -> None:
        self._emulator = emulator
        self._connection = connection

    def served(self) -> Shown | None:
        status, found = self._get(f"/certificates/{NAME}")
        if status == 404:
            return None
        assert status == 200, found
        return Shown(
            version_id=found["id"].rpartition("/")[2],
            certificate=x509.load_der_x509_certificate(base64.b64decode(found["cer"])),
            enabled=found["attributes"]["enabled"],
        )

    def exported(self) -> tuple[x509.Certificate, Any]:
        """The certificate and the key of the current secret."""
        status, found = self._get(f"/secrets/{NAME}")
        assert status == 200, found
        value = found["value"]
        if found["contentType"] == PEM:
            leaf = x509.load_pem_x509_certificate(value[value.index("-----BEGIN CERT") :].encode())
            return leaf, load_pem_private_key(value.encode(), None)
        key, certificate, _ = load_key_and_certificates(base64.b64decode(value), None)
        assert certificate is not None
        return certificate, key

    def _get(self, path: str) -> tuple[int, Any]:
        token = self._emulator.tokens.issue(
            audience="https://vault.azure.net", client_id="the auditor"
        )
        headers = {"Host": "my-vault.vault.azure.net", "Authorization": f"Bearer {token}"}
        self._connection.request("GET", f"{path}?api-version=7.6", headers=headers)
        answer = self._connection.getresponse()
        return answer.status, json.loads(answer.read())


@contextmanager
def auditing(emulator: Emulator) -> Iterator[Auditor]:
    """An auditor of *emulator*, until the block ends."""
    trust = ssl.create_default_context(cadata=emulator.ca_pem)
    with closing(HTTPSConnection("127.0.0.1", emulator.port, context=trust)) as connection:
        yield Auditor(emulator, connection)
