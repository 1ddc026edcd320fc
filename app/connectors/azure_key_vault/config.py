"""What a caller must say about a vault, and what an operator may say about all of them.

There are no credentials here, ever: a mode names where the service's own identity comes from.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

RESERVED: Final = "certctl-"
_TAGS: Final = 15  # Key Vault's limit for one object; three are ours
_OURS: Final = 3
_LONGEST: Final = 256
# The name is 3-24 letters, digits and hyphens, begins with a letter, and has no double hyphen.
_HOST: Final = (
    r"https://(?P<name>[a-z](?:-?[a-z0-9]){1,23})"
    r"\.vault\.(?P<cloud>azure\.net|usgovcloudapi\.net|azure\.cn)"
)
_AS_TYPED: Final = re.IGNORECASE | re.ASCII  # or the Kelvin sign would be a letter k
_VAULT: Final = re.compile(rf"{_HOST}/?", _AS_TYPED)
_KEY: Final = re.compile(
    rf"{_HOST}/keys/[0-9a-z-]{{1,127}}(?P<version>/[0-9a-f]{{32}})?/?", _AS_TYPED
)
_NAME_LENGTHS: Final = range(3, 25)
_SHARED_PATHS: Final = {"contacts", "issuers", "restore"}  # siblings of names in Key Vault's paths
_AUTHORITIES: Final = {
    "azure.net": "login.microsoftonline.com",
    "usgovcloudapi.net": "login.microsoftonline.us",
    "azure.cn": "login.chinacloudapi.cn",
}


class CredentialMode(StrEnum):
    """Where the identity of this service comes from; the last three use exactly that."""

    DEFAULT = "default"
    MANAGED_IDENTITY = "managed_identity"
    CLIENT_SECRET = "client_secret"  # noqa: S105 - the name of a mode, not a secret
    WORKLOAD_IDENTITY = "workload_identity"


def _vault_url(value: str) -> str:
    match = _VAULT.fullmatch(value)
    if match is None or len(match["name"]) not in _NAME_LENGTHS:
        raise PydanticCustomError(
            "vault-url-invalid",
            "Write https://<vault>.vault.azure.net (or .vault.usgovcloudapi.net, .vault.azure.cn): "
            "no path, port, user info or query.",
        )
    return value.lower().rstrip("/")


def key_url(value: str) -> str:
    """The address of a key or of one version of it, normalised.

    Raises:
        ValueError: it is none; the message is a sentence.
    """
    match = _KEY.fullmatch(value)
    if match is None or len(match["name"]) not in _NAME_LENGTHS:
        raise PydanticCustomError(
            "key-url-invalid",
            "Write https://<vault>.vault.azure.net/keys/<name>, or that and /<version>.",
        )
    return value.lower().rstrip("/")


def versioned(key: str) -> bool:
    """Whether the address of a key names one version of it."""
    match = _KEY.fullmatch(key)
    return match is not None and match["version"] is not None


def _certificate_name(value: str) -> str:
    if not re.fullmatch(r"[0-9A-Za-z-]{1,127}", value):
        raise PydanticCustomError(
            "certificate-name-invalid", "Use 1-127 letters, digits and hyphens."
        )
    if value.lower() in _SHARED_PATHS:
        raise PydanticCustomError(
            "certificate-name-reserved", "Key Vault keeps this word for itself; use another name."
        )
    return value


def _tags(tags: dict[str, str]) -> dict[str, str]:
    if any(key.lower().startswith(RESERVED) for key in tags):
        raise PydanticCustomError(
            "tag-reserved", "Tags that begin with certctl- are set by this service."
        )
    if len(tags) > _TAGS - _OURS:
        raise PydanticCustomError(
            "too-many-tags", "Key Vault keeps 15 tags, and three are ours: send 12 at the most."
        )
    if not all(tags) or any(len(text) > _LONGEST for pair in tags.items() for text in pair):
        raise PydanticCustomError(
            "tag-length", "A tag's name is 1-256 characters, its value at most 256."
        )
    return tags


@dataclass(frozen=True, kw_only=True)
class Place:
    """A vault, and whose identity it is seen through."""

    vault_url: str
    credential_mode: CredentialMode

    @property
    def authority(self) -> str:
        """The login host of the vault's cloud."""
        return _AUTHORITIES[self.vault_url.partition(".vault.")[2]]


