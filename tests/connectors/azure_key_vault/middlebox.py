"""A box between us and the vault that ends TLS, as an inspecting proxy does.

It passes everything on to the emulator, unless a rule puts in an answer of its own, or something
happens just before a request is passed on.
"""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import aiohttp
from aiohttp import web

from app.emulator import Emulator, issuing

_HOP_BY_HOP = {"content-length", "transfer-encoding", "connection", "content-encoding"}


@dataclass(kw_only=True)
class Rule:
    """What to do with requests of a method to a path that holds a part."""

    method: str
    part: str
    times: int = 1
    waits: asyncio.Event | None = None
    first: Callable[[], object] | None = None
    then: Callable[[], object] | None = None
    status: int | None = None
    body: bytes = b""
    content_type: str = "application/json"
    cut: bool = False
    passes: bool = False

    def takes(self, request: web.Request) -> bool:
        found = self.times > 0 and request.method == self.method and self.part in request.path
        return found and ("oauth2" in self.part or "Authorization" in request.headers)


@dataclass(kw_only=True)
class Middlebox:
    """The running box."""

    emulator: Emulator
    to_vault: ssl.SSLContext
    port: int = 0
    ca_bundle: str = ""
    challenge: str | None = None
    compresses: bool = False
    cookie: str | None = None
    cookies: list[str] = field(default_factory=list)  # that came back
    hosts: set[str] = field(default_factory=set)
    rules: list[Rule] = field(default_factory=list)
    servers: list[asyncio.AbstractServer] = field(default_factory=list)
    transports: list[asyncio.WriteTransport] = field(default_factory=list)

    def on(self, method: str, part: str, **what: Any) -> None:  # noqa: ANN401 - the fields of Rule
        self.rules.append(Rule(method=method, part=part, **what))

    async def unplug(self) -> None:
        """Hang up on everybody and listen no more, and let the other side notice."""
        for server in self.servers:
            server.close()
        for transport in self.transports:
            transport.abort()
        for _ in range(50):
            await asyncio.sleep(0)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.hosts.add(request.host)
        self.cookies += request.cookies.values()
        assert request.transport is not None
        self.transports.append(cast(asyncio.WriteTransport, request.transport))
        rule = next((one for one in self.rules if one.takes(request)), None)
        if rule is None:
            return await self._pass_on(request, body)
        rule.times -= 1
        if rule.waits is not None:
            await rule.waits.wait()
        if rule.first is not None:
            rule.first()
        answer = await self._answered(rule, request, body)
        if rule.then is not None:
            rule.then()
        return answer

    async def _answered(self, rule: Rule, request: web.Request, body: bytes) -> web.StreamResponse:
        if rule.status is None:
            return await self._pass_on(request, body)
        if rule.passes:
            await self._pass_on(request, body)
        if rule.cut:
            return await _cut(request, rule)
        return web.Response(status=rule.status, body=rule.body, content_type=rule.content_type)

    async def _pass_on(self, request: web.Request, body: bytes) -> web.Response:
        url = f"https://127.0.0.1:{self.emulator.port}{request.path_qs}"
        headers = {name: value for name, value in request.headers.items() if _kept(name)}
        async with (
            aiohttp.ClientSession(auto_decompress=False) as session,
            session.request(
                request.method, url, headers=headers, data=body, ssl=self.to_vault
            ) as answer,
        ):
            kept = {name: value for name, value in answer.headers.items() if _kept(name)}
            if self.challenge is not None and "WWW-Authenticate" in kept:
                kept["WWW-Authenticate"] = self.challenge
            passed = web.Response(status=answer.status, body=await answer.read(), headers=kept)
        return self._touched(passed)

    def _touched(self, passed: web.Response) -> web.Response:
        if self.compresses:
            passed.enable_compression(web.ContentCoding.gzip)
        if self.cookie is not None:
            passed.set_cookie("box", self.cookie)
        return passed


def _kept(header: str) -> bool:
    return header.lower() not in _HOP_BY_HOP


async def _cut(request: web.Request, rule: Rule) -> web.StreamResponse:
    """Promise more than is sent."""
    assert rule.status is not None
    response = web.StreamResponse(status=rule.status, headers={"Content-Length": "10000"})
    await response.prepare(request)
    await response.write(rule.body or b"{")
    assert request.transport is not None
    cast(asyncio.WriteTransport, request.transport).abort()
    return response


@asynccontextmanager
async def between(emulator: Emulator, directory: Path) -> AsyncIterator[Middlebox]:
    """A box in front of *emulator*, with a certificate of its own."""
    authority = issuing.authority(now=time.time())
    file = directory / "middlebox.pem"
    file.write_text(authority.pem)
    box = Middlebox(
        emulator=emulator,
        to_vault=ssl.create_default_context(cadata=emulator.ca_pem),
        ca_bundle=str(file),
    )
    application = web.Application(client_max_size=1 << 20)
    application.router.add_route("*", "/{path:.*}", box.serve)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    context = issuing.tls_context(authority, now=time.time())
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    box.port = runner.addresses[0][1]
    assert site._server is not None  # noqa: SLF001 - to stop listening and nothing else
    box.servers.append(site._server)  # noqa: SLF001 - likewise
    try:
        yield box
    finally:
        await runner.cleanup()
