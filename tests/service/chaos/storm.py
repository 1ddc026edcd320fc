"""The storm: a vault that fails at random, replicas that are killed, a PostgreSQL that is away.

All that is random is drawn from one seed, so that a storm can be made again; how the processes
meet it differs each time.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from random import Random
from typing import Final

from app.emulator import Answer, Delay, Drop, Emulator, Fault, StaleRead, StoreAnother
from app.emulator.effects import Effect, Effects
from app.emulator.faults import Operation, Programme
from tests.postgres import Postgres
from tests.service.chaos.judge import Lie
from tests.service.chaos.replicas import Replica

Draw = Callable[[Random], Effect]
_WEATHER: Final[Sequence[tuple[Operation, Draw]]] = (
    ("import", lambda _: Answer(status=503, code="ServiceUnavailable")),
    ("import", lambda _: Answer(status=503, code="ServiceUnavailable", applied=True)),
    ("import", lambda _: Answer(status=429, code="Throttled")),
    ("import", lambda _: Drop()),
    ("import", lambda _: Drop(applied=True)),
    ("import", lambda random: Delay(seconds=random.uniform(0.1, 1))),
    ("import", lambda random: Delay(seconds=random.uniform(0.1, 1))),
    ("import", lambda _: StoreAnother()),
    ("get_certificate", lambda _: Answer(status=500)),
    ("get_certificate", lambda _: Drop()),
    ("get_certificate", lambda random: Delay(seconds=random.uniform(0.1, 1))),
    ("get_certificate", lambda _: StaleRead()),
    ("get_secret", lambda _: Answer(status=503, code="ServiceUnavailable")),
    ("get_secret", lambda random: Delay(seconds=random.uniform(0.1, 1))),
    ("token", lambda _: Answer(status=503, code="temporarily_unavailable")),
)


def dice(seed: int, what: str) -> Random:
    """The dice of one part of the storm."""
    return Random(f"{seed} {what}")  # noqa: S311 - no secret depends on them


def target_of(vault: str | None, name: str | None) -> str:
    """How the tests name a target."""
    return f"{vault}/{name}"


class Weather(Programme):
    """The emulator's fault programme, which remembers whom it lied to."""

    def __init__(self) -> None:
        super().__init__()
        self.lies: list[Lie] = []

    def take(self, operation: str, vault: str | None, name: str | None) -> Effects:
        effects = super().take(operation, vault, name)
        if effects.has(StaleRead):
            self.lies.append(Lie(target=target_of(vault, name), at=datetime.now(UTC)))
        return effects

    @contextmanager
    def changing(self, random: Random) -> Iterator[None]:
        """Something else goes wrong again and again, as long as the block lasts."""
        over = threading.Event()
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(self._change, random, over)
            try:
                yield
            finally:
                over.set()
            running.result()
        self.clear()

    def _change(self, random: Random, over: threading.Event) -> None:
        while not over.wait(random.uniform(0.1, 0.5)):
            operation, draw = random.choice(_WEATHER)
            nth, count = random.randint(1, 3), random.randint(1, 2)
            self.add(Fault(operation=operation, effect=draw(random), nth=nth, count=count))


@contextmanager
def weather(emulator: Emulator) -> Iterator[Weather]:
    """The weather at the emulator, as long as the block lasts."""
    before, emulator.state.faults = emulator.state.faults, Weather()
    try:
        yield emulator.state.faults
    finally:
        emulator.state.faults = before


class Storm:
    """Kills replicas, freezes some for too long, and ends PostgreSQL once; all come back."""

    def __init__(
        self, replicas: Sequence[Replica], weather: Programme, postgres: Postgres, random: Random
    ) -> None:
        self._replicas = replicas
        self._weather = weather
        self._postgres = postgres
        self._random = random
        self._over = threading.Event()

    def rage(self, seconds: float, *, calm: float) -> None:
        """Rage for so long, with PostgreSQL away in the middle, and leave all be at the end."""
        self._strike(within=seconds / 2)
        with self._postgres.away():
            self._pass(0.5, 2)
        self._strike(within=seconds / 2)
        self._pass(calm, calm)

    def _strike(self, within: float) -> None:
        over = threading.Timer(within, self._over.set)
        over.start()
        self._kill()
        while not self._over.wait(self._random.uniform(0.5, 3)):
            self._random.choice([self._kill, self._kill, self._freeze])()
        self._over.clear()

    def _kill(self) -> None:
        """Kill one or two when it hurts most, while imports are under way; start them again."""
        self._let_imports_last()
        victims = self._random.sample(self._replicas, self._random.choice([1, 1, 2]))
        for victim in victims:
            victim.kill()
        self._pass(0, 2)
        for victim in victims:
            victim.start()
        for victim in victims:
            victim.ready()

    def _freeze(self) -> None:
        """Freeze one for long enough to be taken over, or not; half of the time while it sends."""
        if self._random.random() < 0.5:
            self._let_imports_last()
        with self._random.choice(self._replicas).frozen():
            self._pass(1, 8)

    def _let_imports_last(self) -> None:
        self._weather.add(Fault(operation="import", effect=Delay(seconds=1), count=12))
        self._pass(0.3, 1)

    def _pass(self, least: float, most: float) -> None:
        self._over.wait(self._random.uniform(least, most))
