"""The requests, as they come over the wire: strict, and nothing unknown in them.

Keys are `SecretStr`: no repr and no error shows one. `DeployRequest[Config]` and its like are
typed with a connector's configuration, so that OpenAPI describes each connector.
"""

from functools import cache
from typing import Annotated, Final, Generic, TypeVar, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    create_model,
    model_validator,
)
from pydantic_core import PydanticCustomError

from app.deployment.model import Insist
from app.pki import serial_text

Config = TypeVar("Config", bound=BaseModel)
Model = TypeVar("Model", bound=BaseModel)

_SERIAL: Final = r"^(0[xX])?[0-9A-Fa-f]+(:[0-9A-Fa-f]+)*$"
_THUMBPRINT: Final = r"^[0-9A-Fa-f]{2}(:?[0-9A-Fa-f]{2}){31}$"


def _serial(text: str) -> str:
    digits = text.lower().removeprefix("0x").replace(":", "")
    return serial_text(int(digits, 16))


def _thumbprint(text: str) -> str:
    return text.lower().replace(":", "")


Metadata = Annotated[
    dict[
        Annotated[str, Field(min_length=1, max_length=128)],
        Annotated[str, Field(max_length=1024)],
    ],
    Field(
        max_length=32,
        description="Kept on the record; `certificate_id` also becomes the provenance tag, and "
        "without it there is none.",
        examples=[{"certificate_id": "mc-api-prod", "job_id": "job-123"}],
    ),
]
Serial = Annotated[
    str,
    Field(
        pattern=_SERIAL,
        max_length=128,
        description="Hex; case, colons, leading zeros and `0x` do not matter.",
        examples=["04:a1:b2:c3"],
    ),
    AfterValidator(_serial),
]
Thumbprint = Annotated[
    str,
    Field(
        pattern=_THUMBPRINT,
        description="SHA-256 of the leaf's DER in hex; case and colons do not matter.",
        examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"],
    ),
    AfterValidator(_thumbprint),
]


class Request(BaseModel):
    """A request: strict, and nothing unknown in it."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ConfigRequest(Request, Generic[Config]):
    """The configuration of one target."""

    target_config: Config


class DeployRequest(Request, Generic[Config]):
    """A certificate, its chain and its key, and the target to put them into."""

    cert_pem: str = Field(
        description="The leaf in PEM; it may be followed by its chain.",
        examples=["-----BEGIN CERTIFICATE-----\n…\n-----END CERTIFICATE-----\n"],
    )
    chain_pem: str = Field(
        default="",
        description="The rest of the chain in PEM, in any order; a root is dropped.",
        examples=["-----BEGIN CERTIFICATE-----\n…\n-----END CERTIFICATE-----\n"],
    )
    key_pem: SecretStr = Field(
        description="The leaf's key in PEM: PKCS#8, PKCS#1 or SEC1, unencrypted.",
        examples=["-----BEGIN PRIVATE KEY-----\n…\n-----END PRIVATE KEY-----\n"],
    )
    target_config: Config
    metadata: Metadata = Field(default_factory=dict)
    previous_key_pem: SecretStr | None = Field(
        default=None,
        description="The key of the certificate served now, which makes a rollback possible.",
        examples=[None],
    )
    rollback: Insist = Field(
        default=Insist.BEST_EFFORT,
        description="`required` refuses to change anything when it could not be undone.",
    )
    expected_version: str | None = Field(
        default=None,
        max_length=256,
        description='Change nothing unless this is the current version; `""` is none yet.',
        examples=[None],
    )
    expected_plan_hash: str | None = Field(
        default=None,
        max_length=64,
        description="Change nothing unless the plan is still this one, as `plan` answered it.",
        examples=[None],
    )
    force: bool = Field(
        default=False, description="Import even what the target already serves just so."
    )


class ValidateDeploymentRequest(Request, Generic[Config]):
    """Which certificate the target should serve: by serial, by thumbprint, or by both."""

    target_config: Config
    serial: Serial | None = None
    thumbprint: Thumbprint | None = None
    metadata: Metadata = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_of_them(self) -> "ValidateDeploymentRequest[Config]":
        if self.serial is None and self.thumbprint is None:
            raise PydanticCustomError("serial-or-thumbprint", "Send serial, thumbprint, or both.")
        return self


@cache
def of(model: type[Model], config: type[BaseModel]) -> type[Model]:
    """The generic *model*, typed with a connector's configuration.

    `DeployRequest` of `AzureKeyVaultTarget` is `AzureKeyVaultDeployRequest` in OpenAPI.
    """
    name = f"{config.__name__.removesuffix('Target')}{model.__name__}"
    typed = cast(type[Model], model.__class_getitem__(config))
    return create_model(name, __base__=typed, __doc__=model.__doc__)
