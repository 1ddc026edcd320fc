"""What a vault can hold before a deployment, and how the deployment could then be undone."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from app.emulator.material import PEM, PFX
from tests.certificates import Issued
from tests.connectors.azure_key_vault.doings import SECRET, STRANGER, Stage
from tests.connectors.azure_key_vault.playground import NAME

_ROLLED_BACK_BEFORE: Final = {
    "certctl-managed-by": "certctl",
    "certctl-certificate-id": "mc-api-prod",
    "certctl-deployment-id": "dep-earlier",
    "certctl-rollback-of": "an-earlier-version",
    "env": "test",
}
_EARLIER: Final = STRANGER.issue()
_AS_MANY_TAGS_AS_FIT: Final = {f"tag-{number}": "x" for number in range(15)}


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A vault before a deployment.

    `previous_key` and `force` are what the caller says; `same_key` is a renewal with key reuse.
    """

    name: str
    set: Callable[[Stage], object]
    previous_key: bool = False
    same_key: bool = False
    asks: Mapping[str, Any] = field(default_factory=dict)


def _holds(on: Stage, *, issued: Issued | None = None, **how: Any) -> None:  # noqa: ANN401 - as `store` takes it
    """The current version, and an earlier one that a stale read shows."""
    on.play.store(_EARLIER, content_type=None)
    on.play.store(issued or on.old, **{"content_type": PFX, **how})


def _not_exportable(on: Stage) -> None:
    _holds(on)
    on.play.change_policy(key_props={"exportable": False})


def _expired(on: Stage) -> None:
    _holds(on)
    on.time_passes()


def _without_secrets(on: Stage, **how: Any) -> None:  # noqa: ANN401 - as `store` takes it
    on.denies(SECRET, "rbac")
    _holds(on, **how)


def _disabled(on: Stage) -> None:
    _holds(on)
    on.play.vault.set_enabled(NAME, on.play.latest.version, False)


SCENES: Final = (
    Scene(name="renewal", set=lambda on: _holds(on, tags={"owner": "web"})),
    Scene(name="first-import", set=lambda _: None),
    Scene(name="renewal-of-pem", set=lambda on: _holds(on, content_type=PEM)),
    Scene(name="renewal-of-3des", set=lambda on: _holds(on, content_type=None)),
    Scene(name="renewal-of-ours", set=lambda on: _holds(on, tags=_ROLLED_BACK_BEFORE)),
    Scene(name="renewal-of-many-tags", set=lambda on: _holds(on, tags=_AS_MANY_TAGS_AS_FIT)),
    Scene(name="renewal-with-previous-key", set=_without_secrets, previous_key=True),
    Scene(name="renewal-with-same-key", set=_without_secrets, same_key=True),
    Scene(name="renewal-that-cannot-be-undone", set=_without_secrets),
    Scene(name="renewal-of-a-key-that-stays", set=_not_exportable, previous_key=True),
    Scene(name="renewal-of-what-has-expired", set=_expired),
    Scene(name="renewal-of-a-disabled-version", set=_disabled, previous_key=True),
    Scene(
        name="same-certificate-forced",
        set=lambda on: _holds(on, issued=on.new),
        asks={"force": True},
    ),
)
