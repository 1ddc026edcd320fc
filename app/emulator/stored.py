"""What a vault stores under a name: versions, policy, deletion, a creation under way; and keys.

All of it is frozen and replaced whole, so that a reader in another thread sees the old state or
the new one.
"""

import base64
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding

from app.emulator.exports import pfx_of
from app.emulator.material import Material
from app.emulator.policies import Policy

RECOVERABLE_DAYS = 90
"""How long a soft delete can be undone; in Azure chosen when a vault is made, this by default."""


@dataclass(frozen=True, kw_only=True)
class StoredVersion:
    """One version of a certificate. Times are whole seconds, as Key Vault keeps them."""

    version: str
    certificate: x509.Certificate
    private_key: PrivateKeyTypes | None = field(repr=False)
    chain: tuple[x509.Certificate, ...]
    tags: dict[str, str]
    enabled: bool
    created: int
    updated: int
    content_type: str
    sent: str | None = field(repr=False)
    tagged: bool = False
    exportable: bool = True
    preserve_cert_order: bool | None = None
    x5t: str = field(init=False)
    cer: str = field(init=False, repr=False)
    not_before: int = field(init=False)
    expires: int = field(init=False)

    def __post_init__(self) -> None:
        # read a hundred times, so computed once; frozen, hence the detour
        digest = self.certificate.fingerprint(hashes.SHA1())  # noqa: S303 - x5t is SHA-1 by definition
        der = self.certificate.public_bytes(Encoding.DER)
        facts = {
            "x5t": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "cer": base64.b64encode(der).decode(),
            "not_before": int(self.certificate.not_valid_before_utc.timestamp()),
            "expires": int(self.certificate.not_valid_after_utc.timestamp()),
        }
        for name, fact in facts.items():
            object.__setattr__(self, name, fact)

    @cached_property
    def value(self) -> str:
        """What the secret shows. Encoding it takes 10 ms, so it waits until somebody asks."""
        if self.sent is not None:
            return self.sent
        return pfx_of(self.certificate, self.private_key, self.chain)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """All a vault knows under one name; `before` is the same as of the last write."""

    versions: tuple[StoredVersion, ...]
    policy: Policy
    policy_created: int
    policy_updated: int
    before: "Entry | None" = None

    @property
    def latest(self) -> StoredVersion:
        """The version made current last, disabled or not."""
        return self.versions[-1]

    def find(self, version: str) -> StoredVersion | None:
        """A version by its id."""
        return next((v for v in reversed(self.versions) if v.version == version), None)


@dataclass(frozen=True, kw_only=True)
class DeletedEntry:
    """A soft-deleted certificate; the deletion is finished at `ready`, and final at `purged`."""

    entry: Entry
    deleted: int
    ready: float

    @property
    def purged(self) -> int:
        """When Key Vault purges it by itself."""
        return self.deleted + RECOVERABLE_DAYS * 86_400


@dataclass(frozen=True, kw_only=True)
class PendingOperation:
    """A creation that somebody began under the name: of which version, under which policy."""

    request_id: str
    csr: str
    version: str
    policy: Policy
    started: int
    status: Literal["inProgress", "completed", "cancelled"] = "inProgress"
    cancellation_requested: bool = False

    @property
    def in_progress(self) -> bool:
        """Whether it is neither completed nor cancelled."""
        return self.status == "inProgress"


@dataclass(frozen=True, kw_only=True)
class Submission:
    """What an import is about to store."""

    material: Material
    policy: Policy
    tags: dict[str, str] | None = None
    enabled: bool = True
    preserve_cert_order: bool | None = None


@dataclass(frozen=True, kw_only=True)
class StoredKey:
    """One version of a key that is no certificate's."""

    version: str
    private_key: rsa.RSAPrivateKey = field(repr=False)
    operations: tuple[str, ...]
    created: int
    updated: int
    enabled: bool
