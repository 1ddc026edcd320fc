"""A Key Vault to deploy to: the connector over the embedded vault, and the saga around it.

Waits are zero; what goes wrong is told for a state, so that faults are counted from there.
"""

import base64
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from inspect import isawaitable
from typing import Any, Final

from azure.keyvault.certificates._shared import http_challenge_cache
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.hazmat.primitives.serialization.pkcs12 import load_key_and_certificates

from app import pki
from app.connectors import REGISTRY
from app.connectors.azure_key_vault import AzureOptions, Patience
from app.connectors.azure_key_vault.connector import AzureKeyVault
from app.deployment import saga
from app.deployment.connector import Held
from app.deployment.model import Deployment, State, Target
from app.emulator import Emulator, Fault, StoredVersion, Vault
from app.emulator.material import PEM, PFX, Material
from app.emulator.policies import policy_for
from app.emulator.stored import Submission
from tests.certificates import NOW, Issued
from tests.conftest import Clock

VAULT: Final = "https://my-vault.vault.azure.net"
NAME: Final = "api-prod"
CALLS_OF_LOGIN: Final = ("challenge", "token", "identity_token")
AT_ONCE: Final = Patience(
    read=(0,), stale=(0, 0), late=(0, 0), down=(), unclear=(0, 0), throttled=(0, 0), login=0
)
BUDGETS: Final = ("vault_imports", "vault_calls", "subscription_imports", "subscription_calls")
NO_BUDGET: Final = 1_000_000_000  # so that nothing waits in tests of something else
LIMITS: Final = saga.Limits(deadline_s=30, rollback_s=30)

Happening = Fault | Callable[[], object]
Happenings = Mapping[State, Sequence[Happening]]


