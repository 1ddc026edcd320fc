"""Workload identity federation: the emulator's own token issuer, and what Entra checks of a token.

An application trusts one subject of this issuer. The order of Entra's checks is not known; here
who the token is for comes first, then whether it is genuine, then whether it is in time.
"""

import datetime as dt
from dataclasses import dataclass
from typing import Any

from app.emulator.clock import Clock
from app.emulator.entra import Sts, rejection
from app.emulator.tokens import Tokens, claims_of

AUDIENCE = "api://AzureADTokenExchange"
ISSUER = "https://oidc.embedded-key-vault.invalid/"
LIFETIME = 3600
"""Seconds a federated token is valid; what Kubernetes gives a projected token by default."""


def usual_subject(client_id: str) -> str:
    """The subject an application trusts unless told otherwise: a service account named for it."""
    return f"system:serviceaccount:default:{client_id}"


@dataclass(frozen=True, kw_only=True)
class Federation:
    """Issues federated tokens and checks them as client assertions."""

    tokens: Tokens
    clock: Clock

    def issue(self, *, subject: str, audience: str = AUDIENCE, seconds: float = LIFETIME) -> str:
        """A signed token for a subject, valid for so many seconds of the emulator's clock."""
        now = int(self.clock.now())
        times = {"iat": now, "nbf": now, "exp": int(now + seconds)}
        return self.tokens.sign({"iss": ISSUER, "sub": subject, "aud": audience, **times})

    def check(self, assertion: str, *, subject: str) -> None:
        """Raise Refusal unless the assertion proves this subject."""
        claims = _read(assertion)
        for name, wanted, reason in (
            ("iss", ISSUER, Sts.ISSUER),
            ("sub", subject, Sts.SUBJECT),
            ("aud", AUDIENCE, Sts.AUDIENCE),
        ):
            if claims.get(name) != wanted:
                raise rejection(reason, what=reason.name.lower(), found=claims.get(name))
        if not self.tokens.signed(assertion):
            raise rejection(Sts.SIGNATURE, issuer=ISSUER)
        begin, end = claims.get("nbf", 0), claims.get("exp", 0)
        if not begin <= self.clock.now() < end:
            now = int(self.clock.now())
            raise rejection(Sts.TIME, now=_time(now), begin=_time(begin), end=_time(end))


def _read(assertion: str) -> dict[str, Any]:
    try:
        return claims_of(assertion)
    except ValueError as error:
        raise rejection(Sts.MALFORMED) from error


def _time(seconds: int) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
