"""What a key looks like wherever it could be written, and everything that is written."""

import base64
from collections.abc import Iterator
from dataclasses import asdict

import orjson
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from app.deployment import trail
from app.deployment.model import Deployment
from tests import certificates


def numbers(key: certificates.Key) -> Iterator[int]:
    if isinstance(key, rsa.RSAPrivateKey):
        private = key.private_numbers()
        yield from (private.d, private.p, private.q, private.dmp1, private.dmq1, private.iqmp)
    else:
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        yield key.private_numbers().private_value


def needles(key: certificates.Key) -> Iterator[str]:
    """Every way a part of *key* could be written: hex, decimal, base64 at any alignment, PEM."""
    for number in numbers(key):
        raw = number.to_bytes((number.bit_length() + 7) // 8, "big")
        yield from (f"{number:x}", f"{number:X}", str(number), raw.hex(":"))
        yield repr(raw)[2:-1][:40]
        for shift in range(3):
            encoded = base64.b64encode(bytes(shift) + raw + bytes(2)).decode()
            yield encoded[4:36]  # whole in raw, whatever stands before and after
            yield encoded[4:36].replace("+", "-").replace("/", "_")
    for form in (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL):
        pem = key.private_bytes(Encoding.PEM, form, NoEncryption()).decode()
        yield from (line for line in pem.splitlines()[2:-1] if len(line) == 64)


def written(deployments: tuple[Deployment, ...]) -> str:
    """Everything that could be written of them: records, events, representations."""
    events = [trail.event(one, id="evt-1", at=one.created_at) for one in deployments]
    options = orjson.OPT_NON_STR_KEYS
    return "\n".join(
        (
            repr(deployments),
            repr(events),
            orjson.dumps(
                [asdict(one) for one in deployments], default=str, option=options
            ).decode(),
            orjson.dumps([asdict(one) for one in events], default=str, option=options).decode(),
        )
    )
