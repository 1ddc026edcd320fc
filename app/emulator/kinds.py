"""Kinds of values: what each property of a body must be, before anything is done with it.

Unknown is how Azure treats a value of another kind; here it is refused, since what was once
stored would spoil every later look at the vault.
"""

from typing import Any, Final

Kind = type | dict[str, Any] | list[Any]
"""A type; an object by its properties; or a list, by the one kind of its items."""

ATTRIBUTES: Final[Kind] = {"enabled": bool}
POLICY: Final[Kind] = {
    "key_props": {
        "exportable": bool,
        "kty": str,
        "key_size": int,
        "reuse_key": bool,
        "crv": str,
    },
    "secret_props": {"contentType": str},
    "x509_props": {
        "subject": str,
        "sans": {
            "emails": [str],
            "dns_names": [str],
            "upns": [str],
            "uris": [str],
            "ipAddresses": [str],
        },
        "ekus": [str],
        "key_usage": [str],
        "validity_months": int,
        "basic_constraints": {"ca": bool},
    },
    "lifetime_actions": [
        {
            "trigger": {"lifetime_percentage": int, "days_before_expiry": int},
            "action": {"action_type": str},
        }
    ],
    "issuer": {"name": str},
}


def fits(value: object, kind: Kind) -> bool:
    """Whether a value is of a kind; properties that are not named may be anything."""
    if isinstance(kind, dict):
        return isinstance(value, dict) and all(
            fits(part, kind[name]) for name, part in value.items() if name in kind
        )
    if isinstance(kind, list):
        return isinstance(value, list) and all(fits(one, kind[0]) for one in value)
    # to Python, and to nobody else, a truth is a number
    return isinstance(value, kind) and (kind is not int or not isinstance(value, bool))
