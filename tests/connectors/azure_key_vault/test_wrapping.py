"""Sealing with keys in a vault: over the real SDK, before an embedded Key Vault."""

import copy
import logging
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
from azure.keyvault.certificates._shared import http_challenge_cache
from pydantic import ValidationError
from structlog.testing import capture_logs

from app.connectors import REGISTRY, OpenWrapping
from app.connectors.azure_key_vault import AzureOptions
from app.connectors.azure_key_vault.answers import KeyResult, key_result
from app.deployment.connector import Held
from app.emulator import Answer, Budgets, Drop, Emulator, Fault, Vault
from app.errors import SealingKeyGone, SealingUnavailable
from app.sealing import Sealer, Wrapped
from tests.certificates import Issued, rsa_key
from tests.connectors.azure_key_vault.playground import AT_ONCE, CALLS_OF_LOGIN, environment
from tests.deployment.making import deployment

README: Final = (Path(__file__).parents[3] / "README.md").read_text()
DATA_KEY: Final = bytes(range(32))
KEY: Final = "https://sealing-vault.vault.azure.net/keys/queue"
OTHER: Final = "https://other-vault.vault.azure.net/keys/queue"
CREATED: Final = ("wrapKey", "unwrapKey")
OpenKeys = Callable[..., AbstractAsyncContextManager[OpenWrapping]]


def uncounted(operation: str, status: str) -> None:
    """Nobody counts here."""


def vault(emulator: Emulator, key: str = KEY) -> Vault:
    return emulator.vault(key.removeprefix("https://").partition(".")[0])


def add_key(emulator: Emulator, key: str = KEY, which: int = 0) -> str:
    """A new version of the key; the address of it."""
    made = vault(emulator, key).add_key(
        key.rpartition("/")[2], rsa_key(2048, which), operations=CREATED, enabled=True
    )
    return f"{key}/{made.version}"


def disable(emulator: Emulator, key_id: str) -> None:
    _, name, version = key_id.rsplit("/", 2)
    vault(emulator, key_id).set_key_enabled(name, version, False)  # noqa: FBT003 - reads like the attribute


def operations(emulator: Emulator) -> list[str]:
    return [one.operation for one in emulator.calls if one.operation not in CALLS_OF_LOGIN]


@asynccontextmanager
async def opened(
    emulator: Emulator,
    ca_bundle: str,
    *keys: str,
    variables: dict[str, str] | None = None,
    counted: Callable[[str, str], None] = uncounted,
    **options: Any,  # noqa: ANN401 - the fields of AzureOptions
) -> AsyncIterator[OpenWrapping]:
    http_challenge_cache.clear()
    usual = {
        "connect_to": f"127.0.0.1:{emulator.port}",
        "ca_bundle": ca_bundle,
        "sealing_keys": keys or (KEY,),
        "sealing_credential_mode": "client_secret",
    }
    made = REGISTRY["AzureKeyVault"].build_wrapping(
        AzureOptions(**{**usual, **options}),
        environment=environment(emulator) if variables is None else variables,
        counted=counted,
        patience=AT_ONCE,
    )
    assert made is not None
    try:
        yield made
    finally:
        await made.aclose()


@pytest.fixture(name="open_keys")
def _open_keys(emulator: Emulator, ca_bundle: str) -> OpenKeys:
    return partial(opened, emulator, ca_bundle)


@pytest.fixture(name="first")
def _first(emulator: Emulator) -> str:
    """The address of the first version of the key."""
    return add_key(emulator)


@pytest.fixture(name="keys")
async def _keys(open_keys: OpenKeys, first: str) -> AsyncIterator[OpenWrapping]:
    async with open_keys() as made:
        yield made


# ---- what it does


async def test_what_was_sealed_with_a_key_in_a_vault_is_opened_by_it(
    keys: OpenWrapping, first: str, new: Issued
) -> None:
    queued = deployment(new)
    bundle = new.bundle()

    sealed = await Sealer(keys).seal(Held(bundle), queued)
    opened = (await Sealer(keys).open(sealed, queued)).bundle

    assert first in sealed
    assert opened is not None
    assert opened.leaf == bundle.leaf
    assert opened.key.private_numbers() == bundle.key.private_numbers()


