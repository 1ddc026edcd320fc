"""What Key Vault may reject is said before anything is sent: in the plan, and on the record."""

from typing import Final

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from app.connectors.azure_key_vault.limits import doubts
from app.deployment.connector import Held
from app.deployment.model import State
from app.emulator.material import PFX
from tests.certificates import Issued, authority, ec_key, rsa_key, self_signed
from tests.connectors.azure_key_vault.playground import Playground

DOUBT: Final = "rsa-signed-by-ec"


def issued(kind: str) -> Issued:
    below, _, above = kind.partition("-below-")
    key = rsa_key(2048) if below == "rsa" else ec_key()
    return authority(rsa=above == "rsa").issue(key=key)


@pytest.mark.parametrize("before", ["first-import", "renewal"])
async def test_an_rsa_leaf_below_an_ec_authority_is_doubted_in_the_plan(
    play: Playground, old: Issued, before: str
) -> None:
    if before == "renewal":
        play.store(old)
    new = issued("rsa-below-ec")

    standing = await play.connector.snapshot(play.deployment(new), Held(new.bundle()))

    assert [one.code for one in standing.warnings] == [DOUBT]
    assert "KeySizeNotSupported" in standing.warnings[0].message
    assert play.emulator.writes == 0


async def test_an_rsa_leaf_below_an_ec_authority_is_doubted_on_the_record_and_still_tried(
    play: Playground, old: Issued
) -> None:
    play.store(old)

    run = await play.deploy(issued("rsa-below-ec"))

    assert run.warnings == [DOUBT]
    assert (run.final.state, run.code) == (State.FAILED, "certificate-rejected")
    assert run.final.error is not None
    assert run.final.error.answer is not None
    assert run.final.error.answer.inner_code == "KeySizeNotSupported"
    assert play.imports() == 1
    assert len(play.vault.versions("api-prod")) == 1


async def test_what_the_vault_serves_already_is_not_doubted(play: Playground) -> None:
    new = issued("rsa-below-ec")
    play.store(new, content_type=PFX)

    run = await play.deploy(new)

    assert DOUBT not in run.warnings


@pytest.mark.parametrize("kind", ["rsa-below-rsa", "ec-below-ec", "ec-below-rsa"])
async def test_every_other_pair_of_keys_is_imported_without_a_doubt(
    play: Playground, kind: str
) -> None:
    run = await play.deploy(issued(kind))

    assert run.final.state is State.SUCCEEDED
    assert run.warnings == []


def test_a_self_signed_rsa_leaf_is_not_doubted() -> None:
    alone = self_signed("api.example.test", key=rsa_key(2048))

    assert isinstance(alone.leaf.public_key(), rsa.RSAPublicKey)
    assert doubts(alone.bundle()) == ()


def test_where_the_key_is_gone_nothing_is_doubted() -> None:
    assert doubts(None) == ()
