"""Three replicas that are killed and started anew, each under a new port and with a new log."""

import signal
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

from tests.service.processes import Home, Process


class Replica:
    """A `python -m app serve` that may die; `url` is where its newest life listens."""

    def __init__(self, home: Home, settings: Mapping[str, str]) -> None:
        self._environment = home.environment(**settings)
        self._folder = home.folder
        self.lives: list[Process] = []
        self.url = ""

    @property
    def process(self) -> Process:
        return self.lives[-1]

    def start(self) -> None:
        """Begin to start; `ready` waits for it."""
        self.lives.append(Process(self._environment, self._folder))

    def ready(self) -> None:
        """Wait until it listens."""
        self.url = f"http://127.0.0.1:{self.process.until('service.listening')['port']}"

    def kill(self) -> None:
        self.process.signal(signal.SIGKILL)
        self.process.wait()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Inside it does nothing, and does not know; then it goes on as if nothing had been."""
        self.process.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.signal(signal.SIGCONT)

    def stop(self) -> int:
        """Ask it to end, and say its exit code."""
        self.process.signal(signal.SIGTERM)
        return self.process.wait()

    def end(self) -> None:
        for process in self.lives:
            process.end()


@contextmanager
def replicas(home: Home, settings: Mapping[str, str], many: int) -> Iterator[list[Replica]]:
    """So many of them, all ended with the block."""
    with ExitStack() as stack:
        made = [Replica(home, settings) for _ in range(many)]
        for replica in made:
            stack.callback(replica.end)
            replica.start()
        for replica in made:
            replica.ready()
        yield made
