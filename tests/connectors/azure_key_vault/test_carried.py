"""Another writer who carries our tags over to a version of their own is not taken for us."""

from collections.abc import Callable

import orjson
import pytest

from app.deployment.connector import Held
from app.deployment.model import State
from app.emulator import Answer, Drop, Fault, StoreAnother
from tests.certificates import Issued, authority
from tests.connectors.azure_key_vault.middlebox import Middlebox
from tests.connectors.azure_key_vault.playground import NAME, Happenings, Playground, serves

SPOILED = Fault(operation="import", effect=StoreAnother())
LOST = Fault(operation="import", effect=Drop(applied=True))
BLIND = Fault(operation="get_certificate", effect=Answer(status=503), count=2)
THEIRS = authority("Stranger").issue("stranger.example")
Carries = Callable[[], object]


def carries(play: Playground, issued: Issued = THEIRS) -> Carries:
    """Somebody imports *issued* with the tags of the version that is current then."""
    return lambda: play.store(issued, tags=dict(play.latest.tags))


def overtaken_behind_a_stale_list(play: Playground, box: Middlebox, *, times: int) -> None:
    """Our import gets no answer, is overtaken at once, and lists show neither for a while."""
    page = orjson.dumps({"value": [{"id": f"{play.latest.version}"}], "nextLink": None})
    box.on("POST", "/import", status=504, passes=True, then=carries(play))
    box.on("GET", f"/certificates/{NAME}/versions", status=200, body=page, times=times)


async def test_tags_of_a_rollback_carried_over_to_a_newer_version_are_no_sign_of_ours(
    behind: Playground, box: Middlebox, old: Issued, new: Issued
) -> None:
    behind.store(old)
    overtaken = [lambda: box.on("POST", "/import", then=carries(behind))]

    run = await behind.deploy(new, at={State.IMPORTING: [SPOILED], State.ROLLING_BACK: overtaken})

    assert run.final.state is State.SUPERSEDED
    assert serves(behind.vault, THEIRS)
    assert behind.imports() == 2


async def test_tags_of_a_rollback_carried_over_during_a_crash_are_no_sign_of_ours(
    play: Playground, old: Issued, new: Issued
) -> None:
    play.store(old)
    died = await play.run(
        play.deployment(new),
        Held(new.bundle()),
        at={State.IMPORTING: [SPOILED]},
        dies=lambda reached: reached.state is State.ROLLED_BACK,
    )
    carries(play)()

    run = await play.run(died.final)

    assert run.final.state is State.SUPERSEDED
    assert serves(play.vault, THEIRS)
    assert play.imports() == 2


async def test_tags_of_a_full_rollback_without_our_id_are_told_apart_as_well(
    behind: Playground, box: Middlebox, old: Issued, new: Issued
) -> None:
    """With 15 tags the id of the deployment gives way to `certctl-rollback-of`."""
    await behind.deploy(old, config={"tags": {f"tag-{number}": "value" for number in range(12)}})
    overtaken = [lambda: box.on("POST", "/import", then=carries(behind))]

    run = await behind.deploy(new, at={State.IMPORTING: [SPOILED], State.ROLLING_BACK: overtaken})

    assert "certctl-deployment-id" not in behind.latest.tags
    assert run.final.state is State.SUPERSEDED


@pytest.mark.parametrize("versions", [1, 24, 25, 60])
async def test_an_import_that_no_answer_named_is_told_from_its_tags_on_a_newer_version(
    behind: Playground, box: Middlebox, old: Issued, new: Issued, versions: int
) -> None:
    for _ in range(versions):
        behind.store(old)
    lost = [lambda: box.on("POST", "/import", status=504, passes=True, then=carries(behind))]

    run = await behind.deploy(new, at={State.IMPORTING: lost})

    assert run.final.state is State.SUPERSEDED
    assert serves(behind.vault, THEIRS)
    assert behind.imports() == 1


