"""An import is sent once; what is unclear is looked at before anything is sent again."""

from itertools import pairwise

import pytest

from app.connectors.azure_key_vault import Patience
from app.deployment.model import State
from app.emulator import Answer, Delay, Drop, Fault, ForgetTags, StaleRead
from tests.certificates import Issued
from tests.connectors.azure_key_vault.conftest import Open
from tests.connectors.azure_key_vault.middlebox import Middlebox
from tests.connectors.azure_key_vault.playground import NAME, Playground, serves

UNCLEAR = [
    *(
        pytest.param(Answer(status=status), Answer(status=status, applied=True), id=str(status))
        for status in (408, 500, 502, 503, 504, 599)
    ),
    pytest.param(Drop(), Drop(applied=True), id="dropped"),
]
ALWAYS = None


def on_import(effect: Answer | Drop, count: int | None = 1) -> Fault:
    return Fault(operation="import", effect=effect, count=count)


@pytest.mark.parametrize(("lost", "applied"), UNCLEAR)
async def test_an_unclear_import_that_did_not_land_is_sent_again_after_a_look(
    play: Playground, new: Issued, lost: Answer | Drop, applied: Answer | Drop
) -> None:
    run = await play.deploy(new, at={State.IMPORTING: [on_import(lost)]})

    assert run.final.state is State.SUCCEEDED
    assert play.imports() == 2
    assert ("import", "import") not in pairwise(play.calls)
    assert len(play.vault.versions(NAME)) == 1


@pytest.mark.parametrize(("lost", "applied"), UNCLEAR)
async def test_an_unclear_import_that_landed_is_not_sent_again(
    play: Playground, new: Issued, lost: Answer | Drop, applied: Answer | Drop
) -> None:
    run = await play.deploy(new, at={State.IMPORTING: [on_import(applied)]})

    assert run.final.state is State.SUCCEEDED
    assert run.final.version_id == play.latest.version
    assert play.imports() == 1


@pytest.mark.parametrize(("lost", "applied"), UNCLEAR)
async def test_an_import_without_a_clear_answer_is_sent_three_times_at_the_most(
    play: Playground, new: Issued, lost: Answer | Drop, applied: Answer | Drop
) -> None:
    run = await play.deploy(new, at={State.IMPORTING: [on_import(lost, ALWAYS)]})

    assert run.final.state is State.FAILED
    assert play.imports() == 3
    assert run.code in {"target-unavailable", "import-outcome-unknown"}


async def test_the_sdk_does_not_send_again_even_when_told_to_retry_after(
    play: Playground, new: Issued
) -> None:
    told = Answer(status=503, headers=(("Retry-After", "0"),))

    await play.deploy(new, at={State.IMPORTING: [on_import(told, ALWAYS)]})

    assert play.imports() == 3


@pytest.mark.parametrize(
    "status", [301, 302, 303, 307, 308], ids=["301", "302", "303", "307", "308"]
)
async def test_a_redirect_is_not_followed_with_a_key(
    play: Playground, new: Issued, status: int
) -> None:
    elsewhere = "https://elsewhere.vault.azure.net/certificates/api-prod/import?api-version=7.6"
    redirect = Answer(status=status, headers=(("Location", elsewhere),))

    run = await play.deploy(new, at={State.IMPORTING: [on_import(redirect, ALWAYS)]})

    assert run.final.state is State.FAILED
    assert run.code == "target-unavailable"
    assert {call.vault for call in play.emulator.calls if call.vault} == {"my-vault"}


async def test_a_throttled_import_is_sent_again(play: Playground, new: Issued) -> None:
    throttled = on_import(Answer(status=429, code="Throttled"), 2)

    run = await play.deploy(new, at={State.IMPORTING: [throttled]})

    assert run.final.state is State.SUCCEEDED
    assert play.imports() == 3
    assert len(play.vault.versions(NAME)) == 1


async def test_a_vault_that_keeps_throttling_ends_the_deployment_unchanged(
    play: Playground, new: Issued
) -> None:
    throttled = on_import(Answer(status=429, code="Throttled"), ALWAYS)

    run = await play.deploy(new, at={State.IMPORTING: [throttled]})

    assert run.final.state is State.FAILED
    assert run.code == "target-throttled"
    assert run.final.error is not None
    assert run.final.error.retryable
    assert play.vault.versions(NAME) == []


async def test_another_writer_who_came_while_we_were_throttled_is_not_overwritten(
    behind: Playground, box: Middlebox, new: Issued, old: Issued
) -> None:
    box.on("POST", "/import", status=429, body=b"{}", first=lambda: behind.store(old))

    run = await behind.deploy(new)

    assert run.final.state is State.SUPERSEDED
    assert serves(behind.vault, old)
    assert behind.imports() == 0


async def test_another_writer_who_came_with_an_unclear_answer_is_not_overwritten(
    behind: Playground, box: Middlebox, new: Issued, old: Issued
) -> None:
    box.on("POST", "/import", status=503, body=b"{}", first=lambda: behind.store(old))

    run = await behind.deploy(new)

    assert run.final.state is State.SUPERSEDED
    assert serves(behind.vault, old)
    assert behind.imports() == 0


