"""Listens, and stops with grace: the first SIGTERM drains, the second ends at once.

While it drains, readiness answers 503 and new work is refused, but whoever waits for a
deployment still gets its end.
"""

import asyncio
import contextlib
import signal
from collections.abc import Iterator
from typing import Any, Final

import structlog
import uvicorn
from prometheus_client import make_asgi_app

from app import main
from app.worker import Worker

_LAST_ANSWERS_S: Final = 5
_BACKLOG: Final = 2048


async def serve() -> int:
    """Serve as configured until told to stop; 0 when it had come up."""
    settings = main.read_settings()
    async with main.create_app(settings) as service:
        api = _Server(_config(service.app, settings.http.host, settings.http.port), service.worker)
        servers: list[uvicorn.Server] = [api]
        if settings.http.metrics_port is not None:
            metrics = make_asgi_app(service.metrics.registry)
            port = settings.http.metrics_port
            servers.append(_Quiet(_config(metrics, settings.http.host, port)))
        api.beside = servers[1:]
        await asyncio.gather(*(server.serve() for server in servers))
        return 0 if api.started else 1


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


class _Quiet(uvicorn.Server):
    """A server that leaves the signals to another."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


class _Server(uvicorn.Server):
    """The API's server: a signal drains the worker before it closes."""

    def __init__(self, config: uvicorn.Config, worker: Worker) -> None:
        super().__init__(config)
        self._worker = worker
        self._stopping: asyncio.Task[None] | None = None
        self.beside: list[uvicorn.Server] = []

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle SIGTERM and SIGINT on the event loop, and put back what was there."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal, number)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)

    async def startup(self, sockets: Any = None) -> None:  # noqa: ANN401 - uvicorn's signature
        """Listen, and say where."""
        await super().startup(sockets=sockets)
        if self.started:
            port = self.servers[0].sockets[0].getsockname()[1]
            structlog.get_logger().info("service.listening", host=self.config.host, port=port)

    def _on_signal(self, number: signal.Signals) -> None:
        """The first signal drains; a second one does not wait."""
        if self._stopping is None:
            structlog.get_logger().info("service.draining", signal=number.name)
            self._stopping = asyncio.get_running_loop().create_task(self._stop())
        else:
            self._close(force=True)

    async def _stop(self) -> None:
        await self._worker.drain()
        self._close(force=False)

    def _close(self, *, force: bool) -> None:
        for server in (self, *self.beside):
            server.should_exit = True
            server.force_exit = force
