"""What a call passes on its way through the SDK's client: authentication, and little else.

The SDK's own retries, redirects and body logging are not switched off but left out, so that no
option brings them back: a second POST makes a second version, a redirect would carry a key to
somebody else, a logged body is a key on a disk. It also spares a third of a call's CPU.
"""

from typing import Any, Final

import aiohttp
from azure.core.exceptions import AzureError
from azure.core.pipeline import PipelineRequest, PipelineResponse
from azure.core.pipeline.policies import AsyncHTTPPolicy
from azure.core.rest import AsyncHttpResponse, HttpRequest

from app.connectors.azure_key_vault.unanswered import VAULT

# azure-core's names of the policies that a client can be given
_LEFT_OUT: Final = (
    "retry_policy",
    "redirect_policy",
    "logging_policy",
    "proxy_policy",  # the session knows the proxy
    "headers_policy",
)
Request = PipelineRequest[HttpRequest]
Response = PipelineResponse[HttpRequest, AsyncHttpResponse]


class _Straight(AsyncHTTPPolicy[HttpRequest, AsyncHttpResponse]):
    """Passes a request on, once."""

    async def send(self, request: Request) -> Response:
        return await self.next.send(request)


class _Whole(AsyncHTTPPolicy[HttpRequest, AsyncHttpResponse]):
    """Reads every answer to its end, a challenge's too, or its connection could not be used again.

    Calls are sent with `stream=True`, for the SDK would parse each body once more than we do.
    What fails here failed on the way to the vault, which is noted: a token is asked for above.
    """

    async def send(self, request: Request) -> Response:
        try:
            response = await self.next.send(request)
            await response.http_response.read()
        except (AzureError, aiohttp.ClientError, OSError) as error:
            error.add_note(VAULT)
            raise
        return response


def policies() -> dict[str, Any]:
    """The options that make an SDK client so; policies are linked, so each client has its own."""
    straight = {name: _Straight() for name in _LEFT_OUT}
    # the hook's place is below authentication, which answers challenges
    return {**straight, "custom_hook_policy": _Whole(), "auto_request_id": False}
