"""Clients that do as the README says: a key for each request, and the same again where it broke.

Each has a target of its own and sends one request after the other, so that what was accepted
before is known.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from random import Random
from typing import Any, Final

import httpx

from tests.certificates import Issued
from tests.service.chaos.replicas import Replica
from tests.service.processes import DEPLOY

_AGAIN_S: Final = 0.2
_TRIES: Final = 300
_PATIENCE_S: Final = 30  # longer than the service takes to say that it cannot


class Caller:
    """Asks any of the replicas, and another one where the connection is refused or breaks."""

    def __init__(self, replicas: Sequence[Replica], http: httpx.Client, random: Random) -> None:
        self._replicas = replicas
        self._http = http
        self._random = random
        self._pause = threading.Event()

    def ask(self, method: str, path: str, **request: Any) -> httpx.Response:  # noqa: ANN401 - httpx's arguments
        """The first answer that is not 503."""
        for _ in range(_TRIES):
            url = self._random.choice(self._replicas).url
            with suppress(httpx.TransportError):
                answer = self._http.request(method, url + path, **request)
                if answer.status_code != 503:
                    return answer
            self._pause.wait(_AGAIN_S)
        raise AssertionError(f"no answer to {method} {path}")


@contextmanager
def connected(token: str) -> Iterator[httpx.Client]:
    """What callers of one token share."""
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(headers=headers, timeout=_PATIENCE_S) as http:
        yield http


class Client:
    """Deploys to one target until it is `over`; `accepted` are the ids it was given."""

    def __init__(
        self,
        caller: Caller,
        target: Mapping[str, str],
        certificates: Sequence[Issued],
        random: Random,
    ) -> None:
        self._caller = caller
        self._target = target
        self._certificates = certificates
        self._random = random
        self.over = threading.Event()
        self.accepted: list[str] = []

    def run(self) -> None:
        """Deploy again and again: with patience, without, with second thoughts, or twice."""
        while not self.over.is_set():
            request = self._request(self._random.choice(self._certificates))
            key = f"{self._random.getrandbits(64):016x}"
            id_ = self._deploy(request, key)["id"]
            what = self._random.random()
            if what < 0.1:
                self._caller.ask("POST", f"/api/v1/deployments/{id_}/cancel")
            elif what < 0.2:
                again = self._deploy(request, key)
                assert id_ in {again["id"], again["previous_attempt"]}, again
            elif what < 0.5:
                self._caller.ask("GET", f"/api/v1/deployments/{id_}", headers=_wait(5))
            else:
                self.over.wait(self._random.random())

    def _deploy(self, request: Mapping[str, Any], key: str) -> dict[str, Any]:
        headers = {"Idempotency-Key": key, **_wait(self._random.choice([0, 0, 0, 2]))}
        answer = self._caller.ask("POST", DEPLOY, json=request, headers=headers)
        assert answer.status_code in {200, 202}, answer.text
        taken: dict[str, Any] = answer.json()
        self.accepted.append(taken["id"])
        return taken

    def _request(self, issued: Issued) -> dict[str, Any]:
        return {
            "cert_pem": issued.cert_pem,
            "chain_pem": issued.chain_pem,
            "key_pem": issued.key_pem,
            "target_config": {**self._target, "credential_mode": "client_secret"},
        }


@contextmanager
def deploying(clients: Sequence[Client]) -> Iterator[None]:
    """They deploy as long as the block lasts; what one of them did not expect is raised."""
    with ThreadPoolExecutor(len(clients)) as pool:
        running = [pool.submit(client.run) for client in clients]
        try:
            yield
        finally:
            for client in clients:
                client.over.set()
        for one in running:
            one.result()


def _wait(seconds: int) -> dict[str, str]:
    return {"Prefer": f"wait={seconds}"} if seconds else {}
