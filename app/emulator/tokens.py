"""Access tokens: made by the login endpoints, checked by every vault.

They look like Entra's (a JWT with issuer, audience, expiry) but are signed with a random key
of this process, so a token of one emulator is worth nothing anywhere else.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
import uuid
from dataclasses import dataclass
from typing import Any

import orjson

from app.emulator.clock import Clock
from app.emulator.refusals import Reason, Refusal, refusal

LIFETIME = 3599
"""Seconds a token is valid; Entra's usual hour."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """Who calls: the application, its object id and the issuer of its token."""

    client_id: str
    object_id: str
    issuer: str


def object_id(client_id: str) -> str:
    """A stable object id for an application."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, client_id))


class Tokens:
    """Makes and checks tokens of one tenant."""

    def __init__(self, *, tenant_id: str, clock: Clock) -> None:
        self._key = secrets.token_bytes(32)
        self._clock = clock
        self._tenant_id = tenant_id
        self.issuer = f"https://sts.windows.net/{tenant_id}/"

    def issue(self, *, audience: str, client_id: str) -> str:
        """A signed token for an application and a resource (without trailing slash)."""
        now = int(self._clock.now())
        claims = {
            "aud": audience,
            "iss": self.issuer,
            "iat": now,
            "nbf": now,
            "exp": now + LIFETIME,
            "appid": client_id,
            "oid": object_id(client_id),
            "tid": self._tenant_id,
            "ver": "1.0",
        }
        return self.sign(claims)

    def sign(self, claims: dict[str, Any]) -> str:
        """Any claims as a token; tests forge wrong issuers with it."""
        header = _encode(b'{"typ":"JWT","alg":"HS256"}')
        payload = f"{header}.{_encode(orjson.dumps(claims))}"
        return f"{payload}.{self._signature(payload)}"

    def signed(self, token: str) -> bool:
        """Whether the signature is ours."""
        payload, _, signature = token.rpartition(".")
        return hmac.compare_digest(signature.encode(), self._signature(payload).encode())

    def check(self, token: str, *, audience: str) -> Identity:
        """The identity a token proves. Raises Refusal (401)."""
        if not self.signed(token):
            raise _unsigned()
        claims = claims_of(token)
        if claims.get("iss") != self.issuer:
            raise refusal(Reason.WRONG_ISSUER, expected=self.issuer, found=claims.get("iss"))
        if claims.get("aud") != audience:
            raise refusal(Reason.WRONG_AUDIENCE, expected=audience, found=claims.get("aud"))
        if claims.get("exp", 0) <= self._clock.now():
            raise refusal(Reason.INVALID_TOKEN, why="the token has expired")
        return Identity(client_id=claims["appid"], object_id=claims["oid"], issuer=claims["iss"])

    def _signature(self, payload: str) -> str:
        return _encode(hmac.digest(self._key, payload.encode(), hashlib.sha256))


def claims_of(token: str) -> dict[str, Any]:
    """What a token says, whoever signed it. Raises ValueError unless it is a JWT."""
    _, payload, _ = token.split(".")
    claims: object = orjson.loads(_decode(payload))
    if isinstance(claims, dict):
        return claims
    raise ValueError("the claims are no JSON object")


def _unsigned() -> Refusal:
    return refusal(Reason.INVALID_TOKEN, why="the signature is invalid")


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return binascii.a2b_base64(text.replace("-", "+").replace("_", "/") + "==")
