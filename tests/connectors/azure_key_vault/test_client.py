"""What each call sends, and under which name its answer is counted."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

import orjson
import pytest
from azure.core.rest import HttpRequest
from azure.keyvault.certificates.aio import CertificateClient

from app.connectors.azure_key_vault import AzureOptions, Patience
from app.connectors.azure_key_vault.budgets import Allowance, Budgets
from app.connectors.azure_key_vault.client import Unclear, Vault
from app.errors import TargetError, TargetForbidden

URL: Final = "https://my-vault.vault.azure.net"
BODY: Final = {"value": "AAAA"}
Call = Callable[[Vault], Awaitable[object]]


class Answer:
    """What the vault says."""

    headers: Final = {"x-ms-request-id": "req-1"}

    def __init__(self, status: int, body: object) -> None:
        self.status_code = status
        self.content = orjson.dumps(body)


class Sdk:
    """The SDK's client, as far as we use it: keeps what is sent, and answers it."""

    def __init__(self, status: int = 403, body: object = None) -> None:
        self.answers = [Answer(status, body)]
        self.sent: list[HttpRequest] = []
        self.closed = False

    async def send_request(self, request: HttpRequest, *, stream: bool) -> Answer:
        assert stream
        self.sent.append(request)
        return self.answers.pop(0)

    async def close(self) -> None:
        self.closed = True


def opened(sdk: Sdk, counted: list[tuple[str, str]]) -> Vault:
    budgets = Budgets(
        AzureOptions(), share=lambda: 1.0, waited=lambda *_: None, patience=Patience()
    )
    return Vault(
        cast(CertificateClient, sdk),
        lambda operation, status: counted.append((operation, status)),
        (),
        budgets.of(URL),
    )


READS: Final[dict[str, tuple[Call, str, str]]] = {
    "latest": (lambda on: on.latest("api"), "/certificates/api/", "get_certificate"),
    "version": (
        lambda on: on.version("api", "v-1"),
        "/certificates/api/v-1",
        "get_certificate_version",
    ),
    "versions": (
        lambda on: on.versions("api"),
        "/certificates/api/versions",
        "get_certificate_versions",
    ),
    "secret": (lambda on: on.secret("api"), "/secrets/api/", "get_secret"),
    "secret-of-a-version": (lambda on: on.secret("api", "v-1"), "/secrets/api/v-1", "get_secret"),
    "deleted": (
        lambda on: on.deleted("api"),
        "/deletedcertificates/api",
        "get_deleted_certificate",
    ),
    "pending": (
        lambda on: on.pending("api"),
        "/certificates/api/pending",
        "get_certificate_operation",
    ),
}
WRITES: Final[dict[str, tuple[Call, str, str]]] = {
    "import": (
        lambda on: on.import_certificate("api", BODY),
        "/certificates/api/import",
        "import_certificate",
    ),
    "use-key": (
        lambda on: on.use_key("wrap_key", "/keys/queue/wrapkey", BODY),
        "/keys/queue/wrapkey",
        "wrap_key",
    ),
}


async def sent(call: Call, operation: str) -> HttpRequest:
    """What *call* sends; its answer is counted."""
    sdk, counted = Sdk(), list[tuple[str, str]]()
    with pytest.raises(TargetForbidden):
        await call(opened(sdk, counted))
    assert counted == [(operation, "403")]
    [request] = sdk.sent
    return request


@pytest.mark.parametrize(("call", "path", "operation"), READS.values(), ids=READS)
async def test_a_read_asks_for_json(call: Call, path: str, operation: str) -> None:
    request = await sent(call, operation)

    assert (request.method, request.url) == ("GET", path)
    assert request.headers["Accept"] == "application/json"


@pytest.mark.parametrize(("call", "path", "operation"), WRITES.values(), ids=WRITES)
async def test_what_carries_a_body_says_that_it_is_json(
    call: Call, path: str, operation: str
) -> None:
    request: Any = await sent(call, operation)

    assert (request.method, request.url) == ("POST", path)
    assert request.headers["Content-Type"] == request.headers["Accept"] == "application/json"
    assert orjson.loads(request.content) == BODY


