"""What a vault holds, and the view of it for tests: inspection and preparation without HTTP.

Everything stored is frozen and replaced whole, so a reader in another thread sees either the
old or the new state; one lock orders the writers.
"""

import base64
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from app.emulator.clock import Clock
from app.emulator.exports import pfx_of
from app.emulator.material import PFX, Material
from app.emulator.policies import Policy, policy_for


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
    """A soft-deleted certificate; the deletion is finished at `ready`."""

    entry: Entry
    deleted: int
    ready: float


@dataclass(frozen=True, kw_only=True)
class PendingOperation:
    """A creation or merge that somebody began under the name."""

    request_id: str
    in_progress: bool


@dataclass(frozen=True, kw_only=True)
class Submission:
    """What an import is about to store."""

    material: Material
    policy: Policy
    tags: dict[str, str] | None = None
    enabled: bool = True
    preserve_cert_order: bool | None = None


class Vault:
    """One vault. Public methods may be called from any thread."""

    def __init__(
        self,
        name: str,
        *,
        clock: Clock,
        new_version: Callable[[], str] = lambda: uuid.uuid4().hex,
        deletion_seconds: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self.name = name
        self.lock = threading.RLock()
        self._clock = clock
        self._new_version = new_version
        self._deletion_seconds = deletion_seconds
        self.entries: dict[str, Entry] = {}
        self.deleted: dict[str, DeletedEntry] = {}
        self.pending: dict[str, PendingOperation] = {}

    # ---- inspection

    def versions(self, name: str) -> list[StoredVersion]:
        """All versions in order of creation."""
        entry = self.entries.get(name)
        return list(entry.versions) if entry else []

    def latest(self, name: str) -> StoredVersion | None:
        """The current version."""
        entry = self.entries.get(name)
        return entry.latest if entry else None

    def policy(self, name: str) -> Policy:
        """The policy, without id and attributes. Raises KeyError for an unknown name."""
        return self.entries[name].policy

    # ---- preparation

    def set_policy(self, name: str, policy: Policy) -> None:
        """Replace the whole policy."""
        with self.lock:
            self._put(name, policy=policy, policy_updated=int(self._clock.now()))

    def set_enabled(self, name: str, version: str, enabled: bool) -> None:  # noqa: FBT001 - reads like the attribute
        """Enable or disable a version."""
        self.change(name, version, enabled=enabled)

    def soft_delete(self, name: str) -> DeletedEntry:
        """Delete the certificate with all its versions; it can be recovered."""
        with self.lock:
            entry = self.entries.pop(name)
            now = self._clock.now()
            ready = now + self._deletion_seconds()
            gone = self.deleted[name] = DeletedEntry(entry=entry, deleted=int(now), ready=ready)
            return gone

    def recover(self, name: str) -> Entry:
        """Undo a soft delete."""
        with self.lock:
            entry = self.entries[name] = self.deleted.pop(name).entry
            return entry

    def purge(self, name: str) -> None:
        """Make a soft delete final."""
        with self.lock:
            del self.deleted[name]

    def set_pending(self, name: str, *, in_progress: bool = True) -> PendingOperation:
        """Let a creation be pending under the name; not in progress: completed."""
        with self.lock:
            operation = PendingOperation(request_id=uuid.uuid4().hex, in_progress=in_progress)
            self.pending[name] = operation
            return operation

    def clear_pending(self, name: str) -> None:
        """Forget the creation."""
        with self.lock:
            self.pending.pop(name, None)

    def import_pem(
        self,
        name: str,
        cert_pem: str,
        key_pem: str,
        chain_pem: str = "",
        tags: dict[str, str] | None = None,
    ) -> StoredVersion:
        """Store a version as another writer would: a PFX, with no check at all."""
        leaf = x509.load_pem_x509_certificate(cert_pem.encode())
        key = load_pem_private_key(key_pem.encode(), None)
        encoded = chain_pem.encode()
        chain = tuple(x509.load_pem_x509_certificates(encoded)) if encoded.strip() else ()
        material = Material(
            certificate=leaf,
            private_key=key,
            chain=chain,
            content_type=PFX,
            value=None,
        )
        policy = policy_for(leaf, None, content_type=PFX)
        return self.store(name, Submission(material=material, policy=policy, tags=tags))

    # ---- writes

    def store(self, name: str, submission: Submission) -> StoredVersion:
        """Make a new version current and its policy the name's policy."""
        with self.lock:
            now = int(self._clock.now())
            made = self._made(submission, now)
            old = self.entries.get(name)
            self.entries[name] = Entry(
                versions=(*(old.versions if old else ()), made),
                policy=submission.policy,
                policy_created=old.policy_created if old else now,
                policy_updated=now,
                before=replace(old, before=None) if old else None,
            )
            # a finished pending operation is silently overwritten by an import
            self.pending.pop(name, None)
            return made

    def change(self, name: str, version: str, **changes: Any) -> StoredVersion:  # noqa: ANN401 - fields of StoredVersion
        """Replace fields of a version. Raises StopIteration if there is no such version."""
        with self.lock:
            old = self.entries[name].versions
            index = next(i for i, stored in enumerate(old) if stored.version == version)
            changed = replace(old[index], updated=int(self._clock.now()), **changes)
            self._put(name, versions=(*old[:index], changed, *old[index + 1 :]))
            return changed

    def _put(self, name: str, **changes: Any) -> None:  # noqa: ANN401 - fields of Entry
        old = self.entries[name]
        self.entries[name] = replace(old, before=replace(old, before=None), **changes)

    def _made(self, submission: Submission, now: int) -> StoredVersion:
        material = submission.material
        return StoredVersion(
            version=self._new_version(),
            certificate=material.certificate,
            private_key=material.private_key,
            chain=material.chain,
            tags=dict(submission.tags or {}),
            tagged=submission.tags is not None,
            enabled=submission.enabled,
            created=now,
            updated=now,
            content_type=material.content_type,
            sent=material.value,
            preserve_cert_order=submission.preserve_cert_order,
        )