async def test_a_seal_is_one_call_and_so_is_each_opening_as_no_data_key_is_kept(
    keys: OpenWrapping, emulator: Emulator
) -> None:
    wrapped = await keys.wrap(DATA_KEY)

    opened = [await keys.unwrap(wrapped), await keys.unwrap(wrapped)]

    assert opened == [DATA_KEY, DATA_KEY]
    assert operations(emulator) == ["wrap_key", "unwrap_key", "unwrap_key"]


async def test_a_rotated_key_seals_with_its_new_version_and_opens_with_the_old_one(
    keys: OpenWrapping, emulator: Emulator, first: str
) -> None:
    before = await keys.wrap(DATA_KEY)
    second = add_key(emulator, which=1)

    after = await keys.wrap(DATA_KEY)

    assert (before.key_id, after.key_id) == (first, second)
    assert [await keys.unwrap(one) for one in (before, after)] == [DATA_KEY, DATA_KEY]


async def test_a_pinned_version_goes_on_sealing_after_a_rotation(
    open_keys: OpenKeys, emulator: Emulator, first: str
) -> None:
    add_key(emulator, which=1)

    async with open_keys(first) as pinned:
        wrapped = await pinned.wrap(DATA_KEY)

    assert wrapped.key_id == first


async def test_the_first_listed_key_seals_and_the_others_still_open(
    open_keys: OpenKeys, emulator: Emulator, keys: OpenWrapping
) -> None:
    before = await keys.wrap(DATA_KEY)
    other = add_key(emulator, OTHER, which=1)

    async with open_keys(OTHER, KEY) as both:
        after = await both.wrap(DATA_KEY)

        assert after.key_id == other
        assert [await both.unwrap(one) for one in (before, after)] == [DATA_KEY, DATA_KEY]


async def test_the_two_data_actions_that_the_readme_names_suffice(
    keys: OpenWrapping, emulator: Emulator
) -> None:
    told = README.partition("## What a database changes for keys\n")[2].partition("\n## ")[0]
    least = re.findall(r"`(Microsoft\.KeyVault/vaults/[^`]+)`", told)
    assert len(least) == 2
    emulator.assign(emulator.client_id, least, vault="sealing-vault", name="queue")

    assert await keys.unwrap(await keys.wrap(DATA_KEY)) == DATA_KEY


async def test_each_use_of_a_key_is_counted_with_its_operation(
    open_keys: OpenKeys, emulator: Emulator
) -> None:
    add_key(emulator)
    counted: list[tuple[str, str]] = []

    async with open_keys(counted=lambda *answer: counted.append(answer)) as keys:
        await keys.unwrap(await keys.wrap(DATA_KEY))

    assert counted == [("wrap_key", "200"), ("unwrap_key", "200")]


async def test_a_key_may_be_named_as_its_path_is(open_keys: OpenKeys, emulator: Emulator) -> None:
    key = f"{KEY.rpartition('/')[0]}/keys"
    made = add_key(emulator, key)

    async with open_keys(key) as keys:
        wrapped = await keys.wrap(DATA_KEY)

        assert wrapped.key_id == made
        assert await keys.unwrap(wrapped) == DATA_KEY


async def test_a_throttled_or_failing_vault_is_asked_once_more(
    keys: OpenWrapping, emulator: Emulator
) -> None:
    for effect in (Answer(status=429), Answer(status=503)):
        emulator.faults.add(Fault(operation="wrap_key", effect=effect))

        await keys.wrap(DATA_KEY)

    assert operations(emulator) == ["wrap_key"] * 4


# ---- gone for ever


async def test_what_no_listed_key_wrapped_is_gone_and_no_vault_is_asked(
    open_keys: OpenKeys, keys: OpenWrapping, emulator: Emulator
) -> None:
    wrapped = await keys.wrap(DATA_KEY)
    asked = len(emulator.calls)

    async with open_keys(OTHER) as others:
        with pytest.raises(SealingKeyGone):
            await others.unwrap(wrapped)

    assert len(emulator.calls) == asked


async def test_another_version_than_the_pinned_one_is_gone(
    open_keys: OpenKeys, emulator: Emulator, first: str
) -> None:
    second = add_key(emulator, which=1)

    async with open_keys(second) as pinned:
        with pytest.raises(SealingKeyGone):
            await pinned.unwrap(Wrapped(key_id=first, key=bytes(256)))


