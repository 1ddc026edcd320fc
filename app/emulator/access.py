"""Who may do what: nothing is forbidden until a test says so.

The four ways Key Vault refuses a caller (roles, access policies, firewall, private link) have
the same status and code, and differ in inner code and text.
"""

from dataclasses import dataclass
from typing import Literal, get_args

from app.emulator.refusals import Refusal, error_document
from app.emulator.tokens import Identity
from app.emulator.wire import Reply

By = Literal["rbac", "policy", "firewall", "connection"]

REGION = "westeurope"
_SUBSCRIPTION = "33333333-3333-3333-3333-333333333333"


@dataclass(frozen=True, kw_only=True)
class Denial:
    """A forbidden data action; None stands for every vault, action or caller."""

    vault: str | None = None
    action: str | None = None
    by: By = "rbac"
    client_id: str | None = None

    def __post_init__(self) -> None:
        if self.by not in get_args(By):
            raise ValueError(f"no such way to deny: {self.by}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """A caller about to use a data action, e.g. certificates/import/action."""

    vault: str
    name: str | None
    action: str
    identity: Identity
    client: str

    @property
    def caller(self) -> str:
        """The caller as Key Vault writes it."""
        who = self.identity
        return f"appid={who.client_id};oid={who.object_id};iss={who.issuer}"


def check(denials: list[Denial], attempt: Attempt) -> None:
    """Raise Refusal (403) if a denial covers the attempt."""
    for denial in denials:
        if _covers(denial, attempt):
            inner, message = _WORDS[denial.by](attempt)
            raise Refusal(Reply(status=403, document=error_document("Forbidden", message, inner)))


def _covers(denial: Denial, attempt: Attempt) -> bool:
    return (
        denial.vault in (None, attempt.vault)
        and denial.action in (None, attempt.action)
        and denial.client_id in (None, attempt.identity.client_id)
    )


def _rbac(attempt: Attempt) -> tuple[str, str]:
    kind = attempt.action.partition("/")[0]
    resource = (
        f"/subscriptions/{_SUBSCRIPTION}/resourcegroups/emulator/providers/microsoft.keyvault"
        f"/vaults/{attempt.vault}" + (f"/{kind}/{attempt.name}" if attempt.name else "")
    )
    return "ForbiddenByRbac", (
        "Caller is not authorized to perform action on resource.\r\n"
        "If role assignments, deny assignments or role definitions were changed recently, "
        "please observe propagation time.\r\n"
        f"Caller: {attempt.caller}\r\n"
        f"Action: 'Microsoft.KeyVault/vaults/{attempt.action}'\r\n"
        f"Resource: '{resource}'\r\n"
        "Assignment: (not found)\r\n"
        "DenyAssignmentId: null\r\n"
        "DecisionReason: 'DeniedWithNoValidRBAC' \r\n"
        f"Vault: {attempt.vault};location={REGION}\r\n"
    )


# Access policies have permissions of their own; these are their names for our data actions.
_PERMISSIONS = {
    "certificates/read": "certificates get",
    "certificates/import/action": "certificates import",
    "certificates/update/action": "certificates update",
    "certificates/delete": "certificates delete",
    "certificates/recover/action": "certificates recover",
    "certificates/purge/action": "certificates purge",
    "secrets/getSecret/action": "secrets get",
}


def _policy(attempt: Attempt) -> tuple[str, str]:
    who = attempt.identity
    return "ForbiddenByPolicy", (
        f"The user, group or application 'appid={who.client_id};oid={who.object_id};"
        f"numgroups=0;iss={who.issuer}' does not have {_PERMISSIONS[attempt.action]} permission "
        f"on key vault '{attempt.vault};location={REGION}'. For help resolving this issue, "
        "please see https://go.microsoft.com/fwlink/?linkid=2125287"
    )


def _firewall(attempt: Attempt) -> tuple[str, str]:
    return "ForbiddenByFirewall", (
        "Client address is not authorized and caller is not a trusted service.\r\n"
        f"Client address: {attempt.client}\r\n"
        f"Caller: {attempt.caller}\r\n"
        f"Vault: {attempt.vault};location={REGION}"
    )


def _connection(attempt: Attempt) -> tuple[str, str]:
    return "ForbiddenByConnection", (
        "Public network access is disabled and request is not from a trusted service nor via an "
        "approved private link.\r\n"
        f"Caller: {attempt.caller}\r\n"
        f"Vault: {attempt.vault};location={REGION}"
    )


_WORDS = {"rbac": _rbac, "policy": _policy, "firewall": _firewall, "connection": _connection}
