"""No byte of a key leaves memory: not in a log at its loudest, a record, an event, an error."""

import base64
import copy
import logging
import pickle
from typing import Any

import pytest

from app.connectors.azure_key_vault.answers import PFX, Secret
from app.connectors.azure_key_vault.previous import Previous
from app.deployment.connector import Held
from app.deployment.model import State
from app.emulator import Answer, Drop, Fault, StoreAnother
from app.emulator.material import PEM
from tests import certificates
from tests.certificates import Authority, Issued
from tests.connectors.azure_key_vault.playground import Happenings, Playground
from tests.connectors.azure_key_vault.secrecy import needles, written

WRONG = Fault(operation="import", effect=StoreAnother())
LOST = Fault(operation="import", effect=Answer(status=503, applied=True))
SCENES: dict[str, Happenings] = {
    "succeeds": {},
    "rolls-back": {State.IMPORTING: [WRONG]},
    "unclear": {State.IMPORTING: [WRONG, LOST], State.ROLLING_BACK: [LOST]},
    "dropped": {State.IMPORTING: [Fault(operation="import", effect=Drop(), count=None)]},
    "rejected": {
        State.IMPORTING: [Fault(operation="import", effect=Answer(status=400), count=None)]
    },
    "rollback-refused": {
        State.IMPORTING: [WRONG],
        State.ROLLING_BACK: [Fault(operation="import", effect=Answer(status=403), count=None)],
    },
}


@pytest.mark.parametrize("kept", ["pfx", "pem", "3des"])
@pytest.mark.parametrize("scene", SCENES.values(), ids=SCENES.keys())
async def test_no_key_is_logged_or_recorded(
    play: Playground,
    ca: Authority,
    caplog: pytest.LogCaptureFixture,
    scene: Happenings,
    kept: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("azure", "azure.core.pipeline.policies.http_logging_policy", "aiohttp", "asyncio"):
        caplog.set_level(logging.DEBUG, logger=name)
    old, new = ca.issue(), ca.issue()
    play.store(old, content_type={"pfx": PFX, "pem": PEM, "3des": None}[kept])

    run = await play.deploy(new, at=scene)

    text = caplog.text + written(run.saved)
    assert "azure" in caplog.text.lower()
    for needle in (*needles(old.key), *needles(new.key)):
        assert needle not in text
    assert play.emulator.client_secret not in text
    assert "PRIVATE KEY" not in text
    for version in play.vault.versions("api-prod"):
        assert version.value[40:80] not in text


async def test_no_rsa_key_is_logged_or_recorded(
    play: Playground, rsa_ca: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    new = rsa_ca.issue(key=certificates.rsa_key())
    play.store(rsa_ca.issue(key=certificates.rsa_key(2048, 1)))

    run = await play.deploy(new, previous_key=rsa_ca.issue(), at={State.IMPORTING: [WRONG]})

    text = caplog.text + written(run.saved)
    assert run.final.state is State.ROLLED_BACK
    for needle in (*needles(new.key), *needles(certificates.rsa_key(2048, 1))):
        assert needle not in text


@pytest.mark.parametrize("kind", ["EC", "RSA"])
async def test_the_search_would_find_a_key(play: Playground, ca: Authority, kind: str) -> None:
    """What is searched for is in what the vault holds, so that finding nothing means something."""
    issued = ca.issue(key=certificates.rsa_key() if kind == "RSA" else None)
    play.store(issued)

    assert any(needle in play.latest.value for needle in needles(issued.key))


def held_things(ca: Authority) -> dict[str, Any]:
    issued = ca.issue()
    secret = Secret(version_id="1", content_type=PFX, value=issued.key_pem, managed=True)
    return {
        "Secret": secret,
        "Previous": Previous(issued.leaf, secret, None),
        "Held": Held(issued.bundle()),
        "Bundle": issued.bundle(),
    }


@pytest.mark.parametrize("name", ["Secret", "Previous", "Held", "Bundle"])
def test_what_holds_a_key_cannot_be_printed_copied_or_pickled(ca: Authority, name: str) -> None:
    thing = held_things(ca)[name]
    said = rf"^(what is held|a {name}) .* a private key,? and is never copied or pickled$"

    assert repr(thing) == str(thing) == f"{thing}" == f"<{name}>"
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match=said):
            pickle.dumps(thing, protocol)
    with pytest.raises(TypeError, match=said):
        copy.copy(thing)
    with pytest.raises(TypeError, match=said):
        copy.deepcopy(thing)
    assert not hasattr(thing, "__dict__")


async def test_every_key_is_let_go_of_at_the_end(
    play: Playground, old: Issued, new: Issued
) -> None:
    play.store(old)
    bundle = new.bundle()
    held = Held(bundle, old.bundle().key)

    await play.run(play.deployment(new), held, at={State.IMPORTING: [WRONG]})

    assert (held.bundle, held.previous_key, held.previous) == (None, None, None)
    with pytest.raises(ValueError, match="dropped"):
        bundle.pfx()


@pytest.mark.parametrize(
    ("value", "content_type", "holds"),
    [
        ("-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----", PEM, True),
        ("-----BEGIN EC PRIVATE KEY-----\n", PEM, True),
        ("-----BEGIN CERTIFICATE-----\n", PEM, False),
        ("not base64!", PFX, False),
        ("", PFX, False),
        ("é", PFX, False),
        (base64.b64encode(b"anything").decode(), PFX, False),
    ],
    ids=["pem", "pem-sec1", "certificates-alone", "nonsense", "empty", "not-ascii", "no-bag"],
)
def test_whether_a_secret_holds_a_key_is_told_by_its_shape(
    value: str, content_type: str, holds: object
) -> None:
    secret = Secret(version_id="1", content_type=content_type, value=value, managed=True)

    assert secret.holds_key is holds
