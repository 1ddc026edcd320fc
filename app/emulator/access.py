"""Who may do what: nothing is forbidden until a test says so.

A denial forbids; an assignment of a role allows, and then whoever has one may do nothing else.
The four ways Key Vault refuses a caller (roles, access policies, firewall, private link) have
the same status and code, and differ in inner code and text.
"""

from dataclasses import dataclass
from typing import Literal, get_args

from app.emulator.refusals import Refusal, error_document
from app.emulator.roles import DATA_ACTIONS, Assignment
from app.emulator.tokens import Identity
from app.emulator.told import Told
from app.emulator.wire import Reply

By = Literal["rbac", "policy", "firewall", "connection"]

REGION = "westeurope"
_SUBSCRIPTION = "33333333-3333-3333-3333-333333333333"


@dataclass(frozen=True, kw_only=True)
class Denial(Told):
    """A forbidden data action; None stands for every vault, action or caller."""

    vault: str | None = None
    action: str | None = None
    by: By = "rbac"
    client_id: str | None = None

    def __post_init__(self) -> None:
        if self.by not in get_args(By):
            raise ValueError(f"no such way to deny: {self.by}")
        if self.action is not None and self.action not in DATA_ACTIONS:
            raise ValueError(f"action {self.action!r} is no data action of Key Vault")


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """A caller about to use a data action, e.g. certificates/import/action.

    Roles do not tell listing from reading, access policies do.
    """

    vault: str
    name: str | None
    action: str
    lists: bool
    identity: Identity
    client: str

    @property
    def caller(self) -> str:
        """The caller as Key Vault writes it."""
        who = self.identity
        return f"appid={who.client_id};oid={who.object_id};iss={who.issuer}"


def check(denials: list[Denial], assignments: list[Assignment], attempt: Attempt) -> None:
    """Raise Refusal (403) if a denial covers the attempt, or no role of the caller does."""
    for denial in denials:
        if _covers(denial, attempt):
            raise _forbidden(denial.by, attempt)
    roles = [one for one in assignments if one.client_id == attempt.identity.client_id]
    if roles and not any(
        role.allows(attempt.action, vault=attempt.vault, name=attempt.name) for role in roles
    ):
        raise _forbidden("rbac", attempt)


def _forbidden(by: By, attempt: Attempt) -> Refusal:
    inner, message = _WORDS[by](attempt)
    return Refusal(Reply(status=403, document=error_document("Forbidden", message, inner)))


def _covers(denial: Denial, attempt: Attempt) -> bool:
    return (
        (denial.vault is None or denial.vault.lower() == attempt.vault)
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


def _permission(attempt: Attempt) -> str:
    """The data action as access policies name it: `certificates get`, not `certificates/read`."""
    kind, verb, *_ = attempt.action.split("/")
    reading = "list" if attempt.lists else "get"
    words = {"read": reading, "getSecret": "get", "wrap": "wrapKey", "unwrap": "unwrapKey"}
    return f"{kind} {words.get(verb, verb)}"


def _policy(attempt: Attempt) -> tuple[str, str]:
    who = attempt.identity
    return "ForbiddenByPolicy", (
        f"The user, group or application 'appid={who.client_id};oid={who.object_id};"
        f"numgroups=0;iss={who.issuer}' does not have {_permission(attempt)} permission "
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
