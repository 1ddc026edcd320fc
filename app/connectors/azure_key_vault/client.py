"""The few Key Vault calls we use, each with Azure's errors in our words.

The SDK's client carries authentication, challenge and transport. Its generated models cost half
of a call, so the calls go through its public `send_request` (0.44 ms of CPU against 0.90), and
straight through (see `pipeline`): reads are repeated here, where it is known what a read may cost,
and an import is never repeated blindly.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import aiohttp
import orjson
from azure.core.exceptions import AzureError
from azure.core.rest import AsyncHttpResponse, HttpRequest
from azure.keyvault.certificates.aio import CertificateClient

from app import errors
from app.connectors.azure_key_vault import answers, refusals
from app.connectors.azure_key_vault.answers import KeyResult, Listed, Secret, Version
from app.connectors.azure_key_vault.budgets import IMPORT, Allowance
from app.connectors.azure_key_vault.lost import Lost, lost
from app.errors import TargetError

_OK: Final = 200
_BAD_REQUEST: Final = 400
_NOT_FOUND: Final = 404
_THROTTLED: Final = 429
_TIMEOUT: Final = 408
_GATEWAY_TIMEOUT: Final = 504
_SERVER_ERROR: Final = 500
_JSON: Final = {"Content-Type": "application/json", "Accept": "application/json"}
_READ: Final = {"Accept": "application/json"}

_Parsed = TypeVar("_Parsed")
Counted = Callable[[str, str], None]


class Unclear(Exception):
    """The import may have been applied: no answer came, or one that does not say.

    `trouble` is what it would be called if it turns out not to have been; `answered` whether
    the vault itself answered at all.
    """

    def __init__(self, trouble: TargetError, *, answered: bool) -> None:
        super().__init__(trouble.message)
        self.trouble = trouble
        self.answered = answered


class Vault:
    """One Key Vault, seen through one identity.

    Args:
        client: the SDK's client for it.
        counted: told of every answer: operation, and HTTP status or `none`.
        waits: seconds before a read without a useful answer is repeated, one for each time.
        allowance: what the vault admits us; a call waits until there is room for it.
    """

    def __init__(
        self,
        client: CertificateClient,
        counted: Counted,
        waits: Sequence[float],
        allowance: Allowance,
    ) -> None:
        self._client = client
        self._counted = counted
        self._waits = waits
        self._allowance = allowance

    async def latest(self, name: str) -> Version | None:
        """The current version with the name's policy, or `None`: only CertificateNotFound is none.

        Raises:
            TargetError: any other answer, or none.
        """
        return await self._bundle("get_certificate", f"/certificates/{name}/")

    async def version(self, name: str, version: str) -> Version | None:
        """One version, without policy, or `None`."""
        return await self._bundle("get_certificate_version", f"/certificates/{name}/{version}")

    async def versions(self, name: str) -> list[Listed]:
        """Every version with its tags; their order says nothing of which is current."""
        found: list[Listed] = []
        page: str | None = ""
        while page is not None:
            path = f"/certificates/{name}/versions?{page}".rstrip("?")
            response = await self._read("get_certificate_versions", path)
            if response.status_code != _OK:
                raise _refused(response)
            listed, page = _parsed(response, answers.versions)
            found += listed
        return found

    async def secret(self, name: str, version: str = "") -> Secret | None:
        """The secret of a version (the current one by default), or `None`."""
        response = await self._read("get_secret", f"/secrets/{name}/{version}")
        if response.status_code == _OK:
            return _parsed(response, answers.secret)
        if _says(response) == "SecretNotFound":
            return None
        raise _refused(response)

    async def deleted(self, name: str) -> bool:
        """Whether a soft-deleted certificate holds the name."""
        response = await self._read("get_deleted_certificate", f"/deletedcertificates/{name}")
        if response.status_code == _NOT_FOUND:
            return False
        if response.status_code == _OK:
            return True
        raise _refused(response)

    async def pending(self, name: str) -> bool:
        """Whether a creation is under way under the name; one that has ended hinders nothing."""
        response = await self._read("get_certificate_operation", f"/certificates/{name}/pending")
        if response.status_code == _OK:
            return answers.in_progress(response.content)
        if _says(response) == "PendingCertificateNotFound":
            return False
        raise _refused(response)

    async def room(self, *, first: bool) -> bool:
        """Wait until one import may be sent, *first* of all; whether that took any time."""
        return await self._allowance.take(IMPORT, first=first) > 0

    async def import_certificate(self, name: str, body: Mapping[str, Any]) -> str:
        """Import once, where there is `room`, and say which version it made.

        Raises:
            Unclear: it may have been applied.
            TargetError: it was surely not.
        """
        request = _Once(
            "POST",
            f"/certificates/{name}/import",
            headers=_JSON,
            content=orjson.dumps(body),
        )
        try:
            response = await self._send(IMPORT, request)
        except Lost as silence:
            if silence.sent:
                raise Unclear(silence.trouble, answered=False) from silence
            raise silence.trouble from silence
        status = response.status_code
        if status == _OK:
            try:
                return answers.version(response.content).id
            except ValueError as error:
                raise Unclear(errors.TargetUnavailable(), answered=True) from error
        # only a 4xx is a clear no; what is neither that nor the expected 200 may have been done
        if status not in range(_BAD_REQUEST, _SERVER_ERROR) or status == _TIMEOUT:
            timed_out = status in (_TIMEOUT, _GATEWAY_TIMEOUT)  # somebody else says: no answer
            raise Unclear(_refused(response), answered=not timed_out)
        raise _refusal(response).in_our_words()

    async def use_key(self, operation: str, path: str, body: Mapping[str, str]) -> KeyResult:
        """Wrap or unwrap: a POST that changes nothing, so it is repeated as a read is.

        Raises:
            TargetError: it was refused, or there was no answer.
        """
        content = orjson.dumps(body)
        response = await self._repeated(
            operation, lambda: _Once("POST", path, headers=_JSON, content=content)
        )
        if response.status_code == _OK:
            return _parsed(response, answers.key_result)
        raise _refused(response)

    async def aclose(self) -> None:
        """Close the SDK's client; the shared session stays open."""
        await self._client.close()

    async def _bundle(self, operation: str, path: str) -> Version | None:
        response = await self._read(operation, path)
        if response.status_code == _OK:
            unfinished = answers.unfinished(response.content)
            return None if unfinished else _parsed(response, answers.version)
        if _says(response) == "CertificateNotFound":
            return None
        raise _refused(response)

    async def _read(self, operation: str, path: str) -> AsyncHttpResponse:
        return await self._repeated(operation, lambda: _Once("GET", path, headers=_READ))

    async def _repeated(self, operation: str, made: Callable[[], "_Once"]) -> AsyncHttpResponse:
        """A call that changes nothing, repeated a few times where that can help."""
        for wait in (*self._waits, None):
            await self._allowance.take(operation)
            try:
                response = await self._send(operation, made())
            except Lost as silence:
                if wait is None or not silence.trouble.retryable:
                    raise silence.trouble from silence
            else:
                status = response.status_code
                again = status in (_THROTTLED, _TIMEOUT) or status >= _SERVER_ERROR
                if wait is None or not again:
                    return response
                if status == _THROTTLED:
                    continue  # all reads of this vault wait now, this one with them
            await asyncio.sleep(wait)
        raise AssertionError

    async def _send(self, operation: str, request: HttpRequest) -> AsyncHttpResponse:
        try:
            sent: Awaitable[AsyncHttpResponse] = self._client.send_request(request, stream=True)
            response = await sent
        except (AzureError, ValueError, aiohttp.ClientError, OSError) as error:
            self._counted(operation, "none")
            lost(error)
        self._counted(operation, str(response.status_code))
        self._allowance.answered(operation, response.status_code)
        return response


class _Once(HttpRequest):
    """A request that is sent once, so the SDK need not copy it before it completes the address."""

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> "_Once":
        return self


def _parsed(response: AsyncHttpResponse, parse: Callable[[bytes], _Parsed]) -> _Parsed:
    try:
        return parse(response.content)
    except ValueError as error:
        raise errors.TargetUnavailable(answer=_refusal(response).answer) from error


def _refusal(response: AsyncHttpResponse) -> refusals.Refusal:
    request_id = response.headers.get("x-ms-request-id")
    return refusals.refusal(response.status_code, response.content, request_id)


def _says(response: AsyncHttpResponse) -> str:
    return _refusal(response).code if response.status_code == _NOT_FOUND else ""


def _refused(response: AsyncHttpResponse) -> TargetError:
    return _refusal(response).in_our_words(importing=False)
