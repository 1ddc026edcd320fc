"""Lists: at most 25 items a page, ordered by id, with Key Vault's kind of next link.

Version ids are random, so the order of versions says nothing about which is the latest.
"""

import base64
from collections.abc import Callable, Iterable
from typing import TypeVar
from urllib.parse import quote

from app.emulator import shapes
from app.emulator.orders import Order
from app.emulator.refusals import Reason, refusal
from app.emulator.wire import Reply

_PAGE = 25

_Item = TypeVar("_Item")


def list_versions(order: Order) -> Reply:
    """Versions by id, which is by chance; of an unknown name: none."""
    entry = order.found()
    return _page(
        order,
        entry.versions if entry else (),
        lambda stored: stored.version,
        lambda stored: shapes.version_item(order.base, order.name, stored),
    )


def list_certificates(order: Order) -> Reply:
    """The latest version of every certificate, by name."""
    return _page(
        order,
        order.vault.entries.items(),
        lambda item: item[0].lower(),
        lambda item: shapes.certificate_item(order.base, item[0], item[1].latest),
    )


def list_deleted(order: Order) -> Reply:
    """The certificates whose deletion is finished, by name."""
    gone = [item for item in order.vault.deleted.items() if item[1].ready <= order.now]
    return _page(
        order,
        gone,
        lambda item: item[0].lower(),
        lambda item: shapes.deleted_item(order.base, *item),
    )


def _page(
    order: Order,
    items: Iterable[_Item],
    key: Callable[[_Item], str],
    shape: Callable[[_Item], shapes.Json],
) -> Reply:
    size = _page_size(order)
    after = _skipped(order)
    rest = [item for item in sorted(items, key=key) if key(item) > after]
    page = rest[:size]
    # a full page names a next one even if that will be empty (recorded)
    link = _next_link(order, key(page[-1])) if len(page) == size else None
    return Reply(document={"value": [shape(item) for item in page], "nextLink": link})


def _page_size(order: Order) -> int:
    text = order.request.query.get("maxresults", str(_PAGE))
    if not (text.isascii() and text.isdecimal()) or not 1 <= int(text) <= _PAGE:
        raise refusal(Reason.INVALID_QUERY, name="maxresults")
    return int(text)


def _skipped(order: Order) -> str:
    token = order.request.query.get("$skiptoken", "")
    try:
        return base64.b64decode(token, altchars=b"-_", validate=True).decode()
    except ValueError as error:
        raise refusal(Reason.INVALID_QUERY, name="$skiptoken") from error


def _next_link(order: Order, last: str) -> str:
    """Key Vault names its port here, and only here; the page size only if the caller did."""
    base = order.base if ":" in order.base.removeprefix("https://") else f"{order.base}:443"
    token = quote(base64.urlsafe_b64encode(last.encode()))
    size = order.request.query.get("maxresults")
    query = f"api-version={order.api_version}&$skiptoken={token}"
    query += f"&maxresults={size}" if size else ""
    return f"{base}{order.request.path}?{query}"