@pytest.mark.parametrize(
    "key_id",
    [
        "",
        KEY,
        f"{KEY}/",
        f"{KEY}/../../secrets/api",
        f"{KEY}/{'0' * 32}/../..",
        f"{KEY}x/{'0' * 32}",
        f"{KEY}/{'0' * 31}",
        f"{KEY}/{'0' * 32}?x=1",
    ],
)
async def test_what_is_no_version_of_a_listed_key_is_never_asked_for(
    keys: OpenWrapping, emulator: Emulator, key_id: str
) -> None:
    with pytest.raises(SealingKeyGone):
        await keys.unwrap(Wrapped(key_id=key_id, key=bytes(256)))

    assert not emulator.calls


async def test_a_version_that_is_not_there_is_gone(keys: OpenWrapping) -> None:
    with pytest.raises(SealingKeyGone):
        await keys.unwrap(Wrapped(key_id=f"{KEY}/{'0' * 32}", key=bytes(256)))


async def test_a_disabled_version_is_gone(
    keys: OpenWrapping, emulator: Emulator, first: str
) -> None:
    wrapped = await keys.wrap(DATA_KEY)
    disable(emulator, first)

    with capture_logs() as logs, pytest.raises(SealingKeyGone):
        await keys.unwrap(wrapped)

    assert [(one["event"], one["azure_inner_code"]) for one in logs] == [
        ("sealing.key_gone", "KeyDisabled")
    ]


async def test_what_was_tampered_with_is_gone(keys: OpenWrapping) -> None:
    wrapped = await keys.wrap(DATA_KEY)
    changed = bytes([wrapped.key[0] ^ 1]) + wrapped.key[1:]

    with pytest.raises(SealingKeyGone):
        await keys.unwrap(Wrapped(key_id=wrapped.key_id, key=changed))


# ---- not now

_TROUBLES: Final[dict[str, Answer | Drop]] = {
    "throttled": Answer(status=429, code="Throttled"),
    "failing": Answer(status=503),
    "cut off": Drop(),
    "a proxy's 404": Answer(status=404, body="<html>not found</html>"),
    "an operation the key is not for": Answer(
        status=403, code="Forbidden", inner="KeyOperationForbidden"
    ),
    "no JSON": Answer(status=200, body="fine"),
    "no base64": Answer(status=200, body=f'{{"kid": "{KEY}/{"0" * 32}", "value": "#"}}'),
    "no key": Answer(status=200, body='{"kid": "https://example.test", "value": "AAAA"}'),
    "another key": Answer(status=200, body=f'{{"kid": "{OTHER}/{"0" * 32}", "value": "AAAA"}}'),
    "no version": Answer(status=200, body=f'{{"kid": "{KEY}", "value": "AAAA"}}'),
}


@pytest.mark.parametrize("effect", _TROUBLES.values(), ids=_TROUBLES)
async def test_what_may_work_later_is_said_to_be_unavailable_and_nothing_is_given_up(
    keys: OpenWrapping, emulator: Emulator, effect: Answer | Drop
) -> None:
    wrapped = await keys.wrap(DATA_KEY)
    for operation in ("wrap_key", "unwrap_key"):
        emulator.faults.add(Fault(operation=operation, effect=effect, count=None))

    with capture_logs() as logs:
        with pytest.raises(SealingUnavailable):
            await keys.wrap(DATA_KEY)
        with pytest.raises(SealingUnavailable):
            await keys.unwrap(wrapped)

    assert [(one["event"], one["operation"], one["key"]) for one in logs] == [
        ("sealing.unavailable", "wrap_key", KEY),
        ("sealing.unavailable", "unwrap_key", wrapped.key_id),
    ]
    for one in logs:
        assert ("wrap and unwrap" in one["advice"]) is one["code"].startswith("target-forbidden")
    emulator.faults.clear()
    assert await keys.unwrap(wrapped) == DATA_KEY


async def test_a_missing_permission_is_told_to_the_operator(
    keys: OpenWrapping, emulator: Emulator
) -> None:
    wrapped = await keys.wrap(DATA_KEY)
    emulator.deny(action="keys/unwrap/action")

    with capture_logs() as logs, pytest.raises(SealingUnavailable):
        await keys.unwrap(wrapped)

    [line] = logs
    assert (line["code"], line["azure_inner_code"]) == ("target-forbidden-rbac", "ForbiddenByRbac")
    assert (line["azure_status"], line["azure_code"]) == (403, "Forbidden")
    assert line["azure_request_id"] is not None
    assert "wrap and unwrap" in line["advice"]
    assert line["key"] == wrapped.key_id


