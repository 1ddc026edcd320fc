"""Keys, certificates and request bodies, all made before anything is measured.

The certificates have a chain of RSA, as public authorities have; the keys are made by as many
processes as there are cores, since a key of 4096 bits takes a second.
"""

import base64
import multiprocessing
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Final, cast

import orjson
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)

from app import pki
from tests import certificates
from tests.certificates import Issued

VAULT_URL: Final = "https://bench.vault.azure.net"
RSA_2048: Final = "RSA-2048"
_BITS: Final = {RSA_2048: 2048, "RSA-3072": 3072, "RSA-4096": 4096}
EC: Final = "EC P-256"
KINDS: Final = (*_BITS, EC)
_EC_LEAVES: Final = 60
_AUTHORITY_KEYS: Final = 3  # of the root, of the intermediate, of the previous version


@dataclass(frozen=True, kw_only=True)
class Leaf:
    """A certificate that can be deployed, its PFX, and its part of a request."""

    pfx: bytes = field(repr=False)
    request: dict[str, str] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Material:
    """The leaves of each kind, and the PFX of the version that every name holds before."""

    before: bytes = field(repr=False)
    leaves: Mapping[str, tuple[Leaf, ...]]

    def request(self, name: str, kind: str, number: int, vault_url: str = VAULT_URL) -> bytes:
        """The body of a deploy request; leaf *number* of its kind, counted round."""
        leaf = self.leaves[kind][number % len(self.leaves[kind])]
        target = {
            "vault_url": vault_url,
            "certificate_name": name,
            "tags": {"env": "production"},
            "credential_mode": "client_secret",
        }
        metadata = {"certificate_id": name}
        return orjson.dumps({**leaf.request, "target_config": target, "metadata": metadata})

    def pfx(self) -> list[str]:
        """The PFX of every RSA-2048 leaf, in base64, for the bare script."""
        return [base64.b64encode(leaf.pfx).decode() for leaf in self.leaves[RSA_2048]]


def make(counts: Mapping[str, int]) -> Material:
    """Make *counts* leaves of each kind, each with a key of its own."""
    wanted = [RSA_2048] * _AUTHORITY_KEYS
    wanted += [kind for kind in KINDS for _ in range(counts[kind])]
    order = sorted(range(len(wanted)), key=lambda place: -_BITS.get(wanted[place], 0))
    keys: dict[int, certificates.Key] = {}
    # Not forked: whoever calls may have threads.
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
        made = pool.map(_new_key, [wanted[place] for place in order])
        for place, der in zip(order, made, strict=True):
            key = load_der_private_key(der, None, unsafe_skip_rsa_key_validation=True)
            keys[place] = cast(certificates.Key, key)
    root = certificates.self_signed("Bench Root", key=keys[0], ca=True)
    issuer = root.issue("Bench Intermediate", key=keys[1], ca=True, days=1800)
    leaves: dict[str, list[Leaf]] = {kind: [] for kind in KINDS}
    for place, kind in enumerate(wanted[_AUTHORITY_KEYS:], start=_AUTHORITY_KEYS):
        leaves[kind].append(_leaf(issuer.issue(key=keys[place])))
    return Material(
        before=_pfx(issuer.issue(key=keys[2])),
        leaves={kind: tuple(some) for kind, some in leaves.items()},
    )


def of_ec() -> Material:
    """Leaves of the kind that is made, and handled, in no time."""
    return make({kind: _EC_LEAVES if kind == EC else 0 for kind in KINDS})


def _new_key(kind: str) -> bytes:
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
    if kind in _BITS:
        key = rsa.generate_private_key(public_exponent=65537, key_size=_BITS[kind])
    else:
        key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def _leaf(issued: Issued) -> Leaf:
    texts = {
        "cert_pem": issued.cert_pem,
        "chain_pem": issued.chain_pem,
        "key_pem": issued.key_pem,
    }
    return Leaf(pfx=_pfx(issued), request=texts)


def _pfx(issued: Issued) -> bytes:
    return pki.pfx(issued.leaf, issued.chain, cast(pki.PrivateKey, issued.key))
