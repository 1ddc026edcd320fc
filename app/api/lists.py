"""Lists: filters and pages. A typo must not list everything, nor a repeated filter half of it.

The number of parameters is looked at before FastAPI reads them, which takes it the square of that.
"""

import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, Final, TypeVar

from fastapi import Depends
from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from app.api import faults
from app.api.callers import Called
from app.audit import Action
from app.deployment.model import State
from app.errors import Fault, InvalidRequest
from app.store import DeploymentFilter, EventFilter, Page

T = TypeVar("T")

_MOST_PARAMETERS: Final = 100  # of all lists none knows as many

# RFC 3339, section 5.6
_INSTANT: Final = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)


async def _each_once(call: Called) -> None:
    """Refuse repeated parameters, of which one would be taken, and more than one should look at."""
    query: bytes = call.request.scope["query_string"]
    if query.count(b"&") >= _MOST_PARAMETERS:
        text = f"Send {_MOST_PARAMETERS} parameters at the most."
        raise InvalidRequest((Fault(field="*", code="too-many", message=text),))
    named = Counter(name for name, _ in call.request.query_params.multi_items())
    repeated = tuple(
        Fault(field=faults.path([name]), code="repeated", message="Send this parameter once.")
        for name, times in named.items()
        if times > 1
    )
    if repeated:
        raise InvalidRequest(repeated)


EachOnce = Annotated[None, Depends(_each_once)]


def _instant(text: object) -> object:
    if isinstance(text, str) and _INSTANT.fullmatch(text):
        try:
            return datetime.fromisoformat(text.upper()).astimezone(UTC)
        except (ValueError, OverflowError):  # the latter before year 1 or after 9999
            pass
    raise PydanticCustomError(
        "time-invalid", "Write RFC 3339 with an offset, such as 2026-03-01T12:00:00Z."
    )


Instant = Annotated[AwareDatetime, BeforeValidator(_instant)]
Name = Annotated[str, Field(max_length=1024)]


class Listing(BaseModel):
    """What every list takes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    page_size: int = Field(default=50, ge=1, le=500, description="Entries of a page.")
    cursor: str | None = Field(
        default=None, max_length=1024, description="`next_cursor` of the page before."
    )
    created_after: Instant | None = Field(default=None, description="RFC 3339, exclusive.")
    created_before: Instant | None = Field(default=None, description="RFC 3339, exclusive.")


class DeploymentListing(Listing):
    """Which deployments are wanted."""

    target_type: Name | None = None
    state: State | None = None
    certificate_id: Name | None = Field(default=None, description="`metadata.certificate_id`.")
    vault_url: Name | None = None
    certificate_name: Name | None = None

    def wanted(self) -> DeploymentFilter:
        """In the store's words."""
        return DeploymentFilter(
            target_type=self.target_type,
            state=self.state,
            certificate_id=self.certificate_id,
            vault_url=self.vault_url and self.vault_url.lower().rstrip("/"),
            certificate_name=self.certificate_name,
            created_after=self.created_after,
            created_before=self.created_before,
        )


class EventListing(Listing):
    """Which audit events are wanted."""

    action: Action | None = None
    actor: Name | None = None
    resource_type: Name | None = None
    resource_id: Name | None = None
    target_type: Name | None = None
    state: State | None = None
    certificate_id: Name | None = Field(default=None, description="`metadata.certificate_id`.")
    vault_url: Name | None = None
    certificate_name: Name | None = None

    def wanted(self) -> EventFilter:
        """In the store's words."""
        return EventFilter(
            action=self.action,
            actor=self.actor,
            resource_type=self.resource_type,
            resource_id=self.resource_id,
            target_type=self.target_type,
            state=self.state,
            certificate_id=self.certificate_id,
            vault_url=self.vault_url and self.vault_url.lower().rstrip("/"),
            certificate_name=self.certificate_name,
            created_after=self.created_after,
            created_before=self.created_before,
        )


async def rest(first: Page[T], turn: Callable[[str], Awaitable[Page[T]]]) -> AsyncIterator[T]:
    """The entries of the *first* page and of all after it; *turn* gets the page of a cursor."""
    page = first
    while True:
        for entry in page.data:
            yield entry
        if page.next_cursor is None:
            return
        page = await turn(page.next_cursor)