async def test_nothing_is_sealed_with_a_disabled_key(
    keys: OpenWrapping, emulator: Emulator, first: str
) -> None:
    disable(emulator, first)

    with pytest.raises(SealingUnavailable):
        await keys.wrap(DATA_KEY)


async def test_nothing_is_sealed_with_a_key_that_is_not_there(open_keys: OpenKeys) -> None:
    async with open_keys() as keys:
        with pytest.raises(SealingUnavailable):
            await keys.wrap(DATA_KEY)


async def test_without_an_identity_nothing_is_sealed(open_keys: OpenKeys, first: str) -> None:
    async with open_keys(variables={}) as keys:
        with capture_logs() as logs, pytest.raises(SealingUnavailable):
            await keys.wrap(DATA_KEY)

    assert [line["code"] for line in logs] == ["target-unauthenticated"]


async def test_it_keeps_to_the_calls_that_a_vault_admits_but_never_waits_beyond_its_time_limit(
    open_keys: OpenKeys, emulator: Emulator, first: str
) -> None:
    emulator.throttle(Budgets(others=1))

    async with open_keys(vault_calls=1, read_timeout_s=2) as keys:
        await keys.wrap(DATA_KEY)
        with capture_logs() as logs, pytest.raises(SealingUnavailable):
            await keys.wrap(DATA_KEY)

    assert operations(emulator) == ["wrap_key"]
    assert [line["code"] for line in logs] == ["target-unreachable"]


# ---- it tells nobody


async def test_a_data_key_is_in_no_log_and_no_error(
    keys: OpenWrapping, emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    told: list[object] = []
    with capture_logs() as logs:
        wrapped = await keys.wrap(DATA_KEY)
        await keys.unwrap(wrapped)
        emulator.faults.add(Fault(operation="unwrap_key", effect=Answer(status=503), count=None))
        with pytest.raises(SealingUnavailable) as caught:
            await keys.unwrap(wrapped)
        told += [repr(caught.value), repr(caught.value.__cause__), repr(wrapped)]

    everything = f"{told}{logs}{caplog.text}"
    encoded = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
    assert not [word for word in (encoded, DATA_KEY.hex(), repr(DATA_KEY)) if word in everything]


def test_the_result_of_a_key_operation_cannot_be_printed_or_copied() -> None:
    result = key_result(b'{"kid": "x", "value": "AAAA"}')

    assert (repr(result), result.octets) == ("<KeyResult>", bytes(3))
    with pytest.raises(TypeError, match="never copied or pickled"):
        copy.copy(result)
    assert not hasattr(KeyResult(key_id="", octets=b""), "__dict__")


# ---- the settings


@pytest.mark.parametrize(
    "url",
    [
        "",
        "https://sealing-vault.vault.azure.net",
        "https://sealing-vault.vault.azure.net/secrets/queue",
        "https://sealing-vault.vault.azure.net//keys/queue",
        "https://sealing-vault.vault.azure.net/keys/queue/latest",
        "https://sealing-vault.vault.azure.net/keys/queue/../x",
        "http://sealing-vault.vault.azure.net/keys/queue",
        "https://example.test/keys/queue",
        f"https://{'x' * 25}.vault.azure.net/keys/queue",
    ],
)
def test_what_is_no_address_of_a_key_is_refused_at_the_start(url: str) -> None:
    with pytest.raises(ValidationError, match="/keys/<name>"):
        AzureOptions.model_validate({"sealing_keys": [url]})


def test_the_address_of_a_key_may_be_written_in_any_case() -> None:
    options = AzureOptions.model_validate(
        {"sealing_keys": ["HTTPS://Sealing-Vault.vault.azure.net/keys/Queue/"]}
    )

    assert options.sealing_keys == (KEY,)


def test_without_sealing_keys_there_is_nothing_to_build() -> None:
    made = REGISTRY["AzureKeyVault"].build_wrapping(
        AzureOptions(), environment={}, counted=uncounted
    )

    assert made is None
