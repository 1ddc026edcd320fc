"""The registry: target type → connector. A new connector is a package, and a line here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Protocol

from pydantic import BaseModel

from app.connectors import azure_key_vault
from app.deployment.connector import Connector
from app.sealing import Wrapping


class OpenWrapping(Wrapping, Protocol):
    """A wrapping over connections, which are closed at the end."""

    async def aclose(self) -> None:
        """Close what is open."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of target: its type as certctl writes it, and how to make its connector.

    Args:
        options: the operator's settings for this kind, a group of the service's settings.
        config: the typed target configuration of a request.
        settings: the name of that group, such as `azure`.
        type: such as `AzureKeyVault`; a part of the paths.
        title: for people.
        validate_only: whether the target has a dry run.
        build: makes the connector and opens nothing yet. It is given the options, the process
            `environment`, `counted` (told of every answer of a target: the operation, and its
            status or `none`), `waited` (told of every call that waited for the target's budget:
            the operation, and the seconds) and the clock `now`; and, where there are more
            replicas than this, `share`, which says our part of each budget.
        build_wrapping: makes what seals a queue with keys kept where the targets are, or `None`
            where the options name none. It is given what `build` is, without the clock.
    """

    options: type[BaseModel]
    config: type[BaseModel]
    settings: str
    type: str
    title: str
    validate_only: bool
    build: Callable[..., Connector]
    build_wrapping: Callable[..., OpenWrapping | None]


REGISTRY: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        kind.type: kind
        for kind in (
            Kind(
                type="AzureKeyVault",
                title="Azure Key Vault",
                settings="azure",
                options=azure_key_vault.AzureOptions,
                config=azure_key_vault.AzureKeyVaultTarget,
                validate_only=False,
                build=azure_key_vault.build,
                build_wrapping=azure_key_vault.build_wrapping,
            ),
        )
    }
)
