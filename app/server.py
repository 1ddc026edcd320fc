"""Listens, and stops with grace: the first SIGTERM drains, the second ends at once.

While it drains, readiness answers 503 and new work is refused, but whoever waits for a
deployment still gets its end, or at the end of the drain what is known of it.
"""

import asyncio
import contextlib
import gc
import signal
from collections.abc import Awaitable, Callable, Iterator
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
    host, metrics_port = settings.http.host, settings.http.metrics_port
    async with main.create_app(settings, part=part) as service:
        drain = partial(service.drain, within=settings.worker.drain_s)
        api = _Stopping(_config(service.app, host, settings.http.port), "service", drain)
        if metrics_port is not None:
            metrics = make_asgi_app(service.metrics.registry)
            api.beside = _Listening(_config(metrics, host, metrics_port), "metrics")
        _settle_memory()
        await asyncio.gather(*(server.serve() for server in (api, api.beside) if server))
        return 0 if api.came_up else 1


def _settle_memory() -> None:
    """Leave what was made at the start out of every search for cycles, and search more rarely.

    Each search among all that was imported holds everything up, for 0.1 s where this was measured,
    and all searches together took a tenth of a deployment's CPU.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS)


def _config(app: Any, host: str, port: int) -> uvicorn.Config:  # noqa: ANN401 - any ASGI app
    return uvicorn.Config(
        app,
        host=host,
        port=port,
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
