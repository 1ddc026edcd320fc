"""A caller of the service: it deploys over connections that stay open.

Each request has an Idempotency-Key of its own, as those of a portal have.
"""

import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import aiohttp
import orjson

_PATIENCE: Final = aiohttp.ClientTimeout(total=90)
_IDLE_S: Final = 2  # less than the service keeps an idle connection
_DEPLOY: Final = "/api/v1/connectors/AzureKeyVault/deploy"
_TO_THE_END: Final = {"Prefer": "wait=60"}
_DEPTH: Final = "certctl_deploy_queue_depth "


class Caller:
    """One caller. `accepted` are the ids that it was given with a 202."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self.accepted: list[str] = []

    async def deploy(self, body: bytes) -> None:
        """Deploy, and wait for the end."""
        answer = await self._post(body, _TO_THE_END)
        _expect(answer, HTTPStatus.OK)
        _succeeded(answer)

    async def hand_in(self, body: bytes) -> None:
        """Deploy, and wait for nothing but the 202."""
        answer = await self._post(body, {})
        _expect(answer, HTTPStatus.ACCEPTED)
        self.accepted.append(orjson.loads(answer.body)["id"])

    async def offer(self, body: bytes) -> "Answer":
        """Deploy, and take whatever is answered at once."""
        answer = await self._post(body, {})
        if answer.status == HTTPStatus.ACCEPTED:
            self.accepted.append(orjson.loads(answer.body)["id"])
        return answer

    async def end(self, id: str) -> None:  # noqa: A002 - the field's name
        """Wait for the end of a deployment."""
        path = f"/api/v1/deployments/{id}"
        async with self._session.get(path, headers=_TO_THE_END) as response:
            _succeeded(await _read(response))

    async def waiting(self) -> int:
        """How many deployments wait."""
        async with self._session.get("/metrics") as response:
            lines = (await response.text()).splitlines()
        return next(int(float(line.split()[1])) for line in lines if line.startswith(_DEPTH))

    async def _post(self, body: bytes, headers: Mapping[str, str]) -> "Answer":
        once = {**headers, "Idempotency-Key": str(uuid.uuid4())}
        async with self._session.post(_DEPLOY, data=body, headers=once) as response:
            return await _read(response)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A status, a body, and whether it says when to come again."""

    status: int
    body: bytes
    retry_after: bool


@asynccontextmanager
async def calling(url: str, token: str) -> AsyncIterator[Caller]:
    """A caller of the service at *url*, whose connections are closed at the end."""
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=_IDLE_S)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    async with aiohttp.ClientSession(
        url, connector=connector, headers=headers, timeout=_PATIENCE
    ) as session:
        yield Caller(session)


async def _read(response: aiohttp.ClientResponse) -> Answer:
    body, later = await response.read(), "Retry-After" in response.headers
    return Answer(status=response.status, body=body, retry_after=later)


def _expect(answer: Answer, status: int) -> None:
    if answer.status != status:
        raise OSError(f"{answer.status} {answer.body.decode()}")


def _succeeded(answer: Answer) -> None:
    if b'"state":"succeeded"' not in answer.body:
        raise OSError(answer.body.decode())
