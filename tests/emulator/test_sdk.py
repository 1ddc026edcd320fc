import base64

import pytest
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
    ServiceRequestError,
)
from azure.core.pipeline.transport import AioHttpTransport
from azure.keyvault.certificates import (
    CertificateContentType,
    CertificatePolicy,
    WellKnownIssuerNames,
)
from azure.keyvault.certificates.aio import CertificateClient

from app.emulator import Emulator
from tests.emulator.conftest import sdk_client
from tests.emulator.making import leaf
from tests.faults import Happens


def pfx(password: str | None = None) -> bytes:
    return base64.b64decode(leaf().pfx(password))


async def test_the_sdk_imports_reads_lists_and_updates(
    sdk: CertificateClient, emulator: Emulator
) -> None:
    first = await sdk.import_certificate("api", pfx("pw"), password="pw", tags={"a": "b"})
    second = await sdk.import_certificate("api", pfx())

    latest = await sdk.get_certificate("api")
    assert latest.id == second.id
    assert first.properties
    assert first.properties.version
    old = await sdk.get_certificate_version("api", first.properties.version)
    assert old.properties
    assert old.properties.tags == {"a": "b"}
    listed = [v.id async for v in sdk.list_properties_of_certificate_versions("api")]
    assert sorted(map(str, listed)) == sorted([str(first.id), str(second.id)])
    changed = await sdk.update_certificate_properties("api", enabled=False, tags={"c": "d"})
    assert changed.properties
    assert (changed.properties.enabled, changed.properties.tags) == (False, {"c": "d"})
    policy = await sdk.get_certificate_policy("api")
    assert policy.issuer_name == WellKnownIssuerNames.unknown
    assert emulator.writes == 3


async def test_the_first_request_is_challenged_and_the_token_fetched_once(
    sdk: CertificateClient, emulator: Emulator
) -> None:
    await sdk.import_certificate("api", pfx())
    await sdk.get_certificate("api")

    operations = [call.operation for call in emulator.calls]
    assert operations == ["challenge", "token", "import", "get_certificate"]


async def test_the_sdk_imports_pem(sdk: CertificateClient) -> None:
    policy = CertificatePolicy(
        issuer_name=WellKnownIssuerNames.unknown, content_type=CertificateContentType.pem
    )

    imported = await sdk.import_certificate("api", leaf().pem.encode(), policy=policy)

    assert imported.policy
    assert imported.policy.content_type == CertificateContentType.pem


async def test_the_sdk_follows_every_page(sdk: CertificateClient, emulator: Emulator) -> None:
    made, vault = leaf(), emulator.vault("my-vault")
    stored = {vault.import_pem("api", made.cert_pem, made.key_pem).version for _ in range(60)}

    listed = [v.version async for v in sdk.list_properties_of_certificate_versions("api")]

    assert (len(listed), set(listed)) == (60, stored)


async def test_the_sdk_deletes_recovers_and_purges(sdk: CertificateClient) -> None:
    await sdk.import_certificate("api", pfx())

    await sdk.delete_certificate("api")
    assert (await sdk.get_deleted_certificate("api")).name == "api"
    with pytest.raises(ResourceExistsError) as conflict:
        await sdk.import_certificate("api", pfx())
    assert conflict.value.error
    assert conflict.value.error.innererror == {"code": "ObjectIsDeletedButRecoverable"}
    await sdk.recover_deleted_certificate("api")
    assert (await sdk.get_certificate("api")).name == "api"
    await sdk.delete_certificate("api")
    await sdk.purge_deleted_certificate("api")
    with pytest.raises(ResourceNotFoundError):
        await sdk.get_deleted_certificate("api")


@pytest.mark.parametrize(
    ("url", "authority"),
    [
        ("https://v.vault.usgovcloudapi.net", "login.microsoftonline.us"),
        ("https://v.vault.azure.cn", "login.chinacloudapi.cn"),
    ],
    ids=["government", "china"],
)
async def test_the_sdk_reaches_the_other_clouds(
    emulator: Emulator, transport: AioHttpTransport, url: str, authority: str
) -> None:
    async with sdk_client(emulator, transport, url, authority) as client:
        imported = await client.import_certificate("api", pfx())

    assert str(imported.id).startswith(url)


async def test_the_sdk_repeats_an_import_that_was_made_but_answered_503(
    sdk: CertificateClient, emulator: Emulator, applied_then_503: Happens
) -> None:
    applied_then_503("import")

    await sdk.import_certificate("api", pfx(), retry_backoff_factor=0)

    assert len(emulator.vault("my-vault").versions("api")) == 2


async def test_a_connection_cut_after_the_import_looks_as_if_nothing_was_sent(
    sdk: CertificateClient, emulator: Emulator, cut_after: Happens
) -> None:
    cut_after("import")

    with pytest.raises(ServiceRequestError):
        await sdk.import_certificate("api", pfx(), retry_total=0)

    assert len(emulator.vault("my-vault").versions("api")) == 1


async def test_a_throttled_import_is_not_repeated_by_the_sdk(
    sdk: CertificateClient, emulator: Emulator, answered: Happens
) -> None:
    answered("import", 429, code="Throttled")

    with pytest.raises(HttpResponseError) as throttled:
        await sdk.import_certificate("api", pfx())

    assert throttled.value.status_code == 429
    assert [call.operation for call in emulator.calls].count("import") == 1


async def test_the_sdk_gives_up_with_a_token_that_is_expired_by_our_clock_alone(
    sdk: CertificateClient, emulator: Emulator
) -> None:
    await sdk.import_certificate("api", pfx())
    emulator.clock.advance(7200)

    # its own clock does not move, so it has no other token to give when it is challenged
    with pytest.raises(ClientAuthenticationError):
        await sdk.get_certificate("api", retry_total=0)
