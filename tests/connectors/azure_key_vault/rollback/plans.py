"""The plans: a vault before a deployment, and whether what it holds could be put back."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final

from app.connectors.azure_key_vault import previous
from app.deployment.model import Plan
from app.emulator.material import PEM
from tests.certificates import Authority, Issued, authority, rsa_key, self_signed
from tests.connectors.azure_key_vault.playground import NAME, Playground

SECRETS: Final = "secrets/getSecret/action"


@dataclass(frozen=True, kw_only=True)
class Issuance:
    """What is deployed, and everything that may have been there before; issued once."""

    new: Issued
    old: Issued
    of_the_same_key: Issued
    expired: Issued
    self_signed: Issued
    of_another_issuer: Issued
    new_rsa: Issued
    old_rsa: Issued


def issuance(ca: Authority) -> Issuance:
    new, of_rsa = ca.issue(), authority("RSA", rsa=True)
    return Issuance(
        new=new,
        old=ca.issue(),
        of_the_same_key=ca.issue(key=new.key),
        expired=ca.issue(days=-1),
        self_signed=self_signed("old.example", days=90),
        of_another_issuer=authority("Other").issue(),
        new_rsa=of_rsa.issue(key=rsa_key(2048)),
        old_rsa=of_rsa.issue(key=rsa_key(2048, 1)),
    )


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A vault before the deployment, and what is deployed."""

    new: Issued
    old: Issued | None = None
    previous_key: Issued | None = None
    force: bool = False


Set = Callable[[Playground, Issuance], Scene]


@dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """A rollback plan and how it comes about."""

    name: str
    plan: Plan
    set: Set
    reason: str | None = None
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def outlives_a_crash(self) -> bool:
        """Whether the key for the rollback is still to be had when the process has died."""
        return self.plan is Plan.SECRET


def _nothing_yet(play: Playground, issued: Issuance) -> Scene:
    return Scene(new=issued.new)


def _forced(play: Playground, issued: Issuance) -> Scene:
    play.store(issued.new)
    return Scene(new=issued.new, old=issued.new, force=True)


def _as_pfx(play: Playground, issued: Issuance) -> Scene:
    play.store(issued.old, tags={"owner": "web"})
    return Scene(new=issued.new, old=issued.old)


def _as_pem(play: Playground, issued: Issuance) -> Scene:
    play.store(issued.old, content_type=PEM)
    return Scene(new=issued.new, old=issued.old)


def _as_3des(play: Playground, issued: Issuance) -> Scene:
    play.store(issued.old, content_type=None)
    return Scene(new=issued.new, old=issued.old)


def _rsa(play: Playground, issued: Issuance) -> Scene:
    play.store(issued.old_rsa)
    return Scene(new=issued.new_rsa, old=issued.old_rsa)


def _with_previous_key(play: Playground, issued: Issuance) -> Scene:
    play.emulator.deny(action=SECRETS)
    return replace(_as_pfx(play, issued), previous_key=issued.old)


def _disabled_with_previous_key(play: Playground, issued: Issuance) -> Scene:
    return replace(_disabled(play, issued), previous_key=issued.old)


def _self_signed_with_previous_key(play: Playground, issued: Issuance) -> Scene:
    play.emulator.deny(action=SECRETS)
    play.store(issued.self_signed)
    return Scene(new=issued.new, old=issued.self_signed, previous_key=issued.self_signed)


def _with_same_key(play: Playground, issued: Issuance) -> Scene:
    play.emulator.deny(action=SECRETS, by="policy")
    play.store(issued.of_the_same_key, tags={"owner": "web"})
    return Scene(new=issued.new, old=issued.of_the_same_key)


def _no_role(play: Playground, issued: Issuance) -> Scene:
    play.emulator.deny(action=SECRETS)
    return _as_pfx(play, issued)


def _no_policy(play: Playground, issued: Issuance) -> Scene:
    play.emulator.deny(action=SECRETS, by="policy")
    return _as_pfx(play, issued)


def _not_exportable(play: Playground, issued: Issuance) -> Scene:
    scene = _as_3des(play, issued)
    play.change_policy(key_props={"exportable": False})
    return scene


def _not_exportable_pem(play: Playground, issued: Issuance) -> Scene:
    scene = _as_pem(play, issued)
    play.change_policy(key_props={"exportable": False})
    return scene


def _disabled(play: Playground, issued: Issuance) -> Scene:
    scene = _as_pfx(play, issued)
    play.vault.set_enabled(NAME, play.latest.version, False)
    return scene


def _expired(play: Playground, issued: Issuance) -> Scene:
    play.store(issued.expired)
    return Scene(new=issued.new, old=issued.expired)


def _other_issuer(play: Playground, issued: Issuance) -> Scene:
    play.emulator.deny(action=SECRETS)
    play.store(issued.of_another_issuer)
    return Scene(
        new=issued.new, old=issued.of_another_issuer, previous_key=issued.of_another_issuer
    )


FORCED = Case(name="same-certificate-forced", plan=Plan.NOT_NEEDED, set=_forced)
SECRET = Case(name="secret-pfx", plan=Plan.SECRET, set=_as_pfx)
PREVIOUS_KEY = Case(name="previous-key", plan=Plan.PREVIOUS_KEY, set=_with_previous_key)
SAME_KEY = Case(name="same-key", plan=Plan.SAME_KEY, set=_with_same_key)
CAN = (
    FORCED,
    SECRET,
    Case(name="secret-pem", plan=Plan.SECRET, set=_as_pem),
    Case(name="secret-3des", plan=Plan.SECRET, set=_as_3des),
    PREVIOUS_KEY,
    Case(
        name="previous-key-of-a-disabled-version",
        plan=Plan.PREVIOUS_KEY,
        set=_disabled_with_previous_key,
    ),
    Case(
        name="previous-key-of-a-self-signed-leaf",
        plan=Plan.PREVIOUS_KEY,
        set=_self_signed_with_previous_key,
    ),
    SAME_KEY,
)
RSA = Case(name="secret-rsa", plan=Plan.SECRET, set=_rsa)
FIRST = Case(name="first-import", plan=Plan.NOT_NEEDED, set=_nothing_yet)
CANNOT = tuple(
    Case(name=name, plan=Plan.IMPOSSIBLE, reason=reason, set=setting, options=options)
    for name, reason, setting, options in (
        ("no-role", previous.NO_PERMISSION, _no_role, {}),
        ("no-policy", previous.NO_PERMISSION, _no_policy, {}),
        ("not-asked", previous.NOT_ASKED, _as_pfx, {"read_previous_secret": "never"}),
        ("not-exportable", previous.NOT_EXPORTABLE, _not_exportable, {}),
        ("not-exportable-pem", previous.NOT_EXPORTABLE, _not_exportable_pem, {}),
        ("disabled", previous.DISABLED, _disabled, {}),
        ("expired", previous.EXPIRED, _expired, {}),
        ("other-issuer", previous.CHAIN_UNKNOWN, _other_issuer, {}),
    )
)
