"""Azure Key Vault: certificates that Application Gateway, Front Door, App Service and others read.

Read `connector` first (the port), then `whose` (whose version is it), `current` (looked at until
that is settled), `looking` (the snapshot), `before` (what is there before we act), `sending` (one
import, never blindly twice), `previous` (what can be put back), `budgets` (how many calls a vault
admits). Apart from all that, `wrapping` seals a queue with keys in a vault.
"""

from collections.abc import Callable, Mapping
from datetime import datetime

from app.connectors.azure_key_vault.budgets import Budgets
from app.connectors.azure_key_vault.config import AzureKeyVaultTarget, AzureOptions
from app.connectors.azure_key_vault.connector import AzureKeyVault
from app.connectors.azure_key_vault.patience import Patience
from app.connectors.azure_key_vault.vaults import Vaults
from app.connectors.azure_key_vault.wrapping import KeyVaultKeys

__all__ = ["AzureKeyVaultTarget", "AzureOptions", "Patience", "build", "build_wrapping"]

_USUAL = Patience()


def _all_of_it() -> float:
    return 1.0


def _told_nobody(operation: str, seconds: float) -> None:
    """A wait that nobody wants to know of."""


def build(  # noqa: PLR0913 - by name, what only the wiring has
    options: AzureOptions,
    *,
    environment: Mapping[str, str],
    counted: Callable[[str, str], None],
    now: Callable[[], datetime],
    waited: Callable[[str, float], None] = _told_nobody,
    share: Callable[[], float] = _all_of_it,
    patience: Patience = _USUAL,
) -> AzureKeyVault:
    """The connector, with nothing opened yet."""
    budgets = Budgets(options, share=share, waited=waited, patience=patience)
    vaults = Vaults(options, environment, counted, patience, budgets)
    return AzureKeyVault(options, vaults, patience=patience, now=now)


def build_wrapping(
    options: AzureOptions,
    *,
    environment: Mapping[str, str],
    counted: Callable[[str, str], None],
    waited: Callable[[str, float], None] = _told_nobody,
    share: Callable[[], float] = _all_of_it,
    patience: Patience = _USUAL,
) -> KeyVaultKeys | None:
    """What seals with the keys in `AZURE__SEALING_KEYS`, `None` where there are none."""
    if not options.sealing_keys:
        return None
    budgets = Budgets(options, share=share, waited=waited, patience=patience)
    return KeyVaultKeys(options, Vaults(options, environment, counted, patience, budgets))
