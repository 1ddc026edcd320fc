"""A credential mode → an Azure credential: one for each mode and cloud, shared by all vaults.

`managed_identity` and `workload_identity` use exactly that and never fall through to secrets in
the environment, which is why each is built from its own class and not from the default chain.
"""

from collections.abc import Mapping
from typing import Any

from azure.core.credentials_async import AsyncTokenCredential
from azure.identity.aio import (
    ClientSecretCredential,
    DefaultAzureCredential,
    ManagedIdentityCredential,
    WorkloadIdentityCredential,
)

from app.connectors.azure_key_vault.config import CredentialMode
from app.errors import TargetUnauthenticated

_TENANT, _CLIENT, _SECRET = "AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"
_TOKEN_FILE = "AZURE_FEDERATED_TOKEN_FILE"  # noqa: S105 - the name of a variable
_UNUSABLE = "An AZURE_ variable in this service's environment has a value that cannot be used."


class Credentials:
    """The credentials of this service, made when first used and closed together.

    Args:
        environment: the process environment, read once at start.
        options: passed on to each credential, such as `transport`.
    """

    def __init__(self, environment: Mapping[str, str], **options: Any) -> None:  # noqa: ANN401 - the SDK's own options
        self._environment = environment
        self._options = options
        self._made: dict[tuple[CredentialMode, str], Any] = {}

    def get(self, mode: CredentialMode, authority: str) -> AsyncTokenCredential:
        """The credential of *mode* for the cloud whose login host is *authority*.

        Raises:
            TargetUnauthenticated: the environment does not hold what the mode needs.
        """
        made = self._made.get((mode, authority))
        if made is None:
            try:
                made = self._made[mode, authority] = self._make(mode, authority)
            except ValueError as error:  # the SDK does not take a variable's value
                raise TargetUnauthenticated(_UNUSABLE) from error
        found: AsyncTokenCredential = made
        return found

    async def aclose(self) -> None:
        """Close every credential."""
        while self._made:
            _, credential = self._made.popitem()
            await credential.close()

    def _make(self, mode: CredentialMode, authority: str) -> Any:  # noqa: ANN401 - four classes with no common base that closes
        host = self._environment.get("AZURE_AUTHORITY_HOST") or authority
        match mode:
            case CredentialMode.DEFAULT:
                return DefaultAzureCredential(authority=host, **self._options)
            case CredentialMode.MANAGED_IDENTITY:
                # The SDK does not read AZURE_CLIENT_ID by itself here, and a user-assigned
                # identity is not found without it.
                client = self._environment.get(_CLIENT) or None
                return ManagedIdentityCredential(client_id=client, **self._options)
            case CredentialMode.CLIENT_SECRET:
                tenant, client, secret = self._needed(mode, _TENANT, _CLIENT, _SECRET)
                return ClientSecretCredential(
                    tenant, client, secret, authority=host, **self._options
                )
            case CredentialMode.WORKLOAD_IDENTITY:  # pragma: no branch - the modes end here
                tenant, client, file = self._needed(mode, _TENANT, _CLIENT, _TOKEN_FILE)
                return WorkloadIdentityCredential(
                    tenant_id=tenant,
                    client_id=client,
                    token_file_path=file,
                    authority=host,
                    **self._options,
                )

    def _needed(self, mode: CredentialMode, *names: str) -> list[str]:
        missing = [name for name in names if not self._environment.get(name)]
        if missing:
            names_text = " and ".join(missing)
            text = f"credential_mode {mode} needs {names_text} in this service's environment."
            raise TargetUnauthenticated(text)
        return [self._environment[name] for name in names]
