"""Roles: which data actions Azure knows, and which of them a role gives to an application.

Names, actions and built-in roles are those of Microsoft's pages "Azure permissions for Security"
and "Azure built-in roles for Security"; both are written without `Microsoft.KeyVault/vaults/`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Final

from app.emulator.told import Told

PROVIDER: Final = "Microsoft.KeyVault/vaults/"

_LIFE: Final = "delete backup/action purge/action recover/action restore/action"
_VERBS: Final = {
    "certificatecas": "read write delete",
    "certificatecontacts": "write",
    "certificates": f"read create/action import/action update/action {_LIFE}",
    "keyrotationpolicies": "read write",
    "keys": f"read create/action import/action update/action {_LIFE} encrypt/action decrypt/action "
    "wrap/action unwrap/action sign/action verify/action release/action rotate/action",
    "secrets": f"getSecret/action readMetadata/action setSecret/action update/action {_LIFE}",
    "storageaccounts": f"read set/action regeneratekey/action {_LIFE} "
    "sas/read sas/set/action sas/delete",
}
DATA_ACTIONS: Final = frozenset(
    f"{kind}/{verb}" for kind, verbs in _VERBS.items() for verb in verbs.split()
)

_READ_SECRETS: Final = ("secrets/getSecret/action", "secrets/readMetadata/action")
BUILT_IN: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "Key Vault Administrator": ("*",),
        "Key Vault Certificate User": ("certificates/read", *_READ_SECRETS, "keys/read"),
        "Key Vault Certificates Officer": (
            "certificatecas/*",
            "certificates/*",
            "certificatecontacts/write",
        ),
        "Key Vault Crypto Service Encryption User": (
            "keys/read",
            "keys/wrap/action",
            "keys/unwrap/action",
        ),
        # it manages vaults and gives no access to what is in them
        "Key Vault Contributor": (),
        "Key Vault Reader": ("*/read", "secrets/readMetadata/action"),
        "Key Vault Secrets Officer": ("secrets/*",),
        "Key Vault Secrets User": _READ_SECRETS,
    }
)


@dataclass(frozen=True, kw_only=True)
class Assignment(Told):
    """A role given to an application in a scope.

    Attributes:
        role: a built-in role by Azure's name, or the data actions of a custom one, with or
            without `Microsoft.KeyVault/vaults/`; `*` stands for anything, as in Azure.
        vault: where it counts; None is every vault, as on a subscription.
        name: only this certificate with its secret. Azure scopes the two one by one.
    """

    client_id: str
    role: str | tuple[str, ...]
    vault: str | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        if self.name is not None and self.vault is None:
            raise ValueError("name is in a vault: name the vault too")
        if isinstance(self.role, str) and self.role not in BUILT_IN:
            raise ValueError(
                f"role {self.role!r} is not built in; there are: {', '.join(BUILT_IN)}"
            )
        for pattern in self.patterns:
            _check(pattern)

    @property
    def patterns(self) -> tuple[str, ...]:
        """The data actions the role gives."""
        if isinstance(self.role, str):
            return BUILT_IN[self.role]
        return tuple(action.removeprefix(PROVIDER) for action in self.role)

    def allows(self, action: str, *, vault: str, name: str | None) -> bool:
        """Whether it lets the application use a data action on a vault, or on a name in it."""
        return (
            (self.vault is None or self.vault.lower() == vault)
            and (self.name is None or (name or "").lower() == self.name.lower())
            and any(_matches(action, pattern) for pattern in self.patterns)
        )


def _matches(action: str, pattern: str) -> bool:
    # Azure does not tell upper from lower case here
    return fnmatchcase(action.lower(), pattern.lower())


def _check(pattern: str) -> None:
    """Refuse what Azure refuses when a custom role is made, in its words."""
    if not any(_matches(action, pattern) for action in DATA_ACTIONS):
        raise ValueError(
            f"InvalidDataActionOrNotDataAction: '{PROVIDER}{pattern}' does not match any of the "
            "actions supported by the providers."
        )