async def test_every_page_of_versions_is_read_by_the_query_of_the_link_to_it() -> None:
    sdk, pages = Sdk(), "/certificates/api/versions"
    link = f"https://elsewhere.vault.azure.net{pages}?$skiptoken=X"
    sdk.answers = [
        Answer(200, {"value": [{"id": "certificates/api/v-1"}], "nextLink": link}),
        Answer(200, {"value": [{"id": "certificates/api/v-2"}]}),
    ]

    found = await opened(sdk, []).versions("api")

    assert [one.id for one in found] == ["v-1", "v-2"]
    assert [request.url for request in sdk.sent] == [pages, f"{pages}?$skiptoken=X"]


@pytest.mark.parametrize(
    ("call", "code"),
    [
        ("latest", "CertificateNotFound"),
        ("version", "CertificateNotFound"),
        ("secret", "SecretNotFound"),
        ("pending", "PendingCertificateNotFound"),
    ],
)
async def test_only_a_404_says_that_nothing_is_there(call: str, code: str) -> None:
    with pytest.raises(TargetForbidden):
        await READS[call][0](opened(Sdk(403, {"error": {"code": code}}), []))


@pytest.mark.parametrize("status", [200, 403])
async def test_an_error_tells_the_status_and_the_request_by_which_azure_knows_it(
    status: int,
) -> None:
    with pytest.raises(TargetError) as caught:
        await opened(Sdk(status, "no certificate"), []).latest("api")

    answer = caught.value.answer
    assert answer is not None
    assert (answer.status, answer.request_id) == (status, "req-1")


@pytest.mark.parametrize(
    ("status", "answered"),
    [(200, True), (201, True), (302, True), (408, False), (500, True), (503, True), (504, False)],
)
async def test_an_import_is_unclear_unless_the_vault_says_what_became_of_it(
    status: int, answered: object
) -> None:
    """A 408 and a 504 are somebody else's, who had no answer of the vault's."""
    with pytest.raises(Unclear) as unclear:
        await opened(Sdk(status), []).import_certificate("api", BODY)

    assert unclear.value.answered is answered


@pytest.mark.parametrize("status", [400, 403, 409, 429, 499])
async def test_an_import_that_was_refused_was_surely_not_done(status: int) -> None:
    with pytest.raises(TargetError):
        await opened(Sdk(status), []).import_certificate("api", BODY)


class Waiting(Allowance):
    """Lets a call go after so many seconds, by its word."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    async def take(self, operation: str, *, first: bool = False) -> float:
        return self.seconds

    def answered(self, operation: str, status: int) -> None:
        """Nothing follows from it."""


@pytest.mark.parametrize(
    ("status", "slept"),
    [(500, [0.25]), (503, [0.25]), (408, [0.25]), (429, [])],
)
async def test_a_read_is_repeated_after_its_wait_or_when_the_vault_admits_it_again(
    status: int, slept: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    sdk, waits = Sdk(status), list[float]()
    sdk.answers.append(Answer(404, {"error": {"code": "CertificateNotFound"}}))

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    vault = Vault(cast(CertificateClient, sdk), lambda *_: None, (0.25,), Waiting(0))

    assert await vault.latest("api") is None
    assert len(sdk.sent) == 2
    assert waits == slept


@pytest.mark.parametrize(("seconds", "waited"), [(0.0, False), (0.01, True), (10.0, True)])
async def test_however_short_a_wait_for_room_was_it_is_told(seconds: float, waited: object) -> None:
    """Another writer may have come meanwhile."""
    vault = Vault(cast(CertificateClient, Sdk()), lambda *_: None, (), Waiting(seconds))

    assert await vault.room(first=False) is waited


async def test_closing_a_vault_closes_the_client_of_the_sdk() -> None:
    sdk = Sdk()

    await opened(sdk, []).aclose()

    assert sdk.closed
