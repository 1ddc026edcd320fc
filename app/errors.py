"""Everything that can go wrong, with no HTTP in it. Most of these are stored, not answered.

    Trouble
    ├── RequestRefused             the request cannot be taken, and nothing was stored
    │   ├── InvalidRequest         carries every fault at once
    │   ├── MalformedRequest       RequestTooLarge  Unauthenticated  NotFound  MethodNotAllowed
    │   ├── UnknownConnector       DeploymentNotFound  NotCancellable  ValidateOnlyNotSupported
    │   └── IdempotencyKeyReused   QueueFull  Draining  SealingUnavailable  StoreUnavailable
    ├── TakenOver                  another worker carries the deployment on; told to nobody
    └── DeployError                a step of a deployment failed; kept on its record
        ├── VersionConflict        PlanChanged  RollbackImpossible
        ├── VerificationFailed     Superseded   KeyGone  SealingKeyGone
        ├── ImportOutcomeUnknown   DeadlineExceeded  ImportDeadlineExceeded
        ├── InternalError
        └── TargetError            the target's own refusal, in our words
            ├── TargetUnauthenticated
            ├── TargetForbidden    …Rbac  …Policy  …Firewall  …Connection
            ├── TargetNotFound     TargetUnreachable  TargetThrottled  TargetUnavailable
            ├── NameSoftDeleted    NameBeingDeleted  PendingOperation  NameTaken
            └── TargetConflict     CertificateRejected

A class is its `code` (stable, part of the API), whether the same request may work later
(`retryable`), and a docstring that says what to do: it is the message people read, so it never
holds a caller's value, a key, or a foreign message.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Final


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One thing wrong with a request: the field (dotted path), a stable code, and a sentence."""

    field: str
    code: str
    message: str


_KEYS: Final = "Supported keys are RSA 2048, 3072, 4096 and EC P-256, P-384, P-521."
# the faults of a certificate, its chain and its key: code → (the field at fault, what to say)
FAULTS: Final[dict[str, tuple[str, str]]] = {
    "certificate-unreadable": ("cert_pem", "Send PEM certificates; this cannot be read as one."),
    "private-key-misplaced": ("cert_pem", "A private key is in this field; it goes into key_pem."),
    "key-unreadable": ("key_pem", "Send one private key in PEM: PKCS#8, PKCS#1 or SEC1."),
    "key-encrypted": ("key_pem", "The key is encrypted; send it unencrypted, inside TLS."),
    "key-type-unsupported": ("key_pem", _KEYS),
    "key-inconsistent": ("key_pem", "The numbers of the RSA key do not belong together."),
    "key-mismatch": ("key_pem", "The key does not belong to the certificate in cert_pem."),
    "leaf-ambiguous": ("cert_pem", "Two certificates belong to this key; send one leaf."),
    "leaf-expired": ("cert_pem", "The certificate has expired; targets refuse it."),
    "leaf-is-ca": ("cert_pem", "The certificate is a CA; send the server's own certificate."),
    "leaf-key-unsupported": ("cert_pem", _KEYS),
    "ec-key-encipherment": ("cert_pem", "Key Vault refuses EC with keyEncipherment; reissue it."),
    "serial-invalid": ("cert_pem", "The serial number must be positive, 20 octets at most."),
    "chain-too-long": ("chain_pem", "Send 10 certificates, 24 KiB in all, at the most."),
    "chain-signature-invalid": ("chain_pem", "A chain certificate did not sign the one below."),
    "chain-stranger": ("chain_pem", "A chain certificate has nothing to do with the leaf."),
    "chain-gap": ("chain_pem", "The chain has a gap: an issuer in between is missing."),
    "chain-issuer-not-ca": ("chain_pem", "A chain certificate signed another but is not a CA."),
}


@dataclass(frozen=True, kw_only=True)
class TargetAnswer:
    """What the target answered, reduced to what may be shown.

    HTTP status, the target's error code and inner code, and its request id for a support case.
    """

    status: int | None = None
    code: str | None = None
    inner_code: str | None = None
    request_id: str | None = None


