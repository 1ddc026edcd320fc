"""The headers every answer of Key Vault carries, as recorded."""

import uuid

from app.emulator.access import REGION
from app.emulator.wire import BODILESS, Reply, Request

_FIXED = (
    (b"cache-control", b"no-cache"),
    (b"pragma", b"no-cache"),
    (b"expires", b"-1"),
    (b"x-ms-keyvault-region", REGION.encode()),
    (b"x-ms-keyvault-service-version", b"1.9.3347.1"),
    (b"x-content-type-options", b"nosniff"),
    (b"strict-transport-security", b"max-age=31536000;includeSubDomains"),
)


_JSON = b"application/json; charset=utf-8"
_TEXT = b"text/plain; charset=utf-8"


def headers_of(request: Request, reply: Reply, body: bytes) -> list[tuple[bytes, bytes]]:
    """The common headers, and the reply's own, which replace common ones of the same name."""
    own = [(name.lower().encode(), text.encode("latin-1")) for name, text in reply.headers]
    replaced = {name for name, _ in own}
    common = _common(request, reply, body)
    return [header for header in common if header[0] not in replaced] + own


def _common(request: Request, reply: Reply, body: bytes) -> list[tuple[bytes, bytes]]:
    """The fixed headers, the request's ids and the caller's address."""
    network = f"conn_type=Ipv4;addr={request.client};act_addr_fam=InterNetwork;"
    headers = [
        *_FIXED,
        (b"x-ms-keyvault-network-info", network.encode()),
        (b"x-ms-request-id", str(uuid.uuid4()).encode()),
    ]
    if reply.status not in BODILESS:
        headers.append((b"content-length", str(len(body)).encode()))
    if body:
        headers.append((b"content-type", _JSON if reply.text is None else _TEXT))
    client_request = request.headers.get("x-ms-client-request-id")
    if client_request is not None:
        headers.append((b"x-ms-client-request-id", client_request.encode("latin-1")))
    return headers
