"""A sealed deployment: it opens whole, for itself alone, and tells nobody what is in it."""

import base64
import copy
import json
import pickle
import traceback
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap

from app.deployment.connector import Held
from app.deployment.model import Deployment
from app.errors import SealingKeyGone
from app.pki import PrivateKey
from app.sealing import Sealer, SealingKeys, Wrapped, new_sealing_key
from tests.certificates import Authority, Issued, ec_key, rsa_key, self_signed
from tests.connectors.azure_key_vault.secrecy import needles
from tests.deployment.making import deployment

_KEYS: Final[dict[str, Callable[[], PrivateKey]]] = {
    "rsa-2048": lambda: rsa_key(2048),
    "rsa-3072": lambda: rsa_key(3072),
    "rsa-4096": lambda: rsa_key(4096),
    "p-256": ec_key,
    "p-384": lambda: ec_key(ec.SECP384R1()),
    "p-521": lambda: ec_key(ec.SECP521R1()),
}
_OLD, _NEW = new_sealing_key(), new_sealing_key()


def sealer(*keys: str) -> Sealer:
    return Sealer(SealingKeys.read("\n".join(keys or (_NEW,))))


def without_checksum(pfx: bytes) -> bytes:
    """A PFX without the end of its MacData (RFC 7292): digest, fresh salt, 2048 rounds."""
    assert pfx.endswith(b"\x02\x02\x08\x00")
    return pfx[:-48]


@pytest.fixture(scope="module", name="issued")
def _issued(ca: Authority) -> Issued:
    return ca.issue()


@pytest.fixture(name="queued")
def _queued(issued: Issued) -> Deployment:
    return deployment(issued)


@pytest.fixture(name="held")
def _held(issued: Issued) -> Held:
    return Held(issued.bundle(), ec_key())


# ---- it opens whole


@pytest.mark.parametrize("key", _KEYS.values(), ids=_KEYS)
async def test_what_was_sealed_opens_to_the_very_pfx_whatever_the_key(
    key: Callable[[], PrivateKey], ca: Authority, queued: Deployment
) -> None:
    bundle = ca.issue(key=key()).bundle()

    opened = (await sealer().open(await sealer().seal(Held(bundle), queued), queued)).bundle

    assert opened is not None
    assert opened.chain
    assert (opened.leaf, opened.chain, opened.details) == (
        bundle.leaf,
        bundle.chain,
        bundle.details,
    )
    assert without_checksum(opened.pfx()) == without_checksum(bundle.pfx())


async def test_a_certificate_without_a_chain_opens_without_one(queued: Deployment) -> None:
    bundle = self_signed("api.example.test", days=90).bundle()

    opened = (await sealer().open(await sealer().seal(Held(bundle), queued), queued)).bundle

    assert opened is not None
    assert (opened.leaf, opened.chain) == (bundle.leaf, ())


@pytest.mark.parametrize("key", _KEYS.values(), ids=_KEYS)
async def test_the_previous_key_is_sealed_too(
    key: Callable[[], PrivateKey], issued: Issued, queued: Deployment
) -> None:
    previous = key()
    sealed = await sealer().seal(Held(issued.bundle(), previous), queued)

    opened = (await sealer().open(sealed, queued)).previous_key

    assert opened is not None
    assert opened.private_numbers() == previous.private_numbers()


async def test_no_previous_key_stays_none(issued: Issued, queued: Deployment) -> None:
    sealed = await sealer().seal(Held(issued.bundle()), queued)

    assert (await sealer().open(sealed, queued)).previous_key is None


async def test_it_still_opens_after_the_deployment_has_moved_on(
    held: Held, queued: Deployment
) -> None:
    sealed = await sealer().seal(held, queued)

    opened = await sealer().open(sealed, replace(queued, attempt=3, version_id="v1"))

    assert opened.bundle is not None


async def test_what_was_let_go_is_not_sealed(queued: Deployment) -> None:
    with pytest.raises(ValueError, match="nothing to seal"):
        await sealer().seal(Held(), queued)


# ---- for itself alone

_OTHERS: Final[dict[str, dict[str, Any]]] = {
    "another deployment": {"id": "dep-2"},
    "another target": {"address": "shelf/other"},
    "another kind of target": {"type": "Drawer"},
    "the same address, but a configuration that leads elsewhere": {"config": {"shelf": "other"}},
}


@pytest.mark.parametrize("other", _OTHERS.values(), ids=_OTHERS)
async def test_it_opens_for_no_other_deployment_or_target(
    other: dict[str, Any], held: Held, queued: Deployment
) -> None:
    sealed = await sealer().seal(held, queued)
    aim = {name: text for name, text in other.items() if name != "id"}
    elsewhere = replace(queued, id=other.get("id", queued.id), target=replace(queued.target, **aim))

    with pytest.raises(SealingKeyGone):
        await sealer().open(sealed, elsewhere)


