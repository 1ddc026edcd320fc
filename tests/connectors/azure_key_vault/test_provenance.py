"""Where a version comes from is written on it; the id of a certificate only where one was sent."""

import pytest

from app.connectors.azure_key_vault import tags
from app.deployment.model import State
from tests.certificates import Issued
from tests.connectors.azure_key_vault.playground import Playground


async def test_an_imported_version_says_who_made_it_and_for_which_certificate(
    play: Playground, new: Issued
) -> None:
    run = await play.deploy(new, metadata={"certificate_id": "mc-api-prod"})

    assert run.final.state is State.SUCCEEDED
    assert play.latest.tags == {
        "env": "test",
        tags.MANAGED_BY: "certctl",
        tags.DEPLOYMENT_ID: run.final.id,
        tags.CERTIFICATE_ID: "mc-api-prod",
    }


async def test_without_an_id_of_the_certificate_there_is_no_such_tag(
    play: Playground, new: Issued
) -> None:
    run = await play.deploy(new, metadata={"job_id": "job-123"})

    assert run.final.state is State.SUCCEEDED
    assert tags.CERTIFICATE_ID not in play.latest.tags
    assert play.latest.tags[tags.MANAGED_BY] == "certctl"


@pytest.mark.parametrize("empty", ["", " ", "\t\n"], ids=repr)
def test_an_empty_id_is_refused_before_anything_is_sent(
    play: Playground, new: Issued, empty: str
) -> None:
    faults = play.connector.faults(play.target(), new.bundle(), {"certificate_id": empty})

    assert [(one.field, one.code) for one in faults] == [
        ("metadata.certificate_id", "certificate-id-empty")
    ]


def test_metadata_without_an_id_is_taken(play: Playground, new: Issued) -> None:
    assert play.connector.faults(play.target(), new.bundle(), {"job_id": ""}) == ()
