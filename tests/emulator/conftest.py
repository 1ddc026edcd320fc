import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import aiohttp
import httpx
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from azure.core.pipeline.transport import AioHttpTransport
from azure.identity.aio import ClientSecretCredential
from azure.keyvault.certificates._shared import http_challenge_cache
from azure.keyvault.certificates.aio import CertificateClient

from app.emulator import Emulator

VAULT = "https://my-vault.vault.azure.net"


@pytest.fixture(scope="session")
def running() -> Iterator[Emulator]:
    emulator = Emulator(control=True)
    with emulator.running(plain_port=0):
        yield emulator


@pytest.fixture
def emulator(running: Emulator) -> Emulator:
    running.reset()
    return running


@pytest.fixture(scope="session")
def trust(running: Emulator) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=running.ca_pem)


class Raw(httpx.Client):
    """Plain HTTP to a vault, with a valid token unless told otherwise."""

    def __init__(self, emulator: Emulator, trust: ssl.SSLContext) -> None:
        self.emulator = emulator
        super().__init__(
            base_url=f"https://127.0.0.1:{emulator.port}",
            verify=trust,
            params={"api-version": "7.6"},
            headers={"Host": VAULT.removeprefix("https://"), "Authorization": self.bearer()},
            timeout=10,
        )

    def bearer(self, audience: str = "https://vault.azure.net") -> str:
        client_id = self.emulator.client_id
        return "Bearer " + self.emulator.tokens.issue(audience=audience, client_id=client_id)

    def send_import(self, value: str, name: str = "api", **body: object) -> httpx.Response:
        return self.post(f"/certificates/{name}/import", json={"value": value, **body})


@pytest.fixture
def http(emulator: Emulator, trust: ssl.SSLContext) -> Iterator[Raw]:
    with Raw(emulator, trust) as client:
        yield client


class EveryHostIsHere(AbstractResolver):
    """Any name leads to the emulator, as curl's --connect-to."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        address = ResolveResult(
            hostname=host, host="127.0.0.1", port=self.port, family=family, proto=0, flags=0
        )
        return [address]

    async def close(self) -> None:
        pass


@pytest.fixture
async def transport(emulator: Emulator, trust: ssl.SSLContext) -> AsyncIterator[AioHttpTransport]:
    http_challenge_cache.clear()
    connector = aiohttp.TCPConnector(ssl=trust, resolver=EveryHostIsHere(emulator.port))
    async with aiohttp.ClientSession(connector=connector) as session:
        yield AioHttpTransport(session=session, session_owner=False)


@asynccontextmanager
async def sdk_client(
    emulator: Emulator, transport: AioHttpTransport, url: str = VAULT, authority: str | None = None
) -> AsyncIterator[CertificateClient]:
    where = {"authority": authority} if authority else {}
    async with (
        ClientSecretCredential(
            emulator.tenant_id,
            emulator.client_id,
            emulator.client_secret,
            transport=transport,
            **where,
        ) as credential,
        CertificateClient(url, credential, transport=transport) as client,
    ):
        yield client


@pytest.fixture
async def sdk(emulator: Emulator, transport: AioHttpTransport) -> AsyncIterator[CertificateClient]:
    async with sdk_client(emulator, transport) as client:
        yield client