async def test_it_opens_for_a_configuration_that_the_record_keeps_in_other_words(
    held: Held, queued: Deployment
) -> None:
    sent = {"b": "\0", "a": r"\u0000"}
    kept = {"a": r"\u0000", "b": "\ufffd"}  # a record has no order, and PostgreSQL no NUL
    sealed = await sealer().seal(held, replace(queued, target=replace(queued.target, config=sent)))

    opened = await sealer().open(
        sealed, replace(queued, target=replace(queued.target, config=kept))
    )

    assert opened.bundle is not None


async def test_no_character_of_it_can_be_changed(held: Held, queued: Deployment) -> None:
    sealed = await sealer().seal(held, queued)
    survived = []
    for at, character in enumerate(sealed):
        changed = sealed[:at] + chr(ord(character) ^ 1) + sealed[at + 1 :]
        try:
            await sealer().open(changed, queued)
        except SealingKeyGone:
            continue
        survived.append(at)

    assert not survived


_NONSENSE: Final[dict[str, str]] = {
    "empty": "",
    "no JSON": "{",
    "a list": "[1]",
    "a number": "7",
    "parts missing": '{"format":"certctl-connectors seal 1"}',
    "numbers for parts": '{"key":1,"nonce":2,"text":3,"key_id":4}',
}


@pytest.mark.parametrize("text", _NONSENSE.values(), ids=_NONSENSE)
async def test_what_is_no_seal_is_refused(text: str, queued: Deployment) -> None:
    with pytest.raises(SealingKeyGone):
        await sealer().open(text, queued)


_REWRITTEN: Final[dict[str, Callable[[dict[str, Any]], object]]] = {
    "another order": lambda found: dict(sorted(found.items(), reverse=True)),
    "one part more": lambda found: {**found, "more": ""},
    "another format": lambda found: {**found, "format": "certctl-connectors seal 2"},
    "a key id that is no text": lambda found: {**found, "key_id": [found["key_id"]]},
    "a key id with a letter that is not of ASCII": lambda found: {**found, "key_id": "\u00fc"},
    "half of the wrapped key": lambda found: {**found, "key": found["key"][:28]},
    "no nonce": lambda found: {**found, "nonce": ""},
    "no text": lambda found: {**found, "text": ""},
}


@pytest.mark.parametrize("rewrite", _REWRITTEN.values(), ids=_REWRITTEN)
async def test_a_seal_is_written_in_one_way_only(
    rewrite: Callable[[dict[str, Any]], object], held: Held, queued: Deployment
) -> None:
    sealed = await sealer().seal(held, queued)
    changed = json.dumps(rewrite(json.loads(sealed)), separators=(",", ":"))

    with pytest.raises(SealingKeyGone):
        await sealer().open(changed, queued)


async def test_a_data_key_of_an_odd_length_is_refused(held: Held, queued: Deployment) -> None:
    class Short(SealingKeys):
        async def unwrap(self, wrapped: Wrapped) -> bytes:
            return b"short"

    sealed = await sealer().seal(held, queued)

    with pytest.raises(SealingKeyGone):
        await Sealer(Short.read(_NEW)).open(sealed, queued)


# ---- rotation


async def test_the_newest_key_seals_and_the_old_one_still_opens(
    held: Held, queued: Deployment
) -> None:
    before = await sealer(_OLD).seal(held, queued)
    after = await sealer(_NEW, _OLD).seal(held, queued)

    assert (await sealer(_NEW, _OLD).open(before, queued)).bundle is not None
    assert (await sealer(_NEW).open(after, queued)).bundle is not None


async def test_without_its_sealing_key_it_stays_closed_for_ever(
    held: Held, queued: Deployment
) -> None:
    sealed = await sealer(_OLD).seal(held, queued)

    with pytest.raises(SealingKeyGone):
        await sealer(_NEW).open(sealed, queued)


async def test_it_says_which_sealing_key_opens_it_and_that_tells_nothing_of_the_key(
    held: Held, queued: Deployment
) -> None:
    old, new = [json.loads(await sealer(key).seal(held, queued)) for key in (_OLD, _NEW)]
    again = json.loads(await sealer(_OLD).seal(held, queued))

    assert old["key_id"] == again["key_id"] != new["key_id"]
    assert len(bytes.fromhex(old["key_id"])) == 8
    assert old["key_id"] not in base64.b64decode(_OLD).hex()


async def test_sealed_twice_it_has_nothing_in_common(held: Held, queued: Deployment) -> None:
    one, two = [json.loads(await sealer().seal(held, queued)) for _ in range(2)]

    assert not {one[part] for part in ("key", "nonce", "text")} & set(two.values())


