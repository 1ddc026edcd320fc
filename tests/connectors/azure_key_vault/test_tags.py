"""The tags that tell where a version comes from, and what gives way where 15 are all."""

from dataclasses import replace
from typing import Final

import pytest

from app.connectors.azure_key_vault import tags
from app.deployment.model import Deployment
from tests.certificates import self_signed
from tests.deployment.making import deployment

OURS: Final = deployment(self_signed("api.example.test"))  # its own tags are env and team
MANAGED: Final = "certctl-managed-by"
ID: Final = "certctl-deployment-id"
CERTIFICATE: Final = "certctl-certificate-id"
UNDOES: Final = "certctl-rollback-of"
NAMELESS: Final = replace(OURS, metadata={})


def many(count: int) -> dict[str, str]:
    return {f"tag-{number}": "value" for number in range(count)}


def test_an_import_is_tagged_with_the_callers_tags_and_with_where_it_comes_from() -> None:
    told = {MANAGED: "certctl", ID: "dep-1", "env": "test", "team": "web"}

    assert tags.for_import(OURS) == {**told, CERTIFICATE: "mc-api"}
    assert tags.for_import(NAMELESS) == told


@pytest.mark.parametrize(
    ("undoing", "before", "named"),
    [
        (OURS, {}, {CERTIFICATE: "mc-api"}),
        (OURS, {CERTIFICATE: "mc-old"}, {CERTIFICATE: "mc-old"}),
        (NAMELESS, {}, {}),
    ],
    ids=["managed-by-nobody", "managed", "without-an-id"],
)
def test_what_is_put_back_bears_its_own_tags_and_says_what_it_undoes(
    undoing: Deployment, before: dict[str, str], named: dict[str, str]
) -> None:
    before = {"env": "old", ID: "dep-0", **before}
    ours = {MANAGED: "certctl", ID: "dep-1", UNDOES: "v-2"}

    assert tags.for_rollback(undoing, before, "v-2") == {"env": "old", **ours, **named}


@pytest.mark.parametrize(
    ("before", "kept", "id_kept"),
    [(11, 11, True), (12, 12, False), (13, 12, False), (15, 12, False)],
)
def test_past_15_tags_the_id_of_the_deployment_goes_first_and_then_the_last_of_the_old_ones(
    before: int, kept: int, id_kept: object
) -> None:
    found = tags.for_rollback(OURS, many(before), "v-2")

    id_ = {ID: "dep-1"} if id_kept else {}
    ours = {MANAGED: "certctl", UNDOES: "v-2", CERTIFICATE: "mc-api"}
    assert found == {**many(kept), **ours, **id_}


@pytest.mark.parametrize(
    ("changed", "same"),
    [
        ({ID: "dep-2"}, True),
        ({UNDOES: "v-2"}, True),
        ({CERTIFICATE: "mc-other"}, False),
        ({"env": "production"}, False),
        ({"new": ""}, False),
    ],
    ids=lambda one: next(iter(one)) if isinstance(one, dict) else None,
)
def test_versions_are_tagged_the_same_whichever_deployment_made_them(
    changed: dict[str, str], same: object
) -> None:
    usual = tags.for_import(OURS)

    assert tags.same({**usual, **changed}, usual) is same
    assert tags.same(usual, {**usual, **changed}) is same
