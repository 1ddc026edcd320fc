"""The calls that vaults and subscriptions admit, so that we stay under that by ourselves.

Key Vault counts imports apart from all other calls, for each vault and for its subscription, and
answers 429 past that, without saying for how long. A process keeps to its share in memory, so that
a call in time costs microseconds and no round trip.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from math import inf
from typing import Final
from weakref import WeakValueDictionary

from app.connectors.azure_key_vault.bucket import Bucket, Share
from app.connectors.azure_key_vault.config import AzureOptions
from app.connectors.azure_key_vault.patience import Patience
from app.connectors.azure_key_vault.turns import Line, Turns

IMPORT: Final = "import_certificate"  # the one operation with a budget of its own
_THROTTLED: Final = 429
_SERVER_ERROR: Final = 500
_SPREAD: Final = 0.25  # how much longer a wait may be, so that replicas do not come back as one

Waited = Callable[[str, float], None]


class Backoff:
    """After a 429 no call of its kind goes to the vault for a while, for longer each time more.

    Args:
        patience: the seconds, one for each 429 in a row; the last one stays.
    """

    def __init__(self, patience: Patience) -> None:
        self._waits = patience.throttled
        self._chance = patience.chance
        self._until = -inf
        self._times = 0

    def left(self, now: float) -> float:
        """Seconds for which nobody may call."""
        return max(0.0, self._until - now)

    def answered(self, status: int, now: float) -> None:
        """The vault answered a call of this kind."""
        throttled = status == _THROTTLED
        if not (throttled or self._times) or now < self._until or not self._waits:
            return  # while everybody waits, only what was sent before is answered
        if throttled:
            self._times = min(self._times + 1, len(self._waits))
            self._until = now + self._waits[self._times - 1] * (1 + _SPREAD * self._chance())
        elif status < _SERVER_ERROR:
            self._times = 0


class Allowance:
    """What one vault admits us.

    Key Vault counts imports apart, so a throttled one holds up no read: an import that was taken
    is read back, whatever becomes of the next.
    """

    def __init__(self, imports: Turns, others: Turns, budgets: "Budgets") -> None:
        options, share = budgets.options, budgets.share
        self._importing, self._calling = Backoff(budgets.patience), Backoff(budgets.patience)
        imported, called = Bucket(options.vault_imports, share), Bucket(options.vault_calls, share)
        self._imports = Line(imports, imported, self._importing.left)
        self._others = Line(others, called, self._calling.left)
        self._waited = budgets.waited

    async def take(self, operation: str, *, first: bool = False) -> float:
        """Wait until the call *operation* may be sent, *first* of all; the seconds waited."""
        line = self._imports if operation == IMPORT else self._others
        return await line.take(partial(self._waited, operation), first=first)

    def answered(self, operation: str, status: int) -> None:
        """The vault answered the call *operation*."""
        backoff = self._importing if operation == IMPORT else self._calling
        backoff.answered(status, asyncio.get_running_loop().time())


class Budgets:
    """The allowances of all vaults; each is kept for as long as a client of its vault is.

    Args:
        options: the operator's settings.
        share: our part of every budget, over 0 and 1 at the most.
        waited: told of every call that waited, in vain too: the operation, and the seconds.
        patience: how long to wait after a 429.
    """

    def __init__(
        self,
        options: AzureOptions,
        *,
        share: Share,
        waited: Waited,
        patience: Patience,
    ) -> None:
        self.options = options
        self.share = share
        self.waited = waited
        self.patience = patience
        self._allowances: WeakValueDictionary[str, Allowance] = WeakValueDictionary()
        self._subscriptions: dict[str, tuple[Turns, Turns]] = {}  # as many as the settings name

    def of(self, vault_url: str) -> Allowance:
        """What the vault admits us, through whichever identity."""
        found = self._allowances.get(vault_url)
        if found is None:
            imports, others = self._turns(self.options.subscription(vault_url))
            found = self._allowances[vault_url] = Allowance(imports, others, self)
        return found

    def _turns(self, subscription: str) -> tuple[Turns, Turns]:
        options = self.options
        if subscription not in self._subscriptions:
            self._subscriptions[subscription] = (
                Turns(Bucket(options.subscription_imports, self.share)),
                Turns(Bucket(options.subscription_calls, self.share)),
            )
        return self._subscriptions[subscription]
