"""The headers every answer of Key Vault carries, as recorded."""

import uuid

from app.emulator.access import REGION
from app.emulator.wire import Request

_FIXED = (
    (b"cache-control", b"no-cache"),
    (b"pragma", b"no-cache"),
    (b"expires", b"-1"),
    (b"x-ms-keyvault-region", REGION.encode()),
    (b"x-ms-keyvault-service-version", b"1.9.3347.1"),
    (b"x-content-type-options", b"nosniff"),
    (b"strict-transport-security", b"max-age=31536000;includeSubDomains"),
)


def common_headers(
    request: Request, body: bytes, extra: tuple[tuple[str, str], ...]
) -> list[tuple[bytes, bytes]]:
    """The fixed headers, the request's ids and the caller's address, then the reply's own."""
    network = f"conn_type=Ipv4;addr={request.client};act_addr_fam=InterNetwork;"
    headers = [
        *_FIXED,
        (b"x-ms-keyvault-network-info", network.encode()),
        (b"x-ms-request-id", str(uuid.uuid4()).encode()),
    ]
    if body:  # only a 204 has none
        headers.append((b"content-length", str(len(body)).encode()))
        headers.append((b"content-type", b"application/json; charset=utf-8"))
    client_request = request.headers.get("x-ms-client-request-id")
    if client_request is not None:
        headers.append((b"x-ms-client-request-id", client_request.encode("latin-1")))
    headers.extend((name.lower().encode(), text.encode()) for name, text in extra)
    return headers
