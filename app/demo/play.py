"""The acts of the demo, each with what really came back, and a check of every claim."""

from typing import Any, Final

import httpx
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from app.demo.throwaway import Authority, Issued
from app.emulator import Emulator, Fault, StoreAnother, StoredVersion

_VAULT: Final = "demo-vault"
_NAME: Final = "api-prod"
_DEPLOY: Final = "/api/v1/connectors/AzureKeyVault/deploy"
_TOLD: Final = ("accepted", "imported", "verified", "unchanged", "rolled_back")
_VERSIONS: Final = 4
_SHORT: Final = 12


def deploy_body(issued: Issued) -> dict[str, Any]:
    """The deploy request for a throw-away certificate."""
    return {
        "cert_pem": issued.cert_pem,
        "chain_pem": issued.chain_pem,
        "key_pem": issued.key_pem,
        "target_config": {
            "vault_url": f"https://{_VAULT}.vault.azure.net",
            "certificate_name": _NAME,
            "tags": {"env": "demo"},
            "credential_mode": "client_secret",
        },
        "metadata": {"certificate_id": "mc-api-prod"},
    }


class Play:
    """The acts, and what was not as it should be.

    Args:
        emulator: the embedded Key Vault, asked directly for what it holds.
        http: a client of the service, with its token.
    """

    def __init__(self, emulator: Emulator, http: httpx.Client) -> None:
        self._emulator = emulator
        self._vault = emulator.vault(_VAULT)
        self._http = http
        self._authority = Authority()
        self._console = Console(highlight=False)
        self._broken: list[str] = []

    def deployments(self) -> None:
        """A first one, a renewal with a new key, a repeat, and one that the vault spoils."""
        first, second, third = (self._authority.issue(f"{_NAME}.example.test") for _ in range(3))
        table = _table("Deployments", "what", "state", "rollback plan", "version", "said")
        self._deploy(table, "the first certificate", first, "succeeded")
        self._deploy(table, "a renewal with a new key", second, "succeeded")
        self._deploy(table, "the same once more", second, "unchanged")
        self._emulator.faults.add(Fault(operation="import", effect=StoreAnother()))
        self._deploy(table, "the vault stores something else", third, "rolled_back")
        self._console.print(table)
        served = self._vault.latest(_NAME)
        same = served is not None and served.certificate == second.certificate
        self._claim("The vault serves the previous certificate again", holds=same)
        self._claim("and holds its own private key", holds=served is not None and _own_key(served))

    def history(self) -> None:
        """The vault's own versions, in the order they were made."""
        table = _table(
            "The vault's versions", "version", "SHA-256", "has its key", "rollback of", "made by"
        )
        versions = self._vault.versions(_NAME)
        for version in versions:
            table.add_row(
                version.version[:_SHORT],
                version.certificate.fingerprint(SHA256()).hex()[:_SHORT],
                "yes" if _own_key(version) else "no",
                version.tags.get("certctl-rollback-of", "")[:_SHORT],
                version.tags.get("certctl-deployment-id", "")[-_SHORT:],
            )
        self._console.print(table)
        four = len(versions) == _VERSIONS
        self._claim("Four versions: two good, a spoilt one, and its undoing", holds=four)

    def trail(self) -> None:
        """The audit trail, oldest first."""
        found = self._http.get("/api/v1/audit/events", params={"page_size": 100}).json()["data"]
        table = _table("The audit trail", "time", "actor", "action", "error")
        for event in reversed(found):
            error = str(event["details"].get("error_code", ""))
            table.add_row(event["timestamp"][11:23], event["actor"], event["action"], error)
        self._console.print(table)
        actions = {event["action"] for event in found}
        told = all(f"deployment.{action}" in actions for action in _TOLD)
        self._claim("The trail tells all of it", holds=told)

    def metrics(self) -> None:
        """The metrics that moved."""
        lines = self._http.get("/metrics").text.splitlines()
        counters = [line for line in lines if line.startswith("certctl_") and "_total{" in line]
        moved = [line for line in counters if not line.endswith(" 0.0")]
        self._console.print("\n[italic]The metrics that moved[/]")
        for line in moved:
            self._console.print(f"  {escape(line)}", soft_wrap=True)
        counted = any('outcome="restored"' in line and line.endswith(" 1.0") for line in moved)
        self._claim("The rollback is counted", holds=counted)

    def end(self, *, seconds: float) -> int:
        """Say how it went: 0 if every claim held."""
        self._console.print(f"\n{len(self._broken)} claims broken, {seconds:.1f} s.")
        return 1 if self._broken else 0

    def _deploy(self, table: Table, what: str, issued: Issued, expected: str) -> None:
        answer = self._http.post(_DEPLOY, json=deploy_body(issued)).json()
        state = str(answer.get("state") or answer.get("code"))
        rollback, error = answer.get("rollback") or {}, answer.get("error") or {}
        result = answer.get("result") or {}
        version = str(rollback.get("version_id") or result.get("deployment_id") or "")
        said = error.get("message") or result.get("message") or answer.get("detail")
        table.add_row(what, state, rollback.get("plan"), version[:_SHORT], said)
        if state != expected:
            self._claim(f"{what} ends {expected}, not {state}", holds=False)

    def _claim(self, text: str, *, holds: bool) -> None:
        self._console.print(f"[green]✔[/] {text}" if holds else f"[bold red]✘ NOT SO:[/] {text}")
        if not holds:
            self._broken.append(text)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _own_key(version: StoredVersion) -> bool:
    """Whether the key the vault holds for a version is the key of its certificate."""
    key = version.private_key
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    own = version.certificate.public_key().public_bytes(*form)
    return key is not None and key.public_key().public_bytes(*form) == own