@pytest.mark.parametrize("times", [1, 2])
async def test_a_list_without_the_version_in_question_says_nothing_of_whose_it_is(
    behind: Playground, box: Middlebox, old: Issued, new: Issued, times: int
) -> None:
    """It is older than that version, and lacks ours below it as well."""
    behind.store(old)
    overtaken_behind_a_stale_list(behind, box, times=times)

    run = await behind.deploy(new)

    assert run.final.state is State.SUPERSEDED
    assert run.final.version_id is None
    assert serves(behind.vault, THEIRS)
    assert behind.imports() == 1


async def test_a_version_that_no_list_shows_is_neither_taken_for_ours_nor_overwritten(
    behind: Playground, box: Middlebox, old: Issued, new: Issued
) -> None:
    behind.store(old)
    overtaken_behind_a_stale_list(behind, box, times=99)

    run = await behind.deploy(new)

    assert run.final.state is State.ROLLBACK_FAILED
    assert (run.code, run.final.version_id) == ("import-outcome-unknown", None)
    assert serves(behind.vault, THEIRS)
    assert behind.imports() == 1


async def test_an_import_found_by_the_rollback_is_told_from_its_tags_on_a_newer_version(
    play: Playground, old: Issued, new: Issued
) -> None:
    play.store(old)
    at: Happenings = {State.IMPORTING: [LOST, BLIND], State.ROLLING_BACK: [carries(play)]}

    run = await play.deploy(new, at=at)

    assert run.final.state is State.SUPERSEDED
    assert serves(play.vault, THEIRS)
    assert play.imports() == 1


async def test_what_the_vault_made_of_our_import_is_ours_where_nobody_else_bears_our_tags(
    play: Playground, old: Issued, new: Issued
) -> None:
    play.store(old)

    run = await play.deploy(new, at={State.IMPORTING: [SPOILED, LOST]})

    assert run.final.state is State.ROLLED_BACK
    assert serves(play.vault, old)
    assert play.calls.count("list_versions") == 1


async def test_versions_are_not_listed_where_what_is_served_is_what_was_sent(
    play: Playground, old: Issued, new: Issued
) -> None:
    play.store(old)

    await play.deploy(new, at={State.IMPORTING: [LOST]})
    await play.deploy(old, at={State.IMPORTING: [SPOILED]})

    assert "list_versions" not in play.calls


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (
            Answer(status=403, code="Forbidden", inner="ForbiddenByPolicy"),
            "target-forbidden-policy",
        ),
        (Answer(status=503), "target-unavailable"),
        (Answer(status=200, body="<html>"), "target-unavailable"),
        (Answer(status=200, body='{"value": 1}'), "target-unavailable"),
        (Answer(status=200, body='{"value": [{"id": 1}, 2]}'), "target-unavailable"),
    ],
    ids=["forbidden", "down", "a-page", "no-list", "no-versions"],
)
async def test_a_version_that_may_be_a_strangers_is_left_alone_where_it_cannot_be_told(
    play: Playground, old: Issued, new: Issued, answer: Answer, reason: str
) -> None:
    play.store(old)
    silent = Fault(operation="list_versions", effect=answer, count=None)
    at: Happenings = {State.IMPORTING: [LOST, BLIND], State.ROLLING_BACK: [carries(play), silent]}

    run = await play.deploy(new, at=at)

    assert run.final.state is State.ROLLBACK_FAILED
    assert run.final.rollback is not None
    assert run.final.rollback.reason == reason
    assert serves(play.vault, THEIRS)
    assert play.imports() == 1


async def test_the_next_page_of_versions_is_asked_of_the_same_vault_and_name(
    behind: Playground, box: Middlebox, old: Issued, new: Issued
) -> None:
    """A link to elsewhere would carry our token there."""
    behind.store(old)
    elsewhere = "https://elsewhere.vault.azure.net/certificates/other/versions?$skiptoken=MA%3D%3D"
    page = orjson.dumps({"value": [], "nextLink": elsewhere})
    box.on("GET", f"/certificates/{NAME}/versions", status=200, body=page)
    box.on("POST", "/import", status=504, passes=True, then=carries(behind))

    run = await behind.deploy(new)

    assert run.final.state is State.SUPERSEDED
    assert "elsewhere.vault.azure.net" not in box.hosts
    assert behind.calls.count("list_versions") == 1