@pytest.mark.parametrize(
    ("status", "code", "inner", "ours"),
    [
        (400, "BadParameter", None, "certificate-rejected"),
        (401, "Unauthorized", None, "target-unauthenticated"),
        (403, "Forbidden", "ForbiddenByRbac", "target-forbidden-rbac"),
        (403, "Forbidden", "ForbiddenByPolicy", "target-forbidden-policy"),
        (409, "Conflict", "ObjectIsDeletedButRecoverable", "name-soft-deleted"),
        (409, "Conflict", None, "target-conflict"),
        (413, "TooLarge", None, "certificate-rejected"),
    ],
)
async def test_a_clear_refusal_is_never_sent_again(
    play: Playground, new: Issued, status: int, code: str, inner: str | None, ours: str
) -> None:
    refused = on_import(Answer(status=status, code=code, inner=inner), ALWAYS)

    run = await play.deploy(new, at={State.IMPORTING: [refused]})

    assert run.final.state is State.FAILED
    assert run.code == ours
    assert play.imports() == 1
    assert run.final.error is not None
    assert run.final.error.answer is not None
    assert run.final.error.answer.status == status
    assert run.final.error.answer.inner_code == inner


@pytest.mark.parametrize(
    ("before", "end"), [("renewal", "rollback_failed"), ("first-import", "failed")]
)
async def test_an_unclear_import_that_cannot_be_looked_at_is_said_to_be_unknown(
    play: Playground, new: Issued, old: Issued, before: str, end: str
) -> None:
    if before == "renewal":
        play.store(old)
    blind = Fault(operation="get_certificate", effect=Answer(status=503), count=ALWAYS)

    run = await play.deploy(
        new, at={State.IMPORTING: [on_import(Answer(status=502, applied=True)), blind]}
    )

    assert run.final.state is State(end)
    assert run.code == "import-outcome-unknown"
    assert run.final.error is not None
    assert run.final.error.answer is not None  # of the import, not of the look
    assert run.final.error.answer.status == 502
    assert play.imports() == 1


async def test_an_unknown_outcome_that_had_landed_is_rolled_back(
    play: Playground, new: Issued, old: Issued
) -> None:
    play.store(old)
    blind = Fault(operation="get_certificate", effect=Answer(status=503), count=2)

    run = await play.deploy(
        new, at={State.IMPORTING: [on_import(Answer(status=503, applied=True)), blind]}
    )

    assert run.final.state is State.ROLLED_BACK
    assert run.code == "import-outcome-unknown"
    assert serves(play.vault, old)


async def test_a_rollback_with_as_many_tags_as_fit_is_known_again_after_an_unclear_answer(
    play: Playground, new: Issued, old: Issued
) -> None:
    many = {f"tag-{number}": "value" for number in range(12)}
    await play.deploy(old, config={"tags": many})
    blind = Fault(operation="get_certificate", effect=Answer(status=503), count=2)
    lost = Answer(status=503, applied=True)

    run = await play.deploy(
        new,
        at={State.IMPORTING: [on_import(lost), blind], State.ROLLING_BACK: [on_import(lost)]},
    )

    assert run.final.state is State.ROLLED_BACK
    assert serves(play.vault, old)
    assert len(play.latest.tags) == 15
    assert many.items() <= play.latest.tags.items()
    assert play.latest.tags["certctl-rollback-of"] == play.vault.versions(NAME)[-2].version


async def test_a_rollback_drops_a_strangers_tags_where_ours_would_not_fit(
    play: Playground, new: Issued, old: Issued
) -> None:
    reserved = {f"certctl-{number}": "value" for number in range(15)}
    play.store(old, tags=reserved)
    blind = Fault(operation="get_certificate", effect=Answer(status=503), count=2)

    run = await play.deploy(new, at={State.VERIFYING: [blind]})

    assert run.final.state is State.ROLLED_BACK
    assert len(play.latest.tags) == 15
    assert play.latest.tags["certctl-managed-by"] == "certctl"


async def test_a_later_clear_answer_does_not_speak_for_an_earlier_silence(
    play: Playground, new: Issued
) -> None:
    clear = Fault(operation="import", effect=Answer(status=503), nth=2, count=ALWAYS)

    run = await play.deploy(new, at={State.IMPORTING: [on_import(Answer(status=504)), clear]})

    assert run.final.state is State.FAILED
    assert run.code == "import-outcome-unknown"
    assert run.final.error is not None
    assert run.final.error.answer is not None
    assert run.final.error.answer.status == 503


async def test_an_import_that_shows_only_after_a_later_refusal_is_verified(
    play: Playground, old: Issued, new: Issued
) -> None:
    play.store(old)
    refused = Fault(operation="import", effect=Answer(status=403), nth=2)
    stale = Fault(operation="get_certificate", effect=StaleRead(), count=3)

    run = await play.deploy(
        new, at={State.IMPORTING: [on_import(Drop(applied=True)), refused, stale]}
    )

    assert run.final.state is State.SUCCEEDED
    assert serves(play.vault, new)
    assert play.imports() == 2


