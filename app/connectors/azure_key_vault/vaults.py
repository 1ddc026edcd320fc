"""Clients of Key Vault: one for each vault and identity, over one shared session.

A client costs a challenge, a token and a TLS handshake when it is first used, so it is kept, up
to a bound; the one unused longest is closed first.
"""

import asyncio
import ssl
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from azure.core.pipeline.transport import AioHttpTransport
from azure.keyvault.certificates.aio import CertificateClient

from app.connectors.azure_key_vault.budgets import Budgets
from app.connectors.azure_key_vault.client import Counted, Vault
from app.connectors.azure_key_vault.config import AzureOptions, Place
from app.connectors.azure_key_vault.credentials import Credentials
from app.connectors.azure_key_vault.patience import Patience
from app.connectors.azure_key_vault.pipeline import policies


class Vaults:
    """Finds the client for a vault and an identity, and makes it where there is none yet.

    Args:
        options: the operator's settings.
        environment: the process environment, read once at start.
        counted: told of every answer of Key Vault.
        patience: how long to wait before asking again.
        budgets: what each vault admits.
    """

    def __init__(
        self,
        options: AzureOptions,
        environment: Mapping[str, str],
        counted: Counted,
        patience: Patience,
        budgets: Budgets,
    ) -> None:
        self._options = options
        self._patience = patience
        self._budgets = budgets
        self._environment = environment
        self._counted = counted
        self._trust = _trust(options.ca_bundle)
        self._open: _Open | None = None
        self._vaults: OrderedDict[Place, Vault] = OrderedDict()
        self._closing: set[asyncio.Task[None]] = set()

    def of(self, place: Place) -> Vault:
        """The vault of *place*, seen through its credential mode."""
        vault = self._vaults.get(place)
        if vault is None:
            vault = self._vaults[place] = self._make(place)
            self._forget_oldest()
        self._vaults.move_to_end(place)
        return vault

    async def aclose(self) -> None:
        """Close every client, then what they share."""
        while self._vaults:
            _, vault = self._vaults.popitem()
            await vault.aclose()
        await asyncio.gather(*self._closing)
        if self._open is not None:
            await self._open.aclose()
            self._open = None

    def _make(self, place: Place) -> Vault:
        if self._open is None:
            self._open = _Open(self._options, self._trust, self._environment, self._patience)
        credential = self._open.credentials.get(place.credential_mode, place.authority)
        client = CertificateClient(
            place.vault_url, credential, transport=self._open.transport(), **policies()
        )
        allowance = self._budgets.of(place.vault_url)
        return Vault(client, self._counted, self._patience.read, allowance)

    def _forget_oldest(self) -> None:
        if len(self._vaults) > self._options.most_vaults:
            _, vault = self._vaults.popitem(last=False)
            task = asyncio.create_task(vault.aclose())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)


class _Open:
    """What the clients share: a session, its connections, and the credentials."""

    def __init__(
        self,
        options: AzureOptions,
        trust: ssl.SSLContext,
        environment: Mapping[str, str],
        patience: Patience,
    ) -> None:
        self._options = options
        connector = aiohttp.TCPConnector(
            limit=0,  # the worker pool is the bound
            resolver=_resolver(options.connect_to),
            ssl=trust,
            keepalive_timeout=60,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=options.connect_to is None,
        )
        self.credentials = Credentials(
            environment, transport=self.transport(), retry_backoff_factor=patience.login
        )

    def transport(self) -> AioHttpTransport:
        """A transport over the shared session, which closing a client leaves open."""
        return AioHttpTransport(
            session=self._session,
            session_owner=False,
            connection_timeout=self._options.connect_timeout_s,
            read_timeout=self._options.read_timeout_s,
        )

    async def aclose(self) -> None:
        await self.credentials.aclose()
        await self._session.close()


class _Elsewhere(AbstractResolver):
    """Resolves every name to one address, as curl's `--connect-to` does.

    Names, TLS verification and the SDK's challenge check stay as they are. This machine's own
    name stays too: App Service and Container Apps give out identities there, over plain HTTP.
    """

    def __init__(self, address: str) -> None:
        self._host, _, port = address.rpartition(":")
        self._port = int(port)
        self._names = ThreadedResolver()

    async def resolve(self, host: str, port: int = 0, family: Any = 0) -> list[ResolveResult]:  # noqa: ANN401 - the base class's signature
        if host == "localhost":
            return await self._names.resolve(host, port, family=family)
        found = await self._names.resolve(self._host, self._port, family=family)
        return [{**one, "hostname": host} for one in found]

    async def close(self) -> None:
        await self._names.close()


def _resolver(connect_to: str | None) -> AbstractResolver | None:
    return _Elsewhere(connect_to) if connect_to else None


def _trust(ca_bundle: str | None) -> ssl.SSLContext:
    """Whom to trust; told at the start, not at the first deployment, if that cannot be read."""
    try:
        return ssl.create_default_context(cafile=ca_bundle)
    except OSError as error:  # also what the ssl module raises for a file without a certificate
        raise ValueError(f"AZURE__CA_BUNDLE {ca_bundle} cannot be read: {error}") from None
