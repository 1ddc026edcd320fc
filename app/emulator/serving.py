"""Uvicorn in a thread of its own: waits until it accepts, stops without waiting for clients.

The sockets are bound by the caller, so the ports are known before the thread starts.
"""

import asyncio
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_START_SECONDS = 30.0


class _Protocol(HttpToolsProtocol):
    """Lets the application cut its own connection, which ASGI has no word for."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        extended: dict[str, Any] = self.scope  # type: ignore[assignment] # a typed dict with an extra key
        extended["abort"] = self.transport.abort

    def shutdown(self) -> None:
        # the emulator stops like a machine losing power: no goodbye to wait for
        self.transport.abort()


class _Server(uvicorn.Server):
    """Says when it accepts connections."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    def stop(self) -> None:
        self.should_exit = self.force_exit = True


@dataclass(frozen=True, kw_only=True)
class Listener:
    """A bound socket and its TLS context (None: plain HTTP)."""

    bound: socket.socket
    tls: ssl.SSLContext | None

    @property
    def port(self) -> int:
        """The port it listens on."""
        port: int = self.bound.getsockname()[1]
        return port


def listen(host: str, port: int, tls: ssl.SSLContext | None) -> Listener:
    """Bind host and port (0: any free port). Raises OSError, which says it in a sentence."""
    try:
        return Listener(bound=socket.create_server((host, port), backlog=1024), tls=tls)
    except OSError as error:
        why = str(error.strerror).partition(" (while")[0]  # the rest repeats host and port
        raise OSError(f"Port {port} of {host} cannot be used: {why}.") from None


@contextmanager
def serving(application: ASGIApp, listeners: list[Listener]) -> Iterator[None]:
    """Serve the application on the listeners until the block ends."""
    servers = [_Server(_config(application, listener.tls)) for listener in listeners]
    thread = threading.Thread(
        target=_run, args=(servers, listeners), name="embedded-key-vault", daemon=True
    )
    thread.start()
    try:
        for server in servers:
            if not server.ready.wait(_START_SECONDS):
                raise TimeoutError("the embedded Key Vault did not start")
        yield
    finally:
        for server in servers:
            server.stop()
        thread.join()


def _config(application: ASGIApp, tls: ssl.SSLContext | None) -> uvicorn.Config:
    config = uvicorn.Config(
        application,
        http=_Protocol,
        lifespan="off",
        ws="none",
        # logging belongs to the process the emulator is a guest in
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=120,
    )
    config.load()
    config.ssl = tls
    return config


def _run(servers: list[_Server], listeners: list[Listener]) -> None:
    async def serve() -> None:
        pairs = zip(servers, listeners, strict=True)
        await asyncio.gather(*(server.serve([listener.bound]) for server, listener in pairs))

    with asyncio.Runner(loop_factory=servers[0].config.get_loop_factory()) as runner:
        runner.run(serve())