async def test_our_certificate_without_our_tags_is_known_after_an_unclear_answer(
    play: Playground, new: Issued, old: Issued
) -> None:
    play.store(old)
    faults = [
        on_import(Answer(status=503, applied=True)),
        Fault(operation="import", effect=ForgetTags()),
    ]

    run = await play.deploy(new, at={State.IMPORTING: faults})

    assert run.final.state is State.SUCCEEDED
    assert run.warnings == ["tags-differ"]
    assert play.imports() == 1


async def test_stale_looks_may_make_a_second_version_but_never_a_lie(
    play: Playground, new: Issued, old: Issued
) -> None:
    play.store(old)
    stale = Fault(operation="get_certificate", effect=StaleRead(), count=3)

    run = await play.deploy(
        new, at={State.IMPORTING: [on_import(Answer(status=503, applied=True)), stale]}
    )

    assert run.final.state is State.SUCCEEDED
    assert serves(play.vault, new)
    assert len(play.vault.versions(NAME)) == 3


async def test_an_import_that_shows_only_after_a_throttled_repetition_is_not_sent_a_third_time(
    play: Playground, new: Issued, old: Issued
) -> None:
    play.store(old)
    throttled = Fault(operation="import", effect=Answer(status=429), nth=2)
    stale = Fault(operation="get_certificate", effect=StaleRead(), count=3)

    run = await play.deploy(
        new, at={State.IMPORTING: [on_import(Answer(status=503, applied=True)), throttled, stale]}
    )

    assert run.final.state is State.SUCCEEDED
    assert play.imports() == 2
    assert len(play.vault.versions(NAME)) == 2


async def test_an_import_that_lands_after_its_time_out_is_found_before_it_is_sent_again(
    open_playground: Open, new: Issued
) -> None:
    patience = Patience(read=(0,), stale=(0,), unclear=(1, 0), throttled=())
    async with open_playground(patience=patience, read_timeout_s=0.2) as play:
        slow = Fault(operation="import", effect=Delay(seconds=0.4))

        run = await play.deploy(new, at={State.IMPORTING: [slow]})

        assert run.final.state is State.SUCCEEDED
        assert play.counted.count(("import_certificate", "none")) == 1
        assert ("import_certificate", "200") not in play.counted
        assert play.imports() == 1
        assert len(play.vault.versions(NAME)) == 1


@pytest.mark.parametrize("status", [400, 403, 409, 429])
async def test_a_clear_refusal_does_not_speak_for_an_earlier_import_without_an_answer(
    play: Playground, new: Issued, status: int
) -> None:
    refused = Fault(operation="import", effect=Answer(status=status), nth=2, count=ALWAYS)

    run = await play.deploy(new, at={State.IMPORTING: [on_import(Drop()), refused]})

    assert run.code == "import-outcome-unknown"
    assert State.ROLLING_BACK in [saved.state for saved in run.saved]
    assert run.final.error is not None
    assert run.final.error.answer is not None
    assert run.final.error.answer.status == status


async def test_an_import_that_lands_after_a_later_refusal_is_undone_not_denied(
    open_playground: Open, old: Issued, new: Issued
) -> None:
    late = (0.2,) * 20
    patience = Patience(read=(0,), stale=(0,), late=late, unclear=(0, 0), throttled=())
    async with open_playground(patience=patience, read_timeout_s=0.2) as play:
        play.store(old)
        slow = Fault(operation="import", effect=Delay(seconds=1))
        refused = Fault(operation="import", effect=Answer(status=403), nth=2)

        run = await play.deploy(new, at={State.IMPORTING: [slow, refused]})

        assert run.final.state is State.ROLLED_BACK
        assert serves(play.vault, old)


async def test_a_look_that_is_no_longer_fresh_is_repeated_before_the_import(
    play: Playground, old: Issued, new: Issued, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.connectors.azure_key_vault.before._FRESH_S", 0)
    play.store(old)

    run = await play.deploy(new, at={State.IMPORTING: [lambda: play.store(new)]})

    assert play.imports() == 0
    assert run.final.state is State.SUPERSEDED or serves(play.vault, new)


@pytest.mark.parametrize(
    "body",
    [b"<html>ok</html>", b"{}", b'{"id": "x"}', b"[]", b"\xff"],
    ids=["a-page", "empty", "no-certificate", "a-list", "no-text"],
)
async def test_a_success_that_cannot_be_read_is_looked_at(
    behind: Playground, box: Middlebox, new: Issued, body: bytes
) -> None:
    box.on("POST", "/import", status=200, body=body, passes=True)

    run = await behind.deploy(new)

    assert run.final.state is State.SUCCEEDED
    assert behind.imports() == 1


async def test_an_answer_that_breaks_off_is_looked_at(
    behind: Playground, box: Middlebox, new: Issued
) -> None:
    box.on("POST", "/import", status=200, cut=True, passes=True)

    run = await behind.deploy(new)

    assert run.final.state is State.SUCCEEDED
    assert behind.imports() == 1
