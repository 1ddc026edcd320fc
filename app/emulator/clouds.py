"""The three Azure clouds: which vault names, which login host, which resource belong together.

The pairs are Azure's own; azure-identity and the Key Vault SDK hold the same table.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Cloud:
    """One cloud: vault suffix, host of the login service, audience of a Key Vault token."""

    suffix: str
    login: str

    @property
    def resource(self) -> str:
        """The audience a token must have, without trailing slash."""
        return f"https://{self.suffix.removeprefix('.')}"


PUBLIC = Cloud(suffix=".vault.azure.net", login="login.microsoftonline.com")
GOVERNMENT = Cloud(suffix=".vault.usgovcloudapi.net", login="login.microsoftonline.us")
CHINA = Cloud(suffix=".vault.azure.cn", login="login.chinacloudapi.cn")
CLOUDS = (PUBLIC, GOVERNMENT, CHINA)

LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1"})
LOGIN_HOSTS = frozenset(cloud.login for cloud in CLOUDS)
SERVER_NAMES = (
    *(f"*{cloud.suffix}" for cloud in CLOUDS),
    *(cloud.login for cloud in CLOUDS),
    "localhost",
)


def vault_of(host: str) -> tuple[str, Cloud] | None:
    """Name and cloud of the vault that a Host header (port allowed) means, or None."""
    bare = host.rpartition(":")[0] if ":" in host else host
    if bare in LOCAL_HOSTS:
        return "localhost", PUBLIC
    name, dot, rest = bare.partition(".")
    for cloud in CLOUDS:
        if name and dot + rest == cloud.suffix:
            return name, cloud
    return None