class Trouble(Exception):
    """Something went wrong."""

    code: ClassVar[str] = "trouble"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str | None = None) -> None:
        self.message = message or advice(type(self))
        super().__init__(self.message)


def advice(kind: type[Trouble]) -> str:
    """The sentence of an error class: its docstring, on one line."""
    return " ".join((kind.__doc__ or "").split())


def every(kind: type[Trouble] = Trouble) -> Iterator[type[Trouble]]:
    """Each error that can be raised, below *kind*: the classes with a code of their own."""
    for child in kind.__subclasses__():
        if "code" in vars(child):
            yield child
        yield from every(child)


class RequestRefused(Trouble):
    """The request cannot be taken; nothing was stored."""


class InvalidRequest(RequestRefused):
    """The request has faults; each is named in `errors`. Mend them all and send it again."""

    code = "invalid-request"

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__()
        self.faults = faults


class MalformedRequest(RequestRefused):
    """The body is not readable as JSON in UTF-8."""

    code = "malformed-request"


class RequestTooLarge(RequestRefused):
    """The body is larger than 256 KiB. A certificate, its chain and its key need far less."""

    code = "request-too-large"


class Unauthenticated(RequestRefused):
    """Send `Authorization: Bearer <token>` with a token listed in the access file."""

    code = "unauthenticated"


class NotFound(RequestRefused):
    """There is nothing at this path; the operations are listed in the OpenAPI document."""

    code = "not-found"


class MethodNotAllowed(RequestRefused):
    """The path exists, but not with this method; see the `Allow` header."""

    code = "method-not-allowed"


class UnknownConnector(RequestRefused):
    """No connector of this type; GET /api/v1/connectors lists the types."""

    code = "unknown-connector"


class DeploymentNotFound(RequestRefused):
    """No deployment has this id; the list has them all."""

    code = "deployment-not-found"


class NotCancellable(RequestRefused):
    """Only a queued deployment can be cancelled; this one has started or is final."""

    code = "not-cancellable"


class IdempotencyKeyReused(RequestRefused):
    """The Idempotency-Key was used for another request; use a new key for a new request."""

    code = "idempotency-key-reused"


class ValidateOnlyNotSupported(RequestRefused):
    """The target has no dry run. Use `plan`: it says what a deploy would do, without any write."""

    code = "validate-only-not-supported"


class QueueFull(RequestRefused):
    """Too many deployments are waiting; nothing was accepted. Send it again after Retry-After."""

    code = "queue-full"
    retryable = True


class Draining(RequestRefused):
    """The service is stopping and takes no new work. Send it again after Retry-After."""

    code = "draining"
    retryable = True


class SealingUnavailable(RequestRefused):
    """The key that seals the queue cannot be used now; nothing was accepted. Send it again."""

    code = "sealing-unavailable"
    retryable = True


class StoreUnavailable(RequestRefused):
    """The record cannot be written or read, so nothing is accepted. Check disk and STORE__URL."""

    code = "store-unavailable"
    retryable = True


class TakenOver(Trouble):
    """Another worker has this deployment now, or it is final: whoever meets this lets it go."""


class DeployError(Trouble):
    """A step of a deployment failed."""

    def __init__(self, message: str | None = None, *, answer: TargetAnswer | None = None) -> None:
        super().__init__(message)
        self.answer = answer


class InternalError(DeployError):
    """A fault of this service; its log tells more under the request id. Report it."""

    code = "internal-error"


class VersionConflict(DeployError):
    """The target's current version is not `expected_version`; nothing changed. Look first."""

    code = "version-conflict"


class PlanChanged(DeployError):
    """The plan is not the one agreed to (`expected_plan_hash`); nothing changed. Plan again."""

    code = "plan-changed"


class RollbackImpossible(DeployError):
    """The previous certificate could not be put back if this failed, and `rollback` is `required`.

    Nothing changed. `rollback.reason` says what stands in the way.
    """

    code = "rollback-impossible"


