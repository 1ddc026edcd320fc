"""A Key Vault that costs next to nothing: the calls of a renewal, each after a fixed delay.

Every name holds a previous version until something is imported under it, and serves what was
imported from then on. A key is never loaded (40 ms): the leaf is cut out of the PFX, which has no
password. Runs as a process: one line of JSON on standard input configures it, and its end stops
it.
"""

import asyncio
import base64
import hashlib
import itertools
import json
import sys
import time
from pathlib import Path
from typing import Any, Final

import orjson
import uvicorn
import uvloop
from starlette.types import Receive, Scope, Send

from app.emulator.issuing import authority, tls_context

_TENANT: Final = "00000000-0000-0000-0000-000000000001"
_BACKLOG: Final = 2048
_KEEP_ALIVE_S: Final = 600  # longer than the other side's turn
_JSON: Final = (b"content-type", b"application/json; charset=utf-8")
_CHALLENGE: Final = (
    f'Bearer authorization="https://login.microsoftonline.com/{_TENANT}", '
    'resource="https://vault.azure.net"'
).encode()
_TOKEN: Final = orjson.dumps(
    {"token_type": "Bearer", "expires_in": 86399, "ext_expires_in": 86399, "access_token": "bench"}
)
# RFC 2985, section 6.2: x509Certificate, as a DER object identifier
_CERTIFICATE: Final = bytes.fromhex("060a2a864886f70d01091601")
_ATTRIBUTES: Final = {
    "enabled": True,
    "nbf": 1775445939,
    "exp": 1806982539,
    "created": 1775446539,
    "updated": 1775446539,
    "recoveryLevel": "Recoverable+Purgeable",
    "recoverableDays": 90,
}
_POLICY: Final = {
    "key_props": {"exportable": True, "kty": "RSA", "key_size": 2048, "reuse_key": False},
    "secret_props": {"contentType": "application/x-pkcs12"},
    "x509_props": {
        "subject": "CN=api.example.test",
        "sans": {"dns_names": ["api.example.test"]},
        "ekus": ["1.3.6.1.5.5.7.3.1"],
        "key_usage": ["digitalSignature", "keyEncipherment"],
        "validity_months": 3,
        "basic_constraints": {"ca": False},
    },
    "lifetime_actions": [
        {"trigger": {"lifetime_percentage": 80}, "action": {"action_type": "EmailContacts"}}
    ],
    "issuer": {"name": "Unknown"},
    "attributes": {"enabled": True, "created": 1775446537, "updated": 1775446537},
}


def first_certificate(pfx: bytes) -> bytes:
    """The DER of the first certificate, the leaf, in a PFX without encryption."""
    tagged = pfx.index(_CERTIFICATE) + len(_CERTIFICATE)
    octets, _ = _content(pfx, tagged)
    begin, end = _content(pfx, octets)
    return pfx[begin:end]


def _content(der: bytes, at: int) -> tuple[int, int]:
    """Where the content of the element *at* begins and ends (X.690, section 8.1.3)."""
    length, begin = der[at + 1], at + 2
    if length & 0x80:
        begin += length & 0x7F
        length = int.from_bytes(der[at + 2 : begin], "big")
    return begin, begin + length


class Stub:
    """The application, raw ASGI.

    Args:
        before: the PFX that every name holds first.
        delay_s: seconds that each call takes.
    """

    def __init__(self, before: bytes, delay_s: float) -> None:
        self._before = first_certificate(before)
        self._secret = base64.b64encode(before).decode()
        self._delay_s = delay_s
        self._latest: dict[str, bytes] = {}
        self._numbers = itertools.count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        body = await _body(receive)
        headers = dict(scope["headers"])
        if scope["path"].endswith("/token"):
            await _answer(send, 200, _TOKEN)
        elif b"authorization" not in headers:
            await _answer(send, 401, b"{}", (b"www-authenticate", _CHALLENGE))
        else:
            await asyncio.sleep(self._delay_s)
            await _answer(send, 200, self._found(scope, headers[b"host"].decode(), body))

    def _found(self, scope: Scope, host: str, body: bytes) -> bytes:
        _, kind, name, *_ = scope["path"].split("/")
        if kind == "secrets":
            return orjson.dumps(self._secret_bundle(host, name))
        if scope["method"] == "POST":
            sent = orjson.loads(body)
            leaf = first_certificate(base64.b64decode(sent["value"]))
            version = f"{next(self._numbers):032x}"
            self._latest[name] = _bundle(host, name, version, leaf, sent.get("tags", {}))
        found = self._latest.get(name)
        return _bundle(host, name, "f" * 32, self._before, {}) if found is None else found

    def _secret_bundle(self, host: str, name: str) -> dict[str, Any]:
        version = "f" * 32
        return {
            "value": self._secret,
            "contentType": "application/x-pkcs12",
            "id": f"https://{host}/secrets/{name}/{version}",
            "managed": True,
            "attributes": _ATTRIBUTES,
            "kid": f"https://{host}/keys/{name}/{version}",
        }


def _bundle(host: str, name: str, version: str, leaf: bytes, tags: dict[str, str]) -> bytes:
    base = f"https://{host}"
    x5t = base64.urlsafe_b64encode(hashlib.sha1(leaf, usedforsecurity=False).digest())
    return orjson.dumps(
        {
            "id": f"{base}/certificates/{name}/{version}",
            "kid": f"{base}/keys/{name}/{version}",
            "sid": f"{base}/secrets/{name}/{version}",
            "x5t": x5t.decode().rstrip("="),
            "cer": base64.b64encode(leaf).decode(),
            "attributes": _ATTRIBUTES,
            "tags": tags,
            "policy": {"id": f"{base}/certificates/{name}/policy", **_POLICY},
        }
    )


async def _body(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


async def _answer(send: Send, status: int, body: bytes, *headers: tuple[bytes, bytes]) -> None:
    length = (b"content-length", str(len(body)).encode())
    headers = (_JSON, length, (b"x-ms-request-id", b"bench"), *headers)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _serve(told: dict[str, Any]) -> None:
    ca = authority(now=time.time())
    await asyncio.to_thread(Path(told["ca"]).write_text, ca.pem)
    config = uvicorn.Config(
        Stub(base64.b64decode(told["before"]), told["delay_s"]),
        port=0,
        loop="none",
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=1,
    )
    config.load()
    config.ssl = tls_context(ca, now=time.time())
    await _Server(config).serve()


class _Server(uvicorn.Server):
    """Says its port, and stops when its standard input ends."""

    async def startup(self, sockets: Any = None) -> None:  # noqa: ANN401 - uvicorn's signature
        await super().startup(sockets)
        port = self.servers[0].sockets[0].getsockname()[1]
        sys.stdout.write(json.dumps({"port": port}) + "\n")
        sys.stdout.flush()
        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), self._stop)

    def _stop(self) -> None:
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
        self.should_exit = True


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(json.loads(sys.stdin.readline())))
