"""What a vault holds, and the view of it for tests: inspection and preparation without HTTP.

One lock orders the writers. What the passing of time makes due (a renewal by Key Vault itself)
is done when somebody looks, by a request or by an inspection here, and dated when it was due.
"""

import threading
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from app.emulator import renewing
from app.emulator.clock import Clock
from app.emulator.issuing import signing_request
from app.emulator.material import PFX, Material
from app.emulator.names import ByName
from app.emulator.policies import Policy, is_exportable, made_by_key_vault, policy_for
from app.emulator.stored import (
    DeletedEntry,
    Entry,
    PendingOperation,
    StoredKey,
    StoredVersion,
    Submission,
)


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
        self.entries: ByName[Entry] = ByName()
        self.deleted: ByName[DeletedEntry] = ByName()
        self.pending: ByName[PendingOperation] = ByName()
        self.keys: ByName[tuple[StoredKey, ...]] = ByName()

    # ---- inspection

    def versions(self, name: str) -> list[StoredVersion]:
        """All versions in order of creation."""
        self.settle(name)
        entry = self.entries.get(name)
        return list(entry.versions) if entry else []

    def latest(self, name: str) -> StoredVersion | None:
        """The current version."""
        self.settle(name)
        entry = self.entries.get(name)
        return entry.latest if entry else None

    def policy(self, name: str) -> Policy:
        """The policy, without id and attributes. Raises KeyError for an unknown name."""
        return self.entries[name].policy

    def settle(self, name: str = "") -> None:
        """Do what has become due under a name (empty: under every name)."""
        with self.lock:
            now = self._clock.now()
            for each in [each for each, gone in self.deleted.items() if gone.purged <= now]:
                self.purge(each)
            for each in (name,) if name else tuple(self.entries):
                if each in self.entries:
                    entry = self.entries[each]
                    self.entries[each] = renewing.renewed(entry, now, self._new_version)

    # ---- preparation

    def set_policy(self, name: str, policy: Policy) -> None:
        """Replace the whole policy, as if every version had been made under it."""
        with self.lock:
            exportable = is_exportable(policy)
            versions = self.entries[name].versions
            self._put(name, versions=tuple(replace(v, exportable=exportable) for v in versions))
            self.agree(name, policy)

    def set_enabled(self, name: str, version: str, enabled: bool) -> None:  # noqa: FBT001 - reads like the attribute
        """Enable or disable a version."""
        self.change(name, version, enabled=enabled)

    def soft_delete(self, name: str) -> DeletedEntry:
        """Delete the certificate with all its versions; it can be recovered."""
        with self.lock:
            name = self.entries.shown(name)
            entry = self.entries.pop(name)
            now = self._clock.now()
            ready = now + self._deletion_seconds()
            gone = self.deleted[name] = DeletedEntry(entry=entry, deleted=int(now), ready=ready)
            return gone

    def recover(self, name: str) -> Entry:
        """Undo a soft delete."""
        with self.lock:
            name = self.deleted.shown(name)
            entry = self.entries[name] = self.deleted.pop(name).entry
            return entry

    def purge(self, name: str) -> None:
        """Make a soft delete final."""
        with self.lock:
            del self.deleted[name]
            self.pending.pop(name, None)

    def set_pending(
        self, name: str, *, in_progress: bool = True, policy: Policy | None = None
    ) -> PendingOperation:
        """Let a creation be pending under the name; not in progress: completed."""
        operation = PendingOperation(
            request_id=uuid.uuid4().hex,
            csr=signing_request(name),
            version=self._new_version(),
            policy=policy or made_by_key_vault(f"CN={name}", issuer="Unknown"),
            started=int(self._clock.now()),
            status="inProgress" if in_progress else "completed",
        )
        with self.lock:
            self.pending[name] = operation
        return operation

    def cancel_pending(self, name: str) -> PendingOperation:
        """Ask for a creation to be cancelled; the answer shows it in progress for the last time."""
        with self.lock:
            asked = replace(self.pending[name], cancellation_requested=True)
            self.pending[name] = replace(asked, status="cancelled")
        return asked

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

    def set_key_enabled(self, name: str, version: str, enabled: bool) -> None:  # noqa: FBT001 - reads like the attribute
        """Enable or disable a version of a key."""
        now = int(self._clock.now())
        with self.lock:
            self.keys[name] = tuple(
                replace(one, enabled=enabled, updated=now) if one.version == version else one
                for one in self.keys[name]
            )

    # ---- writes

    def add_key(
        self,
        name: str,
        private_key: rsa.RSAPrivateKey,
        *,
        operations: tuple[str, ...],
        enabled: bool,
    ) -> StoredKey:
        """Make a new version of a key current, or the first one."""
        now = int(self._clock.now())
        made = StoredKey(
            version=self._new_version(),
            private_key=private_key,
            operations=operations,
            created=now,
            updated=now,
            enabled=enabled,
        )
        with self.lock:
            self.keys[name] = (*self.keys.get(name, ()), made)
        return made

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

    def agree(self, name: str, policy: Policy) -> None:
        """Replace the policy: it is for versions to come, and leaves those that are there alone."""
        with self.lock:
            self._put(name, policy=policy, policy_updated=int(self._clock.now()))

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
            exportable=is_exportable(submission.policy),
            created=now,
            updated=now,
            content_type=material.content_type,
            sent=material.value,
            preserve_cert_order=submission.preserve_cert_order,
        )