class VerificationFailed(DeployError):
    """What the target serves after the import is not what was sent."""

    code = "verification-failed"


class Superseded(DeployError):
    """Another writer's newer version is current; it was left alone. Agree on who deploys here."""

    code = "superseded"


class KeyGone(DeployError):
    """The process died before the import and the key went with it. Nothing changed; send again."""

    code = "key-gone"
    retryable = True


class SealingKeyGone(KeyGone):
    """The sealed key could not be opened: its sealing key is gone. Keep old ones; send it again."""

    code = "sealing-key-gone"


class ImportOutcomeUnknown(DeployError):
    """The target gave no clear answer to the import, and looking did not settle it.

    A person must compare what it serves with this certificate's thumbprint.
    """

    code = "import-outcome-unknown"


class DeadlineExceeded(DeployError):
    """The deployment took longer than WORKER__DEADLINE_S. See `step` for where the time went."""

    code = "deadline-exceeded"
    retryable = True


class ImportDeadlineExceeded(DeadlineExceeded):
    """The import had no answer before WORKER__DEADLINE_S was over, and may still be applied.

    Do not send it again before comparing what the target serves with this certificate.
    """

    retryable = False


class TargetError(DeployError):
    """The target refused, in our words; its own texts hold foreign ids and are not passed on."""


class TargetUnauthenticated(TargetError):
    """The target did not accept our identity, or we have none.

    Check `credential_mode`, the identity of this service and its tenant.
    """

    code = "target-unauthenticated"


class TargetForbidden(TargetError):
    """The target refused our identity this action. Grant it the documented least role."""

    code = "target-forbidden"


class TargetForbiddenRbac(TargetForbidden):
    """No Azure role assignment of our identity allows this action on the vault.

    Assign the documented least role; a new assignment takes some minutes to work.
    """

    code = "target-forbidden-rbac"


class TargetForbiddenPolicy(TargetForbidden):
    """The vault's access policy gives our identity no such permission: add get, list, import."""

    code = "target-forbidden-policy"


class TargetForbiddenFirewall(TargetForbidden):
    """The vault's firewall does not admit our address: add it, or use a private endpoint."""

    code = "target-forbidden-firewall"


class TargetForbiddenConnection(TargetForbidden):
    """The vault admits only approved private links, and we did not come by one."""

    code = "target-forbidden-connection"


class TargetNotFound(TargetError):
    """No such vault: its name does not resolve. Check `vault_url` and, on a private link, DNS."""

    code = "target-not-found"


class TargetUnreachable(TargetError):
    """No connection to the target: check routes, proxies, TLS inspection and the CA bundle."""

    code = "target-unreachable"
    retryable = True


class TargetThrottled(TargetError):
    """The target is throttling (a vault admits 300 imports in 10 s). Send again later, slower."""

    code = "target-throttled"
    retryable = True


class TargetUnavailable(TargetError):
    """The target is failing or answering nonsense. Send again later; look at its status page."""

    code = "target-unavailable"
    retryable = True


class NameSoftDeleted(TargetError):
    """A deleted certificate still holds this name: recover or purge it, or use another name."""

    code = "name-soft-deleted"


class NameBeingDeleted(TargetError):
    """The certificate of this name is being deleted right now. Wait, then decide on its name."""

    code = "name-being-deleted"
    retryable = True


class PendingOperation(TargetError):
    """A certificate operation is pending under this name: finish or cancel it in the vault."""

    code = "pending-operation"


class NameTaken(TargetError):
    """A separate key or secret has this name, so no certificate can. Use another name."""

    code = "name-taken-by-key-or-secret"


class TargetConflict(TargetError):
    """Something else under this name stands in the way, such as a key or a secret. Look there."""

    code = "target-conflict"


class CertificateRejected(TargetError):
    """The target examined the certificate and rejected it. `azure.inner_code` may say more."""

    code = "certificate-rejected"