class Crashed(Exception):
    """The process died here."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """What came of a deployment: its end, every state saved, and the vault."""

    final: Deployment
    saved: tuple[Deployment, ...]
    vault: Vault

    @property
    def states(self) -> list[State]:
        return [one.state for one in self.saved]

    @property
    def code(self) -> str | None:
        return self.final.error.code if self.final.error else None

    @property
    def warnings(self) -> list[str]:
        return [notice.code for notice in self.final.warnings]


@dataclass(kw_only=True)
class Playground:
    """A connector, the emulator behind it, and a clock."""

    emulator: Emulator
    connector: AzureKeyVault
    now: Clock
    counted: list[tuple[str, str]] = field(default_factory=list)
    waited: list[tuple[str, float]] = field(default_factory=list)
    made: int = 0

    @property
    def vault(self) -> Vault:
        return self.emulator.vault("my-vault")

    @property
    def latest(self) -> StoredVersion:
        found = self.vault.latest(NAME)
        assert found is not None
        return found

    @property
    def calls(self) -> list[str]:
        """The operations asked of the vault, without what login needs."""
        return [c.operation for c in self.emulator.calls if c.operation not in CALLS_OF_LOGIN]

    def imports(self) -> int:
        return self.calls.count("import")

    def target(self, **config: Any) -> Target:  # noqa: ANN401 - as callers write it
        usual = {
            "vault_url": VAULT,
            "certificate_name": NAME,
            "tags": {"env": "test"},
            "credential_mode": "client_secret",
        }
        return self.connector.target({**usual, **config})

    def deployment(
        self,
        issued: Issued,
        *,
        config: Mapping[str, Any] | None = None,
        **changes: Any,  # noqa: ANN401 - the fields of Deployment
    ) -> Deployment:
        self.made += 1
        usual: dict[str, Any] = {
            "id": f"dep-{self.made}",
            "target": self.target(**(config or {})),
            "certificate": pki.details(issued.leaf),
            "created_at": NOW,
            "state": State.SNAPSHOTTING,
            "metadata": {"certificate_id": "mc-api-prod"},
        }
        return Deployment(**{**usual, **changes})

    async def deploy(
        self,
        issued: Issued,
        *,
        previous_key: Issued | None = None,
        at: Happenings | None = None,
        **changes: Any,  # noqa: ANN401 - the fields of Deployment
    ) -> Run:
        """Run the saga for *issued*; *at* says what happens once a state was saved."""
        key = pki.read_key("previous_key_pem", previous_key.key_pem)[0] if previous_key else None
        held = Held(issued.bundle(), key)
        return await self.run(self.deployment(issued, **changes), held, at=at)

    async def run(
        self,
        deployment: Deployment,
        held: Held | None = None,
        *,
        at: Happenings | None = None,
        dies: Callable[[Deployment], bool] = lambda _: False,
    ) -> Run:
        """Run the saga from *deployment*; with nothing held it is as after a crash."""
        saved: list[Deployment] = []

        async def save(reached: Deployment) -> None:
            if dies(reached):
                raise Crashed
            saved.append(reached)
            await self.happen((at or {}).get(reached.state, ()))

        held = held or Held()
        try:
            final = await saga.run(
                deployment, self.connector, held, save, limits=LIMITS, now=self.now
            )
        except Crashed:
            final = saved[-1] if saved else deployment
        finally:
            held.drop()
        return Run(final=final, saved=tuple(saved), vault=self.vault)

    async def happen(self, happenings: Sequence[Happening]) -> None:
        for one in happenings:
            if isinstance(one, Fault):
                self.emulator.faults.add(one)
            else:
                done = one()
                if isawaitable(done):
                    await done

    def store(
        self,
        issued: Issued,
        *,
        content_type: str | None = PFX,
        name: str = NAME,
        tags: dict[str, str] | None = None,
    ) -> StoredVersion:
        """Store a version as another writer did: a PFX or a PEM as sent, or (`None`) our own.

        What Key Vault made itself it exports as 3DES.
        """
        if content_type is None:
            pems = issued.cert_pem, issued.key_pem, issued.chain_pem
            return self.vault.import_pem(name, *pems, tags=tags)
        value = base64.b64encode(pki.pfx(issued.leaf, issued.chain, _key(issued))).decode()
        if content_type == PEM:
            value = issued.key_pem + issued.cert_pem + issued.chain_pem
        material = Material(
            certificate=issued.leaf,
            private_key=issued.key,
            chain=issued.chain,
            content_type=content_type,
            value=value,
        )
        policy = policy_for(issued.leaf, None, content_type=content_type)
        return self.vault.store(name, Submission(material=material, policy=policy, tags=tags))

    def change_policy(self, **parts: Any) -> None:  # noqa: ANN401 - parts of a policy
        self.vault.set_policy(NAME, {**self.vault.policy(NAME), **parts})


def _key(issued: Issued) -> pki.PrivateKey:
    assert isinstance(issued.key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey)
    return issued.key


def serves(vault: Vault, issued: Issued, name: str = NAME) -> bool:
    """Whether the vault serves *issued*, with a key that signs for it, and enabled."""
    latest = vault.latest(name)
    return latest is not None and latest.enabled and holds(latest, issued)


def holds(version: StoredVersion, issued: Issued) -> bool:
    """Whether *version* is *issued*, and its secret brings a key that signs for it."""
    if version.certificate != issued.leaf:
        return False
    leaf, key = _exported(version)
    return leaf == issued.leaf and _signs(key, issued.leaf)


def _exported(version: StoredVersion) -> tuple[x509.Certificate | None, object]:
    """The leaf and its key as a consumer reads them, out of the secret."""
    if version.content_type == PEM:
        pem = version.value.encode()
        return x509.load_pem_x509_certificate(pem), load_pem_private_key(pem, None)
    key, leaf, _ = load_key_and_certificates(base64.b64decode(version.value), None)
    return leaf, key


def _signs(key: object, leaf: x509.Certificate) -> bool:
    """Sign with the stored key and verify with the certificate; a wrong key raises."""
    public = leaf.public_key()
    if isinstance(key, rsa.RSAPrivateKey) and isinstance(public, rsa.RSAPublicKey):
        signed = key.sign(b"proof", padding.PKCS1v15(), SHA256())
        public.verify(signed, b"proof", padding.PKCS1v15(), SHA256())
        return True
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert isinstance(public, ec.EllipticCurvePublicKey)
    public.verify(key.sign(b"proof", ec.ECDSA(SHA256())), b"proof", ec.ECDSA(SHA256()))
    return True


def environment(emulator: Emulator) -> dict[str, str]:
    """What the emulator's own application needs to log in."""
    return {
        "AZURE_TENANT_ID": emulator.tenant_id,
        "AZURE_CLIENT_ID": emulator.client_id,
        "AZURE_CLIENT_SECRET": emulator.client_secret,
    }


@asynccontextmanager
async def opened(
    emulator: Emulator,
    *,
    ca_bundle: str | None,
    now: Clock,
    patience: Patience = AT_ONCE,
    variables: Mapping[str, str] | None = None,
    **options: Any,  # noqa: ANN401 - the fields of AzureOptions
) -> AsyncIterator[Playground]:
    """A playground, closed at the end."""
    http_challenge_cache.clear()
    usual = {
        "connect_to": f"127.0.0.1:{emulator.port}",
        "ca_bundle": ca_bundle,
        **dict.fromkeys(BUDGETS, NO_BUDGET),
    }
    counted: list[tuple[str, str]] = []
    waited: list[tuple[str, float]] = []
    connector = REGISTRY["AzureKeyVault"].build(
        AzureOptions(**{**usual, **options}),
        environment=environment(emulator) if variables is None else variables,
        counted=lambda operation, status: counted.append((operation, status)),
        waited=lambda operation, seconds: waited.append((operation, seconds)),
        now=now,
        patience=patience,
    )
    assert isinstance(connector, AzureKeyVault)
    try:
        yield Playground(
            emulator=emulator, connector=connector, now=now, counted=counted, waited=waited
        )
    finally:
        await connector.aclose()
