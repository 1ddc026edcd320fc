"""Azure Key Vault: certificates that Application Gateway, Front Door, App Service and others read.

Read `connector` first (the port), then `current` (whose version is it), `looking` (the snapshot),
`sending` (one import, never blindly twice), `previous` (what can be put back).
"""

from collections.abc import Callable, Mapping
from datetime import datetime

from app.connectors.azure_key_vault.config import AzureKeyVaultTarget, AzureOptions
from app.connectors.azure_key_vault.connector import AzureKeyVault
from app.connectors.azure_key_vault.patience import Patience
from app.connectors.azure_key_vault.vaults import Vaults

__all__ = ["AzureKeyVaultTarget", "AzureOptions", "Patience", "build"]

_USUAL = Patience()


def build(
    options: AzureOptions,
    *,
    environment: Mapping[str, str],
    counted: Callable[[str, str], None],
    now: Callable[[], datetime],
    patience: Patience = _USUAL,
) -> AzureKeyVault:
    """The connector, with nothing opened yet."""
    vaults = Vaults(options, environment, counted, patience)
    return AzureKeyVault(options, vaults, patience=patience, now=now)
