"""The controls of one certificate name: another writer's import, its versions, policy and more.

No key ever comes out of here; Key Vault's own API gives the secret to whoever may read it.
"""

from dataclasses import dataclass, field
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from app.emulator.controls import Control
from app.emulator.orders import check_name
from app.emulator.policies import Policy
from app.emulator.refusals import Refusal
from app.emulator.state import State
from app.emulator.stored import StoredVersion
from app.emulator.told import Absent, Told
from app.emulator.vaults import Vault

_PATH = "vaults/{vault}/certificates/{name}"


@dataclass(frozen=True, kw_only=True)
class Import(Told):
    """What another writer imports, in PEM."""

    cert_pem: str
    key_pem: str = field(repr=False)
    chain_pem: str = ""
    tags: dict[str, str] | None = None


@dataclass(frozen=True, kw_only=True)
class Enabled(Told):
    """Whether a version (None: the current one) is enabled."""

    enabled: bool
    version: str | None = None


@dataclass(frozen=True, kw_only=True)
class Pending(Told):
    """How far the creation under a name is."""

    in_progress: bool = True


@dataclass(frozen=True, kw_only=True)
class Parts(Told):
    """The parts of a policy to replace, in Key Vault's own words."""

    key_props: dict[str, Any] | None = None
    secret_props: dict[str, Any] | None = None
    x509_props: dict[str, Any] | None = None
    lifetime_actions: list[Any] | None = None
    issuer: dict[str, Any] | None = None


def table(state: State) -> dict[str, Control]:
    """The controls by method and path."""
    on = _Names(state)
    return {
        f"GET {_PATH}/versions": Control(
            does="The versions in order of creation, with tags, thumbprint and times.",
            run=on.versions,
        ),
        f"POST {_PATH}/versions": Control(
            does="Import as another writer would: with no check at all.", body=Import, run=on.store
        ),
        f"PUT {_PATH}/enabled": Control(
            does="Enable or disable a version, or the current one.", body=Enabled, run=on.enable
        ),
        f"GET {_PATH}/policy": Control(does="The policy.", run=on.policy),
        f"PATCH {_PATH}/policy": Control(
            does="Replace these parts of the policy, as if every version had been made under it.",
            body=Parts,
            run=on.change_policy,
        ),
        f"PUT {_PATH}/pending": Control(
            does="Let a creation be pending under the name, or completed.",
            body=Pending,
            run=on.pend,
        ),
        f"DELETE {_PATH}/pending": Control(does="Forget that creation.", run=on.settle),
    }


@dataclass(frozen=True)
class _Names:
    state: State

    def versions(self, *, vault: str, name: str) -> list[dict[str, Any]]:
        return [_shape(stored) for stored in self.state.vault(vault).versions(name)]

    def store(self, asked: Import, *, vault: str, name: str) -> dict[str, Any]:
        _check_name(name)
        _check_pem(asked)
        pems = asked.cert_pem, asked.key_pem, asked.chain_pem
        return _shape(self.state.vault(vault).import_pem(name, *pems, asked.tags))

    def enable(self, asked: Enabled, *, vault: str, name: str) -> None:
        held = self._holding(vault, name)
        versions = [stored.version for stored in held.versions(name)]
        version = asked.version or versions[-1]
        if version not in versions:
            raise Absent(f"There is no version {version} of {name} in the vault {vault}.")
        held.set_enabled(name, version, asked.enabled)

    def policy(self, *, vault: str, name: str) -> Policy:
        return self._holding(vault, name).policy(name)

    def change_policy(self, asked: Parts, *, vault: str, name: str) -> None:
        held = self._holding(vault, name)
        parts = {part: told for part, told in vars(asked).items() if told is not None}
        held.set_policy(name, {**held.policy(name), **parts})

    def pend(self, asked: Pending, *, vault: str, name: str) -> None:
        _check_name(name)
        self.state.vault(vault).set_pending(name, in_progress=asked.in_progress)

    def settle(self, *, vault: str, name: str) -> None:
        self.state.vault(vault).clear_pending(name)

    def _holding(self, vault: str, name: str) -> Vault:
        held = self.state.vault(vault)
        if held.latest(name) is None:
            raise Absent(f"There is no certificate {name} in the vault {vault}.")
        return held


def _shape(stored: StoredVersion) -> dict[str, Any]:
    return {
        "version": stored.version,
        "thumbprint": stored.certificate.fingerprint(hashes.SHA256()).hex(),
        "x5t": stored.x5t,
        "enabled": stored.enabled,
        "tags": stored.tags,
        "created": stored.created,
        "updated": stored.updated,
        "not_before": stored.not_before,
        "expires": stored.expires,
    }


def _check_name(name: str) -> None:
    try:
        check_name(name)
    except Refusal as refused:
        raise ValueError("name must be 1 to 127 letters, digits and hyphens") from refused


def _check_pem(asked: Import) -> None:
    """Name the field that cannot be read, and nothing of what is in it."""
    for name, read in (
        ("cert_pem", lambda: x509.load_pem_x509_certificate(asked.cert_pem.encode())),
        ("key_pem", lambda: load_pem_private_key(asked.key_pem.encode(), None)),
        ("chain_pem", lambda: _chain(asked.chain_pem)),
    ):
        try:
            read()
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise ValueError(f"{name} is not readable as PEM") from None


def _chain(pem: str) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(pem.encode()) if pem.strip() else []
