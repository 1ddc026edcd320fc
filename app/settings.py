"""What can be configured. Read once, by `main`, and handed on in pieces.

Every name has the prefix `CERTCTL_CONNECTORS_`, groups are joined by `__`
(`CERTCTL_CONNECTORS_HTTP__PORT=8080`), and an unknown name is refused. A connector brings its
own group, so a new one changes nothing here.
"""

import ipaddress
import os
from collections.abc import Mapping
from typing import Any, Final, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    create_model,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

S = TypeVar("S", bound=BaseSettings)
PREFIX: Final = "CERTCTL_CONNECTORS_"
_LISTS: Final = (
    f"A setting that is a list or a mapping is not written as one. Write a JSON list, such as "
    f"{PREFIX}AZURE__ALLOWED_VAULTS='[\"prod-*\"]', or a JSON object."
)
_BEATS_UNTIL_SILENT: Final = 3
_GROUP: Final = ConfigDict(extra="forbid", frozen=True)


class Http(BaseModel):
    """Where the service listens."""

    model_config = _GROUP

    host: str = Field(default="127.0.0.1", description="The address to listen on.")
    port: int = Field(default=8080, ge=0, le=65535, description="The port; 0 takes a free one.")
    metrics_port: int | None = Field(
        default=None, ge=0, le=65535, description="Serve /metrics there instead, on a port apart."
    )
    docs: bool = Field(default=True, description="Serve `/docs` and `/openapi.json`.")

    @model_validator(mode="after")
    def _listens_on_two_ports(self) -> Self:
        if self.port != 0 and self.metrics_port == self.port:
            raise ValueError(
                "HTTP__METRICS_PORT is HTTP__PORT. Set another port, or leave it out: then "
                "/metrics is served with the API."
            )
        return self


class StoreGroup(BaseModel):
    """Where the record is kept."""

    model_config = _GROUP

    url: SecretStr = Field(
        default=SecretStr("sqlite:///data/certctl-connectors.db"),
        description="A SQLite file (three slashes for a relative path, four for an absolute one), "
        "or `postgresql://user:password@host/database`.",
    )
    idempotency_days: float = Field(
        default=7, gt=0, le=365, description="Days an Idempotency-Key is remembered."
    )
    deployment_days: float = Field(
        default=365, gt=0, le=36500, description="Days a finished deployment is kept."
    )
    audit_days: float | None = Field(
        default=None, gt=0, le=36500, description="Days an audit event is kept; none is for ever."
    )

    @property
    def in_postgres(self) -> bool:
        """Whether the record is in PostgreSQL, and not in a file."""
        return self.url.get_secret_value().startswith(("postgresql:", "postgres:"))

    @model_validator(mode="after")
    def _keeps_what_a_key_stands_for(self) -> Self:
        if self.deployment_days < self.idempotency_days:
            raise ValueError(
                "STORE__DEPLOYMENT_DAYS is less than STORE__IDEMPOTENCY_DAYS, and a repeated "
                "request is answered with its first deployment. Keep deployments at least as long."
            )
        return self


class AccessGroup(BaseModel):
    """Who may call."""

    model_config = _GROUP

    mode: Literal["required", "disabled"] = Field(
        default="required", description="`disabled` only while listening on loopback."
    )
    file: str | None = Field(
        default=None, description="The TOML file of callers; `python -m app token new` adds one."
    )


class WorkerGroup(BaseModel):
    """How much runs at once, and how long it may take."""

    model_config = _GROUP

    concurrency: int = Field(
        default=64, ge=1, le=1024, description="Deployments that run side by side."
    )
    queue_limit: int = Field(
        default=1000, ge=1, le=100_000, description="Deployments that may wait; then 503."
    )
    deadline_s: float = Field(
        default=120, gt=0, le=3600, description="Seconds for a deployment up to its read-back."
    )
    rollback_s: float = Field(
        default=120,
        gt=0,
        le=3600,
        description="Seconds for a rollback after that. Less than 30 is too short to look for a "
        "lost import, which may land until 28 s after it was sent: one that never landed then "
        "ends `rollback_failed`.",
    )
    drain_s: float = Field(
        default=25, ge=0, le=3600, description="Seconds to finish what runs after SIGTERM."
    )


