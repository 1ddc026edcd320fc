"""What a deployment left behind, to be looked at from every side."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from app.audit import Event
from app.deployment import trail
from app.deployment.model import Deployment, State
from app.emulator import StoredVersion
from tests.certificates import NOW
from tests.connectors.azure_key_vault.playground import NAME, Playground, holds
from tests.connectors.azure_key_vault.rollback.causes import Serves
from tests.connectors.azure_key_vault.rollback.plans import Scene

OTHERS: Final = {"stranger.example", "another-writer.example"}


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What a deployment left behind: everything saved of it, and the vault."""

    play: Playground
    scene: Scene
    before: Sequence[StoredVersion]
    begun: Deployment
    saved: tuple[Deployment, ...]

    @property
    def final(self) -> Deployment:
        return self.saved[-1]

    @property
    def states(self) -> set[State]:
        return {one.state for one in self.saved}

    @property
    def current(self) -> StoredVersion | None:
        return self.play.vault.latest(NAME)

    @property
    def history(self) -> list[StoredVersion]:
        gone = self.play.vault.deleted.get(NAME)
        return list(gone.entry.versions) if gone else self.play.vault.versions(NAME)

    @property
    def made(self) -> list[StoredVersion]:
        return self.history[len(self.before) :]

    @property
    def ours(self) -> list[StoredVersion]:
        return [one for one in self.made if cn(one) not in OTHERS]

    @property
    def events(self) -> list[Event]:
        return [trail.event(one, id=f"evt-{n}", at=NOW) for n, one in enumerate(self.saved)]

    def serves(self, what: Serves) -> bool:
        """Whether the vault serves this, proved with the key that its secret brings."""
        now, new, old, snapshot = self.current, self.scene.new, self.scene.old, self.final.snapshot
        if now is None:
            return what is Serves.NOTHING or (what is Serves.OLD and old is None)
        match what:
            case Serves.OLD:
                as_before = snapshot is not None and now.enabled is snapshot.enabled
                found = as_before and old is not None and holds(now, old)
            case Serves.NEW:
                found = now.enabled and holds(now, new)
            case Serves.DISABLED:
                found = not now.enabled and holds(now, new)
            case Serves.ANOTHER:
                found = cn(now) == "another.example"
            case Serves.STRANGERS:
                found = cn(now) in OTHERS
            case _:
                found = False
        return found


def cn(version: StoredVersion) -> str:
    """The common name in its certificate."""
    return str(version.certificate.subject.rdns[0].rfc4514_string()).removeprefix("CN=")
