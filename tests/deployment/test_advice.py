"""What a person is told to do when a rollback failed, by what was there before."""

from datetime import timedelta
from typing import Any, Final

import pytest

from app import errors
from app.deployment.failing import failed
from app.deployment.model import Plan, Rollback, Snapshot, State
from tests.certificates import NOW, Issued
from tests.deployment import making

RIGHT: Final = "import a certificate that is right."
BEFORE: Final[dict[str, Any]] = {
    "version_id": "v1",
    "serial": "01",
    "thumbprint": "before",
    "not_after": NOW + timedelta(days=1),
    "enabled": True,
    "managed_by_us": True,
}
DISABLED: Final = (
    f"Version v1 was there before, but is disabled: enable it first, then put it back, or {RIGHT}"
)
EXPIRED: Final = f"Version v1 was there before, but has expired: {RIGHT}"
TOLD: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "usable": ({}, f"Put back version v1, or {RIGHT}"),
    "disabled": ({"enabled": False}, DISABLED),
    "expired": ({"not_after": NOW}, EXPIRED),
    "expired-and-disabled": ({"not_after": NOW, "enabled": False}, EXPIRED),
}


@pytest.mark.parametrize(("changes", "told"), TOLD.values(), ids=TOLD)
def test_the_advice_is_one_that_can_be_followed(
    changes: dict[str, Any], told: str, issued: Issued
) -> None:
    rolling_back = making.deployment(
        issued,
        State.ROLLING_BACK,
        snapshot=Snapshot(**{**BEFORE, **changes}),
        rollback=Rollback(plan=Plan.SECRET),
        version_id="v2",
    )

    ended = failed(rolling_back, errors.TargetThrottled())

    assert ended.error is not None
    assert ended.error.message.endswith(f"serves now. Ours is version v2. {told}")