class QueueGroup(BaseModel):
    """Where accepted deployments wait, and how a dead replica is found."""

    model_config = _GROUP

    mode: Literal["memory", "postgres"] = Field(
        default="memory", description="`postgres` for many replicas; it needs a sealing key."
    )
    sealing_keys: SecretStr | None = Field(
        default=None,
        description="Keys that seal what waits, newest first; `python -m app sealing-key`.",
    )
    sealing_keys_file: str | None = Field(
        default=None, description="A file of them instead, one a line; read at the start."
    )
    heartbeat_s: float = Field(
        default=5, gt=0, le=60, description="Seconds between two signs of life of a replica."
    )
    takeover_s: float = Field(
        default=20, gt=0, le=600, description="Seconds of silence until its work is taken over."
    )

    @model_validator(mode="after")
    def _is_sound(self) -> Self:
        if self.takeover_s < _BEATS_UNTIL_SILENT * self.heartbeat_s:
            raise ValueError(
                "QUEUE__TAKEOVER_S must be three times QUEUE__HEARTBEAT_S at least, or replicas "
                "that live would be taken for dead."
            )
        if self.sealing_keys is not None and self.sealing_keys_file is not None:
            raise ValueError("Set QUEUE__SEALING_KEYS or QUEUE__SEALING_KEYS_FILE, not both.")
        return self


class LogGroup(BaseModel):
    """How the log is written."""

    model_config = _GROUP

    format: Literal["json", "console"] = Field(
        default="json", description="`json` lines, or `console` for people."
    )
    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least level that is written."
    )


class Settings(BaseSettings):
    """Everything that can be configured, but for the groups that connectors bring."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True
    )

    build: str = Field(default="dev", description="The commit of this build; the image sets it.")
    http: Http = Field(default_factory=Http)
    store: StoreGroup = Field(default_factory=StoreGroup)
    access: AccessGroup = Field(default_factory=AccessGroup)
    worker: WorkerGroup = Field(default_factory=WorkerGroup)
    queue: QueueGroup = Field(default_factory=QueueGroup)
    log: LogGroup = Field(default_factory=LogGroup)

    @model_validator(mode="after")
    def _is_safe(self) -> Self:
        if self.access.mode == "disabled" and not _is_loopback(self.http.host):
            raise ValueError(
                f"{PREFIX}ACCESS__MODE=disabled is only allowed while listening on loopback, "
                f"and {PREFIX}HTTP__HOST is not a loopback address. Keep access required."
            )
        return self

    @model_validator(mode="after")
    def _queues_where_it_records(self) -> Self:
        if (self.queue.mode == "postgres") != self.store.in_postgres:
            raise ValueError(
                f"{PREFIX}QUEUE__MODE=postgres and {PREFIX}STORE__URL=postgresql://... go "
                "together: replicas on one record must know of each other's work. Set both, or "
                "neither."
            )
        return self

    def group(self, name: str) -> Any:  # noqa: ANN401 - the connector knows its own group
        """A connector's group of options."""
        return getattr(self, name)


class _StoreAlone(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", extra="ignore", frozen=True
    )

    store: StoreGroup = Field(default_factory=StoreGroup)


class Unusable(ValueError):
    """The settings cannot be used; the text says which and why."""


def read(groups: Mapping[str, type[BaseModel]]) -> Settings:
    """The settings of the process environment, with the *groups* that connectors bring.

    Raises:
        Unusable: a value or a name is wrong; no value is repeated in the text.
    """
    names = environment_of_process()
    fields: dict[str, Any] = {
        name: (group, Field(default_factory=group)) for name, group in groups.items()
    }
    made = create_model("Settings", __base__=Settings, **fields)
    known = {*Settings.model_fields, *groups}
    unknown = [name for name in names if name.startswith(PREFIX) and not _known(name, known)]
    if unknown:
        raise Unusable(f"Unknown setting: {', '.join(sorted(unknown))}.")
    return _taken(made)


def read_store() -> StoreGroup:
    """Where the record is kept, by itself: whatever else is configured is not looked at.

    Raises:
        Unusable: as `read`.
    """
    return _taken(_StoreAlone).store


def environment_of_process() -> dict[str, str]:
    """The process environment; nobody else reads it."""
    return dict(os.environ)  # noqa: TID251 - this is the one place


def _taken(kind: type[S]) -> S:
    try:
        return kind()
    except ValidationError as error:
        raise Unusable(_sentence(error)) from None
    except SettingsError:  # a value that should be JSON is not; pydantic does not say which
        raise Unusable(_LISTS) from None


def _known(name: str, groups: set[str]) -> bool:
    return name.removeprefix(PREFIX).partition("__")[0].lower() in groups


def _sentence(error: ValidationError) -> str:
    faults = []
    for fault in error.errors(include_input=False, include_url=False, include_context=False):
        path = "__".join(str(part) for part in fault["loc"]).upper()
        text = fault["msg"].removeprefix("Value error, ")
        if fault["type"] == "extra_forbidden":
            text = "Unknown setting."
        faults.append(f"{PREFIX}{path}: {text}" if path else text)
    return " ".join(faults)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
