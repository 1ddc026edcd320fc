"""Whose version is current: told by its id, by our tags, and last by what it holds."""

from dataclasses import replace

import pytest

from app.connectors.azure_key_vault.answers import PEM, PFX, Version
from app.connectors.azure_key_vault.tags import ROLLBACK_OF
from app.connectors.azure_key_vault.whose import Whose, in_form_as_before, whose
from app.deployment.model import Deployment, Plan, Rollback
from tests.connectors.azure_key_vault.shown import (
    BEFORE,
    NEW,
    OLD,
    OTHER,
    OURS,
    THEIRS,
    importing,
    rolling_back,
    version,
)

TOLD = {
    "by-the-id-that-the-import-returned": (version(OTHER, "v-ours"), "v-ours", Whose.OURS),
    "by-our-tag": (version(OTHER, tags=OURS), None, Whose.OURS),
    "by-our-tag-on-our-certificate": (version(NEW, tags=OURS), "v-ours", Whose.OURS),
    "by-our-certificate-alone": (version(NEW), None, Whose.OURS),
    "as-before-by-its-id": (version(OLD, "v-before"), None, Whose.BEFORE),
    "our-tag-carried-to-another": (version(OTHER, tags=OURS), "v-ours", Whose.STRANGERS),
    "our-certificate-after-ours": (version(NEW), "v-ours", Whose.STRANGERS),
    "our-certificate-by-another": (version(NEW, tags=THEIRS), None, Whose.STRANGERS),
    "another-certificate": (version(OTHER), None, Whose.STRANGERS),
    "the-old-one-without-a-rollback": (version(OLD), None, Whose.STRANGERS),
}


@pytest.mark.parametrize(("latest", "known", "found"), TOLD.values(), ids=TOLD)
def test_whose_version_is_current_after_an_import_is_told(
    latest: Version, known: str | None, found: Whose
) -> None:
    assert whose(latest, importing(known)) is found


def test_nothing_there_is_as_before_only_where_nothing_was() -> None:
    assert whose(None, importing()) is Whose.GONE
    assert whose(None, replace(importing(), snapshot=None)) is Whose.BEFORE


UNDONE = {
    "by-both-our-tags": (version(OTHER, tags={**OURS, ROLLBACK_OF: "v-1"}), Whose.RESTORED),
    "by-the-version-it-undoes": (version(OTHER, tags={ROLLBACK_OF: "v-ours"}), Whose.RESTORED),
    "by-the-old-certificate-alone": (version(OLD), Whose.RESTORED),
    "ours-is-still-there": (version(OLD, "v-ours"), Whose.OURS),
    "it-was-never-replaced": (version(OLD, "v-before"), Whose.BEFORE),
    "another-rollback": (version(OTHER, tags={ROLLBACK_OF: "v-1"}), Whose.STRANGERS),
    "the-old-one-by-another": (version(OLD, tags=THEIRS), Whose.STRANGERS),
    "the-old-one-disabled": (version(OLD, enabled=False), Whose.STRANGERS),
    "the-old-one-as-pem": (
        version(OLD, policy={"secret_props": {"contentType": PEM}}),
        Whose.STRANGERS,
    ),
}


@pytest.mark.parametrize(("latest", "found"), UNDONE.values(), ids=UNDONE)
def test_whose_version_is_current_after_a_rollback_is_told(latest: Version, found: Whose) -> None:
    assert whose(latest, rolling_back()) is found


@pytest.mark.parametrize(
    "undoing",
    [replace(rolling_back(), snapshot=None), replace(rolling_back(), rollback=None)],
    ids=["nothing-was-there", "no-plan"],
)
def test_without_anything_to_put_back_no_version_is_our_rollback(undoing: Deployment) -> None:
    assert whose(version(OLD), undoing) is Whose.STRANGERS


@pytest.mark.parametrize(
    ("plan", "exportable", "same"),
    [
        (Plan.SAME_KEY, False, True),
        (Plan.SAME_KEY, True, False),
        (Plan.SECRET, True, True),
        (Plan.SECRET, False, False),
    ],
)
def test_a_secret_that_was_read_is_exportable_whatever_was_said_of_it(
    plan: Plan, exportable: object, same: object
) -> None:
    """A policy may be changed after its version was made, and then tells nothing of it."""
    sealed = replace(BEFORE, attributes={"content_type": PFX, "exportable": False})
    latest = version(OLD, policy={"key_props": {"exportable": exportable}})

    assert in_form_as_before(latest, sealed, Rollback(plan=plan)) is same