async def test_it_is_ascii_that_needs_no_escape_in_json(held: Held, queued: Deployment) -> None:
    sealed = await sealer().seal(held, queued)

    assert sealed.isascii()
    assert sealed.isprintable()
    assert "\\" not in sealed


async def test_it_is_as_long_as_what_is_in_it_and_tells_no_more(issued: Issued) -> None:
    lengths = {
        len(await sealer().seal(Held(issued.bundle()), deployment(issued, id=own, metadata=told)))
        for own, told in (("dep-1", {}), ("a-much-longer-id", {"certificate_id": "mc-" * 40}))
    }

    assert len(lengths) == 1


# ---- the keys

# RFC 3394, section 4.6: 256 bits of key data with a 256-bit key-encryption key
_KEK: Final = bytes(range(32))
_DATA: Final = bytes.fromhex("00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f")
_ANSWER: Final = bytes.fromhex(
    "28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21"
)


async def test_a_data_key_is_wrapped_as_rfc_3394_says() -> None:
    keys = SealingKeys([_KEK])

    wrapped = await keys.wrap(_DATA)

    assert wrapped.key == _ANSWER
    assert await keys.unwrap(wrapped) == _DATA


async def test_a_fresh_sealing_key_is_read_and_seals_as_it_is_written() -> None:
    fresh = new_sealing_key()

    wrapped = await SealingKeys.read(f"{fresh}\n").wrap(_DATA)

    assert fresh != new_sealing_key()
    assert aes_key_unwrap(base64.b64decode(fresh), wrapped.key) == _DATA


@pytest.mark.parametrize("between", ["\n", ",", ", ", "\r\n", "\n\n"], ids=repr)
async def test_several_keys_stand_by_line_or_comma_the_newest_first(between: str) -> None:
    both = SealingKeys.read(f"{_NEW}{between}{_OLD}\n")

    assert await both.wrap(_DATA) == await SealingKeys.read(_NEW).wrap(_DATA)
    assert await both.unwrap(await SealingKeys.read(_OLD).wrap(_DATA)) == _DATA


_BAD: Final = {
    "too short": base64.b64encode(bytes(16)).decode(),
    "too long": base64.b64encode(bytes(33)).decode(),
    "no base64": "canary-canary-canary!",
    "hex": "ab" * 32,
    "not ASCII": "cänary",
}


@pytest.mark.parametrize("word", _BAD.values(), ids=_BAD)
def test_what_is_no_key_is_refused_by_its_place_and_never_repeated(word: str) -> None:
    with pytest.raises(ValueError, match=r"^Sealing key 2 is not base64 of 32 octets\.$") as caught:
        SealingKeys.read(f"{_NEW}\n{word}")

    assert word not in "".join(traceback.format_exception(caught.value))


def test_no_key_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="there must be one"):
        SealingKeys.read(" \n")


# ---- it tells nobody

_COPIES: Final[dict[str, Callable[[object], object]]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": pickle.dumps,
    "pickle-old": lambda keys: pickle.dumps(keys, protocol=0),
}


@pytest.mark.parametrize("copied", _COPIES.values(), ids=_COPIES)
def test_sealing_keys_cannot_be_copied(copied: Callable[[object], object]) -> None:
    with pytest.raises(TypeError, match="never copied or pickled"):
        copied(SealingKeys.read(_NEW))


def test_a_sealer_cannot_be_pickled_with_its_keys() -> None:
    with pytest.raises(TypeError, match="never copied or pickled"):
        pickle.dumps(sealer())


def test_sealing_keys_cannot_be_printed_or_looked_into() -> None:
    keys = SealingKeys.read(_NEW)

    assert f"{keys!r} {keys}" == "<SealingKeys> <SealingKeys>"
    with pytest.raises(TypeError):
        vars(keys)


async def test_neither_key_nor_data_key_is_in_anything_that_is_written(
    issued: Issued, queued: Deployment
) -> None:
    given = iter([_DATA, bytes(12)])
    keys = SealingKeys.read(_NEW)
    sealing = Sealer(keys, random=lambda _: next(given))
    sealed = await sealing.seal(Held(issued.bundle()), queued)
    told = [sealed, repr(sealing), repr(keys), repr(await keys.wrap(_DATA))]
    for text in (sealed[:-9] + sealed[-2:], sealed.replace("1", "2"), "{"):
        with pytest.raises(SealingKeyGone) as caught:
            await sealing.open(text, queued)
        told.append("".join(traceback.format_exception(caught.value)))

    everything = "\n".join(told)
    secrets = (_DATA, base64.b64decode(_NEW))
    assert isinstance(issued.key, ec.EllipticCurvePrivateKey)
    words = [*needles(issued.key), *(one.hex() for one in secrets)]
    words += [base64.b64encode(one).decode()[:40] for one in secrets]
    words += [repr(one)[2:42] for one in secrets]
    assert not [word for word in words if word in everything]
