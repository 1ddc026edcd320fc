"""Acts a deployment out, in two runs where the process dies in between."""

from collections.abc import Callable, Sequence
from functools import partial

from app.deployment.connector import Held
from app.deployment.model import Deployment, State
from app.emulator import Fault
from tests.connectors.azure_key_vault import playground
from tests.connectors.azure_key_vault.playground import NAME, Crashed, Playground
from tests.connectors.azure_key_vault.rollback.causes import Cause, Happening
from tests.connectors.azure_key_vault.rollback.ends import Dies, Meets
from tests.connectors.azure_key_vault.rollback.plans import Case, Issuance, Scene
from tests.connectors.azure_key_vault.rollback.seen import Seen


async def acted_out(
    play: Playground, issued: Issuance, case: Case, cause: Cause, meets: Meets
) -> Seen:
    """What a deployment leaves behind."""
    scene = case.set(play, issued)
    before = play.vault.versions(NAME)
    begun = play.deployment(scene.new, force=scene.force)
    at = _happenings(play, cause, meets)
    run = await play.run(begun, _held(scene), at=at, dies=_dies(meets))
    saved = run.saved
    if meets.dies is not None:
        assert not run.final.final
        await play.happen(_bound(play, meets.again))
        saved += (await play.run(run.final)).saved  # with nothing held
    return Seen(play=play, scene=scene, before=before, begun=begun, saved=saved)


def _held(scene: Scene) -> Held:
    return Held(scene.new.bundle(), scene.previous_key.bundle().key if scene.previous_key else None)


def _happenings(play: Playground, cause: Cause, meets: Meets) -> playground.Happenings:
    begins = meets.dies is Dies.BEFORE_THE_ROLLBACK_BEGINS
    return {
        State.IMPORTING: _bound(play, cause.importing),
        State.VERIFYING: _bound(play, cause.verifying),
        State.ROLLING_BACK: [*_bound(play, meets.happenings), *([_crash] * begins)],
    }


def _bound(play: Playground, happenings: Sequence[Happening]) -> list[playground.Happening]:
    return [one if isinstance(one, Fault) else partial(one, play) for one in happenings]


def _dies(meets: Meets) -> Callable[[Deployment], bool]:
    match meets.dies:
        case Dies.BEFORE_THE_ROLLBACK_IS_SAVED:
            return lambda reached: reached.state is State.ROLLING_BACK
        case Dies.BEFORE_THE_END_IS_SAVED:
            return lambda reached: reached.final
        case _:
            return lambda _: False


def _crash() -> None:
    raise Crashed
