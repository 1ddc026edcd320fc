"""Listens, and stops with grace: the first SIGTERM drains, the second ends at once.

While it drains, readiness answers 503 and new work is refused, but whoever waits for a
deployment still gets its end, or at the end of the drain what is known of it.
"""

import asyncio
import contextlib
import gc
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, Final

import structlog
import uvicorn
from prometheus_client import make_asgi_app

from app import main
from app.parts import Part

_LAST_ANSWERS_S: Final = 5  # to take the answers of a drain; the service's own limit is shorter
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
_BACKLOG: Final = 2048
_NEW_OBJECTS: Final = 10_000  # until Python looks for cycles among them; 700 by default


async def serve(part: Part = Part.BOTH) -> int:
    """Serve as configured until told to stop; 0 when it had come up.

    Args:
        part: what of the service this process is.
    """
    settings = main.read_settings()
    http = settings.http
    wanted = {"HTTP__PORT": http.port, "HTTP__METRICS_PORT": http.metrics_port}
    async with AsyncExitStack() as stack:
        ports = _bound(stack, http.host, wanted)  # first: nothing is begun where nobody can listen
        service = await stack.enter_async_context(main.create_app(settings, part=part))
        drain = partial(service.drain, within=settings.worker.drain_s)
        api = _Stopping(_config(service.app, http.host), "service", drain)
        serving = [api.serve(ports["HTTP__PORT"])]
        if "HTTP__METRICS_PORT" in ports:
            metrics = make_asgi_app(service.metrics.registry)
            api.beside = _Listening(_config(metrics, http.host), "metrics")
            serving.append(api.beside.serve(ports["HTTP__METRICS_PORT"]))
        _settle_memory()
        await asyncio.gather(*serving)
        return 0 if api.came_up else 1


def _bound(
    stack: AsyncExitStack, host: str, wanted: Mapping[str, int | None]
) -> dict[str, list[socket.socket]]:
    """The sockets of each port that is *wanted*, bound to it; nobody can connect to them yet.

    Raises:
        OSError: one cannot be had.
    """
    found: dict[str, list[socket.socket]] = {}
    for name, port in wanted.items():
        if port is None:
            continue
        try:
            found[name] = [stack.enter_context(one) for one in _sockets(host, port)]
        except OSError as refusal:
            raise OSError(
                f"Nothing can listen on {host}, port {port}. Stop what listens there, or set "
                f"HTTP__HOST to an address of this machine and {name} to a free port."
            ) from refusal
    return found


def _sockets(host: str, port: int) -> Iterator[socket.socket]:
    """A socket for each address of *host*, as asyncio binds them."""
    for family, kind, protocol, _, address in socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    ):
        one = socket.socket(family, kind, protocol)
        try:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            one.bind(address)
        except OSError:
            one.close()
            raise
        yield one


def _settle_memory() -> None:
    """Leave what was made at the start out of every search for cycles, and search more rarely.

    Each search among all that was imported holds everything up, for 0.1 s where this was measured,
    and all searches together took a tenth of a deployment's CPU.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS)


def _config(app: Any, host: str) -> uvicorn.Config:  # noqa: ANN401 - any ASGI app
    return uvicorn.Config(
        app,
        host=host,
        loop="none",
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=_BACKLOG,
        timeout_graceful_shutdown=_LAST_ANSWERS_S,
    )


class _Listening(uvicorn.Server):
    """A server that says where it listens, and leaves signals alone."""

    def __init__(self, config: uvicorn.Config, name: str) -> None:
        super().__init__(config)
        self._name = name
        self.came_up = False

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield

    async def startup(self, sockets: Any = None) -> None:  # noqa: ANN401 - uvicorn's signature
        """Listen, and say where."""
        await super().startup(sockets=sockets)
        if self.started:
            self.came_up = True
            port = self.servers[0].sockets[0].getsockname()[1]
            structlog.get_logger().info(f"{self._name}.listening", host=self.config.host, port=port)


class _Stopping(_Listening):
    """The API's server: the first signal drains before it closes, a second one does not wait.

    Args:
        config: uvicorn's.
        name: what the log calls it.
        drain: finishes the work that was accepted.
    """

    def __init__(
        self, config: uvicorn.Config, name: str, drain: Callable[[], Awaitable[None]]
    ) -> None:
        super().__init__(config, name)
        self._drain = drain
        self._stopping: asyncio.Task[None] | None = None
        self.beside: uvicorn.Server | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle SIGTERM and SIGINT on the event loop while serving."""
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._on_signal, number)
        try:
            yield
        finally:
            for number in _SIGNALS:
                loop.remove_signal_handler(number)

    def _on_signal(self, number: signal.Signals) -> None:
        if self._stopping is None:
            structlog.get_logger().info("service.draining", signal=number.name)
            self._stopping = asyncio.get_running_loop().create_task(self._stop())
        else:
            self._stopping.cancel()
            self._close(force=True)

    async def _stop(self) -> None:
        try:
            await self._drain()
        finally:  # whatever went wrong, the process ends, and the next start goes on by looking
            self._close(force=False)

    def _close(self, *, force: bool) -> None:
        for server in (self, self.beside):
            if server is not None:
                server.should_exit = True
                server.force_exit = server.force_exit or force
