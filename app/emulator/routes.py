"""Which operation a path means, which data action it needs, and what serves it.

The table is the whole surface of the data plane; anything else is answered 501, so that nobody
mistakes a gap of the emulator for an answer of Azure.
"""

from collections.abc import Callable
from dataclasses import dataclass

from app.emulator import certificates, deleting, keys, listing, pending
from app.emulator.importing import Importer
from app.emulator.orders import Order
from app.emulator.wire import Reply

Serve = Callable[[Order], Reply]


@dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    """An operation: its name in faults and calls, its data action, whether it changes state."""

    operation: str
    action: str
    serve: Serve
    writes: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Match:
    """A route with the name and version of the path, each empty if it has none."""

    route: Route
    name: str
    version: str


_READ = "certificates/read"
_UPDATE = "certificates/update/action"
# words that stand where a version may stand
_WORDS = frozenset(
    {"import", "versions", "policy", "pending", "recover", "create", "wrapkey", "unwrapkey"}
)
# what stands where a certificate's name may stand, and is none
_NO_NAMES = frozenset({"contacts", "issuers", "restore"})


def _read(operation: str, serve: Serve, action: str = _READ) -> Route:
    return Route(operation=operation, action=action, serve=serve)


def _write(operation: str, serve: Serve, action: str) -> Route:
    return Route(operation=operation, action=action, serve=serve, writes=True)


def table() -> dict[str, Route]:
    """The routes by method and pattern; a new importer each time."""
    update = _write("update_certificate", certificates.update_certificate, _UPDATE)
    secret = _read("get_secret", certificates.get_secret, "secrets/getSecret/action")
    return {
        "POST certificates/*/import": _write("import", Importer(), "certificates/import/action"),
        "GET certificates": _read("list_certificates", listing.list_certificates),
        "GET certificates/*": _read("get_certificate", certificates.get_certificate),
        "GET certificates/*/*": _read(
            "get_certificate_version", certificates.get_certificate_version
        ),
        "GET certificates/*/versions": _read("list_versions", listing.list_versions),
        "PATCH certificates/*": update,
        "PATCH certificates/*/*": update,
        "GET certificates/*/policy": _read("get_policy", certificates.get_policy),
        "PATCH certificates/*/policy": _write("update_policy", certificates.update_policy, _UPDATE),
        "GET certificates/*/pending": _read("get_pending", pending.get_pending),
        "PATCH certificates/*/pending": _write("update_pending", pending.update_pending, _UPDATE),
        "DELETE certificates/*/pending": _write("delete_pending", pending.delete_pending, _UPDATE),
        "DELETE certificates/*": _write(
            "delete_certificate", deleting.delete_certificate, "certificates/delete"
        ),
        "GET deletedcertificates": _read("list_deleted", listing.list_deleted),
        "GET deletedcertificates/*": _read("get_deleted", deleting.get_deleted),
        "POST deletedcertificates/*/recover": _write(
            "recover", deleting.recover, "certificates/recover/action"
        ),
        "DELETE deletedcertificates/*": _write(
            "purge", deleting.purge, "certificates/purge/action"
        ),
        "GET secrets/*": secret,
        "GET secrets/*/*": secret,
        **_keys(),
    }


def _keys() -> dict[str, Route]:
    get = _read("get_key", keys.get_key, "keys/read")
    update = _write("update_key", keys.update_key, "keys/update/action")
    wrap = _read("wrap_key", keys.wrap_key, "keys/wrap/action")
    unwrap = _read("unwrap_key", keys.unwrap_key, "keys/unwrap/action")
    return {
        "POST keys/*/create": _write("create_key", keys.create_key, "keys/create/action"),
        "GET keys/*": get,
        "GET keys/*/*": get,
        "PATCH keys/*": update,
        "PATCH keys/*/*": update,
        "POST keys/*/wrapkey": wrap,
        "POST keys/*/*/wrapkey": wrap,
        "POST keys/*/unwrapkey": unwrap,
        "POST keys/*/*/unwrapkey": unwrap,
    }


def find(routes: dict[str, Route], method: str, path: str) -> Match | None:
    """The route of a request. A trailing slash is an empty version, so it is dropped."""
    collection, *rest = path.strip("/").split("/")
    name = rest[0] if rest else ""
    if collection == "certificates" and name.lower() in _NO_NAMES:
        return None
    third = rest[1] if len(rest) > 1 else ""
    pattern = [collection, *("*" for _ in rest[:1]), *(_pattern(part) for part in rest[1:])]
    route = routes.get(f"{method} {'/'.join(pattern)}")
    version = "" if third in _WORDS else third
    return None if route is None else Match(route=route, name=name, version=version)


def _pattern(part: str) -> str:
    return part if part in _WORDS else "*"