class AzureKeyVaultTarget(BaseModel):
    """A certificate's name in an Azure Key Vault."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    vault_url: Annotated[str, AfterValidator(_vault_url)] = Field(
        description="`https://<vault>.vault.azure.net`, or the US Government or China form.",
        examples=["https://my-vault.vault.azure.net"],
    )
    certificate_name: Annotated[str, AfterValidator(_certificate_name)] = Field(
        description="1-127 letters, digits and hyphens.", examples=["api-prod"]
    )
    tags: Annotated[dict[str, str], AfterValidator(_tags)] = Field(
        default_factory=dict,
        description="Written on every import, 12 at the most; `certctl-` names are ours.",
        examples=[{"env": "production"}],
    )
    credential_mode: CredentialMode = Field(
        default=CredentialMode.DEFAULT,
        description="Where this service's identity comes from; there are no credentials here.",
    )

    @property
    def place(self) -> Place:
        """The vault, through this identity."""
        return Place(vault_url=self.vault_url, credential_mode=self.credential_mode)

    @property
    def address(self) -> str:
        """The target without a version; Key Vault does not tell names by case."""
        return f"{self.vault_url}/certificates/{self.certificate_name.lower()}"


class AzureOptions(BaseModel):
    """The operator's settings for all vaults (`AZURE__…`)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    connect_to: str | None = Field(
        default=None,
        pattern=r"^[^:/\s]+:\d{1,5}$",
        description="Send every Azure connection to this `host:port`; names and TLS checks stay.",
    )
    ca_bundle: str | None = Field(default=None, description="The CA file to trust, in PEM.")
    allowed_vaults: tuple[str, ...] = Field(
        default=("*",), description="Patterns of vault names or hosts that may be deployed to."
    )
    read_previous_secret: Literal["always", "never"] = Field(
        default="always",
        description="Whether the previous secret may be read, so that it can be put back.",
    )
    connect_timeout_s: float = Field(default=5, gt=0, le=300, description="Seconds to connect.")
    read_timeout_s: float = Field(default=30, gt=0, le=300, description="Seconds for an answer.")
    most_vaults: int = Field(
        default=1000, ge=1, le=100_000, description="Clients kept open, one a vault and identity."
    )
    vault_imports: int = Field(
        default=300, ge=1, description="Imports in 10 s to one vault, by all replicas together."
    )
    vault_calls: int = Field(
        default=4000, ge=1, description="Other calls in 10 s to one vault, likewise."
    )
    subscription_imports: int = Field(
        default=1500, ge=1, description="Imports in 10 s to all vaults of a subscription, likewise."
    )
    subscription_calls: int = Field(
        default=20_000, ge=1, description="Other calls in 10 s to all of them, likewise."
    )
    subscriptions: dict[str, str] = Field(
        default={},
        description="Patterns of vault names or hosts, and a name for the subscription of each; "
        "all others share one.",
    )

    sealing_keys: tuple[Annotated[str, AfterValidator(key_url)], ...] = Field(
        default=(),
        description="RSA keys in a vault that seal the queue in a database: "
        "`https://<vault>.vault.azure.net/keys/<name>`, or that and `/<version>`. The first seals, "
        "all of them open.",
    )
    sealing_credential_mode: CredentialMode = Field(
        default=CredentialMode.DEFAULT,
        description="Where the identity that uses them comes from, as `credential_mode` says.",
    )

    @property
    def reads_secrets(self) -> bool:
        """Whether the secret of the previous version may be asked for."""
        return self.read_previous_secret != "never"  # noqa: S105 - a choice, not a password

    def allows(self, vault_url: str) -> bool:
        """Whether this vault may be deployed to: by its host, or by its name alone."""
        return any(_fits(vault_url, pattern) for pattern in self.allowed_vaults)

    def subscription(self, vault_url: str) -> str:
        """Which vaults are counted together with this one: those with the same answer.

        The data plane does not tell the subscription of a vault. Too few calls are better than
        too many, so what is not told apart is one.
        """
        named = (name for one, name in self.subscriptions.items() if _fits(vault_url, one))
        return next(named, "")


def _fits(vault_url: str, pattern: str) -> bool:
    """Whether a vault is meant: by its host, or by its name alone."""
    host = vault_url.removeprefix("https://")
    name, wanted = host.partition(".")[0], pattern.lower()
    return fnmatchcase(host, wanted) or fnmatchcase(name, wanted)
