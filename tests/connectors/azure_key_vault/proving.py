"""A deployment with troubles, and every promise about it held to."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from app import pki
from app.deployment.connector import Held
from app.deployment.model import State
from app.emulator import Fault, StoreAnother
from tests.certificates import Issued
from tests.connectors.azure_key_vault import invariants
from tests.connectors.azure_key_vault.auditor import Auditor, auditing
from tests.connectors.azure_key_vault.doings import Stage
from tests.connectors.azure_key_vault.overheard import overhearing
from tests.connectors.azure_key_vault.playground import Happening, Playground
from tests.connectors.azure_key_vault.secrecy import needles
from tests.connectors.azure_key_vault.troubles import Trouble, crashes, schedule
from tests.connectors.azure_key_vault.witness import Seen, Witness, witnessing

SPOILED: Final = Fault(operation="import", effect=StoreAnother())


class Proving:
    """A playground with a witness and an auditor."""

    def __init__(self, play: Playground, witness: Witness, auditor: Auditor) -> None:
        self.play = play
        self._witness = witness
        self._auditor = auditor
        self._needles: dict[str, tuple[str, ...]] = {}

    async def deploy(
        self,
        stage: Stage,
        troubles: Sequence[Trouble] = (),
        *,
        spoiled: bool = False,
        meanwhile: Sequence[Happening] = (),
        previous_key: Issued | None = None,
        **asks: Any,  # noqa: ANN401 - the fields of Deployment
    ) -> Seen:
        """Deploy while *troubles* happen, then hold the deployment to every promise.

        Args:
            stage: what is deployed.
            troubles: what goes wrong.
            spoiled: the vault stores another certificate, so that there is something to undo.
            meanwhile: what happens while a process that died is down.
            previous_key: whose key the caller sends for the rollback.
            asks: what else the caller says.
        """
        at = schedule(troubles, stage)
        if spoiled:
            at[State.IMPORTING] = [SPOILED, *at.get(State.IMPORTING, ())]
        begun = self.play.deployment(stage.new, **asks)
        held = Held(stage.new.bundle(), previous_key.bundle().key if previous_key else None)
        with overhearing(self.play) as heard:
            dies = crashes(troubles)
            seen = await self._witness.watch(begun, held, at=at, dies=dies, meanwhile=meanwhile)
            said = heard.taken()
        self.calm()
        invariants.hold(seen, self._auditor)
        invariants.keep_secrets(seen, said, self._of(stage.new, stage.old))
        return seen

    def calm(self) -> None:
        """No fault is in force any more, and no budget is spent."""
        self.play.emulator.faults.clear()
        self.play.emulator.throttle(None)

    def _of(self, *issued: Issued) -> Iterator[str]:
        """What would give away the keys of *issued*."""
        for one in issued:
            thumbprint = pki.thumbprint(one.leaf)
            if thumbprint not in self._needles:
                self._needles[thumbprint] = tuple(needles(one.key))
            yield from self._needles[thumbprint]


@contextmanager
def proving(play: Playground) -> Iterator[Proving]:
    """Prove what is deployed in *play*, until the block ends."""
    with witnessing(play) as witness, auditing(play.emulator) as auditor:
        yield Proving(play, witness, auditor)
