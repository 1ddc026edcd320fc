"""What is accepted as a certificate, its chain and its key, and what is refused, and why."""

import base64
import copy
import pickle
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    pkcs12,
)
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from app import pki
from app.errors import FAULTS, Fault
from app.pki import Bundle
from tests import certificates as made
from tests.certificates import NOW, Authority, Issued, Key


@dataclass(frozen=True)
class Sent:
    """What a caller sends."""

    cert: str
    key: str
    chain: str = ""

    def parse(self) -> tuple[Bundle | None, tuple[Fault, ...]]:
        return pki.parse(self.cert, self.chain, self.key, now=NOW)

    def accepted(self) -> Bundle:
        bundle, faults = self.parse()
        assert bundle is not None, faults
        return bundle

    def refused(self) -> list[str]:
        bundle, faults = self.parse()
        assert bundle is None
        return sorted(f"{fault.field} {fault.code}" for fault in faults)


def _sent(issued: Issued) -> Sent:
    return Sent(cert=issued.cert_pem, chain=issued.chain_pem, key=issued.key_pem)


def _good(ca: Authority, key: Key | None = None) -> Sent:
    return _sent(ca.issue(key=key))


Case = Callable[[Authority], Sent]
_PARAMETERS = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"


def _but(change: Callable[[Sent], Sent]) -> Case:
    """What is good but for one *change*."""
    return lambda ca: change(_good(ca))


def _with_key(change: Callable[[str], str]) -> Case:
    return _but(lambda sent: replace(sent, key=change(sent.key)))


def _with_cert(change: Callable[[str], str]) -> Case:
    return _but(lambda sent: replace(sent, cert=change(sent.cert)))


def _rewritten(change: Callable[[str], str]) -> Case:
    return _but(lambda sent: Sent(change(sent.cert), change(sent.key), change(sent.chain)))


def _in_one_field(sent: Sent) -> Sent:
    return Sent(sent.cert + sent.chain, sent.key)


def _traditional(key: Callable[[], Key], before: str = "") -> Case:
    return lambda ca: replace(
        _good(ca, made_key := key()), key=before + made.key_pem(made_key, "traditional")
    )


_FORMS: Final[dict[str, Case]] = {
    "PKCS#8-RSA": lambda ca: _good(ca, made.rsa_key(2048)),
    "PKCS#1": _traditional(made.rsa_key),
    "RSA-3072": lambda ca: _good(ca, made.rsa_key(3072)),
    "RSA-4096": lambda ca: _good(ca, made.rsa_key(4096)),
    "PKCS#8-EC": _good,
    "SEC1": _traditional(made.ec_key),
    "P-384": lambda ca: _good(ca, made.ec_key(ec.SECP384R1())),
    "P-521": lambda ca: _good(ca, made.ec_key(ec.SECP521R1())),
    "lines-as-in-Windows": _rewritten(lambda text: text.replace("\n", "\r\n")),
    "text-around-the-blocks": _rewritten(lambda text: f"subject=CN - x\n{text}\nend"),
    "parameters-before-the-key": _traditional(made.ec_key, _PARAMETERS),
    "certificates-beside-the-key": _but(lambda sent: replace(sent, key=sent.cert + sent.key)),
    "the-chain-behind-the-leaf": _but(lambda sent: replace(sent, cert=sent.cert + sent.chain)),
    "all-in-one-field": _but(_in_one_field),
    "the-leaf-behind-its-chain": _but(
        lambda sent: replace(sent, cert=sent.chain + sent.cert, chain="")
    ),
}


@pytest.mark.parametrize("case", _FORMS.values(), ids=_FORMS)
def test_a_certificate_with_its_chain_and_key_is_accepted(case: Case, ca: Authority) -> None:
    bundle = case(ca).accepted()

    assert bundle.chain == (ca.intermediate.leaf,)
    assert bundle.fits(bundle.leaf)
    assert bundle.notices == ()


def _rsa(**changes: Callable[[dict[str, int]], int]) -> Case:
    """An RSA key some of whose numbers are others."""

    def case(ca: Authority) -> Sent:
        key, own = made.rsa_key(), _numbers()
        changed = {name: change(own) for name, change in changes.items()}
        return replace(_good(ca, key), key=made.rsa_pem(key, **changed))

    return case


def _is(number: int) -> Callable[[object], int]:
    return lambda _: number


def _d_off(fits: str, by: str | None = None) -> Callable[[dict[str, int]], int]:
    """A `d` that is right for one prime only, or its remainder for the other."""

    def number(own: dict[str, int]) -> int:
        d = own["d"] + own[fits] - 1
        return d if by is None else d % (own[by] - 1)

    return number


def _off(name: str, by: int = 2) -> Case:
    return _rsa(**{name: lambda own: own[name] + by})


def _numbers() -> dict[str, int]:
    own = made.rsa_key(2048).private_numbers()
    names = ("d", "p", "q", "dmp1", "dmq1", "iqmp")
    return {"n": own.public_numbers.n, **{name: getattr(own, name) for name in names}}


def _extended(*extensions: x509.ExtensionType) -> Case:
    return lambda ca: _sent(ca.intermediate.issue(names=(), extensions=extensions))


def _alone(issued: Issued, old: bytes, new: bytes) -> Sent:
    return Sent(cert=made.patched(issued.leaf, old, new), key=issued.key_pem)


def _serial(new: str) -> Case:
    old = bytes.fromhex("0203123456")
    return lambda ca: _alone(ca.intermediate.issue(serial=0x123456), old, bytes.fromhex(new))


def _wide_exponent() -> rsa.RSAPrivateKey:
    """A key whose public exponent is as long as its modulus: slow to verify with."""
    own = made.rsa_key(2048).private_numbers()
    d, phi = 65537, (own.p - 1) * (own.q - 1)
    public = rsa.RSAPublicNumbers(pow(d, -1, phi), own.public_numbers.n)
    dmp1, dmq1 = d % (own.p - 1), d % (own.q - 1)
    numbers = rsa.RSAPrivateNumbers(own.p, own.q, d, dmp1, dmq1, own.iqmp, public)
    return numbers.private_key(unsafe_skip_rsa_key_validation=True)


def _year_zero(ca: Authority) -> Sent:
    issued = ca.issue(days=20_000)
    end = issued.leaf.not_valid_after_utc.strftime("%Y%m%d%H%M%SZ").encode()
    return _alone(issued, end, b"00000101000000Z")


def _not_ca(ca: Authority) -> Sent:
    return _sent(ca.issue("not.a.ca.test").issue())


def _two_leaves(ca: Authority) -> Sent:
    one = ca.issue()
    other = ca.issue(key=one.key)
    return replace(_sent(one), cert=one.cert_pem + other.cert_pem)


def _mixed_point(ca: Authority) -> Sent:
    """An EC key that bears the public point of the certificate and another secret number."""
    own, other = ca.issue(), made.ec_key()
    point = [_point(one) for one in (own.key, other)]
    der = other.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    der = der.replace(point[1], point[0])
    return replace(_sent(own), key=made.armoured("PRIVATE KEY", der))


def _point(key: Key) -> bytes:
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def _crowd(ca: Authority) -> Sent:
    """A leaf of 23 KiB whose subject has as many parts as there is room for."""
    key = made.ec_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, ",")] * 1400)
    builder = x509.CertificateBuilder(ca.intermediate.leaf.subject, name, key.public_key(), 7)
    builder = builder.not_valid_before(NOW).not_valid_after(NOW + timedelta(days=90))
    leaf = builder.sign(made.ec_key(), hashes.SHA256())
    return Sent(made.pem(leaf), made.key_pem(key))


_USAGE: Final = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=True,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)
_ALTERNATIVES = x509.ObjectIdentifier("2.5.29.17")
_DSA, _DH = "2a8648ce380401", "2a864886f70d010301"
_LARGE = (1 << 20_000) + 3
_KEY, _CERT, _CHAIN = "key_pem key-", "cert_pem ", "chain_pem chain-"
_UNREADABLE_KEY = [f"{_KEY}unreadable"]
_INCONSISTENT = [f"{_KEY}inconsistent"]
_OTHER_KEY = [f"{_CERT}leaf-key-unsupported", f"{_KEY}type-unsupported"]
_UNREADABLE = [f"{_CERT}certificate-unreadable"]

_KEY_REFUSALS: Final[dict[str, tuple[Case, list[str]]]] = {
    "no-key": (_with_key(lambda _: ""), _UNREADABLE_KEY),
    "words": (_with_key(lambda _: "a key, please"), _UNREADABLE_KEY),
    "a-certificate": (_but(lambda sent: replace(sent, key=sent.cert)), _UNREADABLE_KEY),
    "two-keys": (_with_key(lambda key: key + key), _UNREADABLE_KEY),
    "truncated": (_with_key(lambda key: key[:-40]), _UNREADABLE_KEY),
    "not-base64": (_with_key(lambda key: key.replace("M", "*M", 1)), _UNREADABLE_KEY),
    "no-der": (_with_key(lambda _: made.armoured("PRIVATE KEY", b"no")), _UNREADABLE_KEY),
    "der-of-nothing": (
        _with_key(lambda _: made.armoured("EC PRIVATE KEY", b"\x30\x05\x02\x01\x01\x04\x00")),
        _UNREADABLE_KEY,
    ),
    "half-a-character": (_with_key(lambda key: key.replace("M", "\ud800", 1)), _UNREADABLE_KEY),
    "public-point-of-another": (_mixed_point, _UNREADABLE_KEY),
    "encrypted-PKCS#8": (
        _with_key(lambda _: made.key_pem(made.ec_key(), password="secret")),
        [f"{_KEY}encrypted"],
    ),
    "encrypted-PKCS#1": (
        _with_key(lambda _: made.key_pem(made.rsa_key(), "traditional", "secret")),
        [f"{_KEY}encrypted"],
    ),
    "of-another-certificate": (
        _with_key(lambda _: made.key_pem(made.ec_key())),
        [f"{_KEY}mismatch"],
    ),
    "Ed25519": (lambda ca: _good(ca, ed25519.Ed25519PrivateKey.generate()), _OTHER_KEY),
    "RSA-1024": (lambda ca: _good(ca, made.rsa_key(1024)), _OTHER_KEY),
    "RSA-5120": (lambda ca: _good(ca, made.rsa_key(5120)), _OTHER_KEY),
    "secp256k1": (lambda ca: _good(ca, made.ec_key(ec.SECP256K1())), _OTHER_KEY),
    "wide-exponent": (lambda ca: _good(ca, _wide_exponent()), _OTHER_KEY),
    "DSA": (_with_key(lambda _: made.foreign_pem(_DSA, _LARGE, 7, 5)), _OTHER_KEY[1:]),
    "DH": (_with_key(lambda _: made.foreign_pem(_DH, _LARGE, 5)), _OTHER_KEY[1:]),
    "numbers-without-end": (_rsa(d=_is(1 << 120_000)), _OTHER_KEY[1:]),
    "n-is-not-p-times-q": (_off("n"), _INCONSISTENT),
    "p": (_off("p"), _INCONSISTENT),
    "q": (_off("q"), _INCONSISTENT),
    "d": (_off("d"), _INCONSISTENT),
    "d-that-fits-q-only": (_rsa(d=_d_off("q"), dmp1=_d_off("q", "p")), _INCONSISTENT),
    "d-that-fits-p-only": (_rsa(d=_d_off("p"), dmq1=_d_off("p", "q")), _INCONSISTENT),
    "dmp1": (_off("dmp1", 1), _INCONSISTENT),
    "dmq1": (_off("dmq1", 1), _INCONSISTENT),
    "iqmp": (_off("iqmp", 1), _INCONSISTENT),
    "p-is-1": (_rsa(p=_is(1), q=lambda own: own["n"]), _INCONSISTENT),
    "q-is-1": (_rsa(q=_is(1), p=lambda own: own["n"]), _INCONSISTENT),
    **{
        f"{name}-is-0": (_rsa(**{name: _is(0)}), _INCONSISTENT)
        for name in ("e", "d", "p", "q", "dmp1", "dmq1", "iqmp")
    },
    "e-is-1": (_rsa(e=_is(1), d=_is(1)), _INCONSISTENT),
}

_LEAF_REFUSALS: Final[dict[str, tuple[Case, list[str]]]] = {
    "no-certificate": (_with_cert(lambda _: ""), _UNREADABLE),
    "words": (_with_cert(lambda _: "a certificate, please"), _UNREADABLE),
    "other-blocks-only": (_with_cert(lambda _: _PARAMETERS), _UNREADABLE),
    "half-a-character": (_with_cert(lambda cert: cert.replace("M", "\ud800", 1)), _UNREADABLE),
    "no-der": (_with_cert(lambda _: made.armoured("CERTIFICATE", b"no")), _UNREADABLE),
    "a-block-that-does-not-end": (_with_cert(lambda cert: cert + cert[:200]), _UNREADABLE),
    "an-unknown-version": (
        lambda ca: _alone(ca.issue(), b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x07"),
        _UNREADABLE,
    ),
    "an-extension-twice": (
        lambda ca: _alone(
            ca.intermediate.issue(
                extensions=[
                    x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), b"\x05\x00")
                    for oid in ("1.2.3.4.5", "1.2.3.4.6")
                ]
            ),
            bytes.fromhex("06042a030406"),
            bytes.fromhex("06042a030405"),
        ),
        _UNREADABLE,
    ),
    "a-year-that-is-none": (_year_zero, _UNREADABLE),
    "a-malformed-extension": (
        _extended(x509.UnrecognizedExtension(_ALTERNATIVES, b"\x04")),
        _UNREADABLE,
    ),
    "a-name-of-no-known-kind": (
        _extended(x509.UnrecognizedExtension(_ALTERNATIVES, b"\x30\x02\xa3\x00")),
        _UNREADABLE,
    ),
    "a-private-key": (
        _but(lambda sent: replace(sent, cert=sent.cert + sent.key)),
        [f"{_CERT}private-key-misplaced"],
    ),
    "expired": (lambda ca: _sent(ca.issue(days=-1)), [f"{_CERT}leaf-expired"]),
    "expiring-this-second": (lambda ca: _sent(ca.issue(days=0)), [f"{_CERT}leaf-expired"]),
    "a-CA": (lambda ca: _sent(ca.intermediate.issue(ca=True)), [f"{_CERT}leaf-is-ca"]),
    "EC-with-keyEncipherment": (_extended(_USAGE), [f"{_CERT}ec-key-encipherment"]),
    "serial-zero": (_serial("020100"), [f"{_CERT}serial-invalid"]),
    "serial-negative": (_serial("0201ff"), [f"{_CERT}serial-invalid"]),
    "serial-of-21-octets": (_serial("021501" + "00" * 20), [f"{_CERT}serial-invalid"]),
    "a-subject-of-1400-parts": (_crowd, _UNREADABLE),
    "two-leaves": (_two_leaves, [f"{_CERT}leaf-ambiguous", f"{_CHAIN}stranger"]),
}


def _other() -> Authority:
    return made.authority("Other")


def _with_chain(chain: Callable[[Authority], str]) -> Case:
    """A good leaf and key beside another chain."""
    return lambda ca: replace(_good(ca), chain=chain(ca))


def _deep(ca: Authority, depth: int) -> Issued:
    issuer = ca.intermediate
    for number in range(depth):
        issuer = issuer.issue(f"Intermediate {number}", ca=True)
    return issuer.issue()


_GAP, _STRANGER = [f"{_CHAIN}gap"], [f"{_CHAIN}stranger"]
_FORGED = [f"{_CHAIN}signature-invalid"]
_CHAIN_REFUSALS: Final[dict[str, tuple[Case, list[str]]]] = {
    "words": (_with_chain(lambda _: "a chain"), ["chain_pem certificate-unreadable"]),
    "a-block-that-does-not-end": (
        _with_chain(lambda ca: ca.intermediate.cert_pem + ca.root.cert_pem[:200]),
        ["chain_pem certificate-unreadable"],
    ),
    "a-private-key": (
        _with_chain(lambda ca: ca.intermediate.key_pem),
        ["chain_pem private-key-misplaced"],
    ),
    "the-issuer-missing-below-the-root": (_with_chain(lambda ca: ca.root.cert_pem), _GAP),
    "one-missing-in-between": (
        lambda ca: _sent(replace((deep := _deep(ca, 3)), chain=(deep.chain[0], *deep.chain[2:]))),
        _GAP,
    ),
    "another-leaf": (
        _with_chain(lambda ca: ca.intermediate.cert_pem + ca.issue("b.test").cert_pem),
        _STRANGER,
    ),
    "a-foreign-authority-beside-the-whole-path": (
        _with_chain(lambda ca: ca.issue().chain_pem + ca.root.cert_pem + _other().root.cert_pem),
        _STRANGER,
    ),
    "the-right-name-and-another-key": (
        _with_chain(lambda _: made.authority().intermediate.cert_pem),
        _FORGED,
    ),
    "a-root-of-the-right-name-and-another-key": (
        _with_chain(lambda ca: ca.issue().chain_pem + made.authority().root.cert_pem),
        _FORGED,
    ),
    "a-changed-certificate": (
        _with_chain(
            lambda ca: made.patched(ca.intermediate.leaf, b"Intermediate", b"IntermediatE")
        ),
        _GAP,
    ),
    "no-der": (
        _with_chain(lambda _: made.armoured("CERTIFICATE", b"no")),
        ["chain_pem certificate-unreadable"],
    ),
    "an-issuer-that-is-no-CA": (_not_ca, [f"{_CHAIN}issuer-not-ca"]),
    "an-issuer-with-a-key-too-costly-to-verify-with": (
        lambda ca: _sent(ca.intermediate.issue("odd", ca=True, key=_wide_exponent()).issue()),
        [*_GAP, *_FORGED],
    ),
    "an-issuer-with-a-curve-of-its-own": (
        lambda ca: _sent(
            ca.intermediate.issue("odd", ca=True, key=made.ec_key(ec.SECP256K1())).issue()
        ),
        [*_GAP, *_FORGED],
    ),
    "eleven-certificates": (lambda ca: _sent(_deep(ca, 9)), [f"{_CHAIN}too-long"]),
    "eleven-certificates-in-one-field": (
        lambda ca: _in_one_field(_sent(_deep(ca, 9))),
        ["cert_pem chain-too-long"],
    ),
    "more-than-24-KiB": (
        lambda ca: _sent(ca.intermediate.issue(names=[f"{n:060}.test" for n in range(300)])),
        ["cert_pem chain-too-long"],
    ),
}
_SEVERAL: Final[dict[str, tuple[Case, list[str]]]] = {
    "in-every-field": (
        lambda _: Sent("cert", "key", "chain"),
        [
            "cert_pem certificate-unreadable",
            "chain_pem certificate-unreadable",
            "key_pem key-unreadable",
        ],
    ),
    "of-the-leaf-its-chain-and-its-key": (
        lambda ca: Sent(
            ca.intermediate.issue(ca=True, days=-1, extensions=[_USAGE]).cert_pem,
            made.key_pem(made.ec_key()),
            ca.root.cert_pem,
        ),
        [
            "cert_pem ec-key-encipherment",
            "cert_pem leaf-expired",
            "cert_pem leaf-is-ca",
            "chain_pem chain-gap",
            "key_pem key-mismatch",
        ],
    ),
}
_REFUSALS = {
    f"{field}-{name}": case
    for field, table in {
        "key": _KEY_REFUSALS,
        "cert": _LEAF_REFUSALS,
        "chain": _CHAIN_REFUSALS,
        "faults": _SEVERAL,
    }.items()
    for name, case in table.items()
}
_refusals = pytest.mark.parametrize(("case", "codes"), _REFUSALS.values(), ids=_REFUSALS)
_odd_serials = pytest.mark.filterwarnings("ignore:Parsed a serial number")


@_odd_serials
@_refusals
def test_what_is_wrong_is_named_by_its_field_and_code(
    case: Case, codes: list[str], ca: Authority
) -> None:
    assert case(ca).refused() == codes


@_odd_serials
@_refusals
def test_a_fault_says_what_to_do(case: Case, codes: list[str], ca: Authority) -> None:
    _, faults = case(ca).parse()

    assert [fault.message for fault in faults] == [FAULTS[fault.code][1] for fault in faults]


@_odd_serials
@_refusals
def test_a_fault_never_repeats_what_was_sent(case: Case, codes: list[str], ca: Authority) -> None:
    sent = case(ca)

    told = repr(sent.parse())

    lines = [line for text in (sent.cert, sent.key, sent.chain) for line in text.splitlines()]
    assert not [line for line in lines if len(line) > 8 and line in told]


def test_every_code_is_told_by_one_of_these_tables() -> None:
    assert {code.split()[1] for _, codes in _REFUSALS.values() for code in codes} == set(FAULTS)


def test_the_bounds_are_the_ones_that_the_sentence_tells() -> None:
    assert f"{pki.MOST_CERTIFICATES} certificates" in FAULTS["chain-too-long"][1]
    assert f"{pki.MOST_CHARACTERS // 1024} KiB" in FAULTS["chain-too-long"][1]


def test_ten_certificates_are_not_too_many(ca: Authority) -> None:
    deep = _sent(_deep(ca, 8))

    assert len(deep.accepted().chain) == 9
    assert len(_in_one_field(deep).accepted().chain) == 9
    assert len(replace(deep, cert=deep.cert + deep.chain).accepted().chain) == 9


def test_a_fault_of_a_previous_key_names_its_field() -> None:
    key, (fault,) = pki.read_key("previous_key_pem", "no key")

    assert key is None
    assert (fault.field, fault.code) == ("previous_key_pem", "key-unreadable")


# The chain


def test_a_chain_out_of_order_is_put_in_order(ca: Authority) -> None:
    deep = _sent(_deep(ca, 3))
    blocks = deep.chain.split("-----BEGIN ")[1:]
    shuffled = "".join(f"-----BEGIN {block}" for block in [*blocks[2:], *blocks[:2]])

    assert replace(deep, chain=shuffled).accepted().chain == deep.accepted().chain


def test_duplicates_and_the_root_are_dropped(ca: Authority) -> None:
    good = _good(ca)
    twice = replace(good, chain=(good.chain + ca.root.cert_pem + good.cert) * 2)

    assert twice.accepted().chain == (ca.intermediate.leaf,)


def test_a_duplicate_in_other_line_lengths_is_dropped_too(ca: Authority) -> None:
    good = _good(ca)
    joined = "".join(good.chain.splitlines()).replace("E-----M", "E-----\nM")
    unwrapped = joined.replace("-----END", "\n-----END")

    assert replace(good, chain=good.chain + unwrapped).accepted().chain == (ca.intermediate.leaf,)


def test_a_root_beside_its_cross_signed_twin_is_dropped_and_the_twin_kept(ca: Authority) -> None:
    twin = _other().root.issue("Test Root", key=ca.root.key, ca=True)
    good = _good(ca)
    both = replace(good, chain=good.chain + ca.root.cert_pem + twin.cert_pem)

    assert both.accepted().chain == (ca.intermediate.leaf, twin.leaf)


def test_authorities_that_sign_each_other_are_no_endless_path(ca: Authority) -> None:
    first, second = made.self_signed("First", ca=True), made.self_signed("Second", ca=True)
    one = second.issue("First", key=first.key, ca=True)
    other = first.issue("Second", key=second.key, ca=True)
    leaf = one.issue()
    sent = Sent(leaf.cert_pem, leaf.key_pem, one.cert_pem + other.cert_pem)

    assert sent.accepted().chain == (one.leaf, other.leaf)


def test_a_name_occurs_once_on_the_way_up(ca: Authority) -> None:
    first, second = made.self_signed("First", ca=True), made.self_signed("Second", ca=True)
    again = first.issue("Second", key=second.key, ca=True)
    one = again.issue("First", key=first.key, ca=True)
    twice = first.issue("Second", key=second.key, ca=True)
    leaf = second.issue()
    chain = again.cert_pem + one.cert_pem + twice.cert_pem

    assert Sent(leaf.cert_pem, leaf.key_pem, chain).refused() == _FORGED


def test_an_issuer_is_told_by_its_name_and_its_signature(ca: Authority) -> None:
    leaf = ca.issue().leaf

    assert pki.issued(ca.intermediate.leaf, leaf)
    assert not pki.issued(ca.root.leaf, leaf)
    assert not pki.issued(made.authority().intermediate.leaf, leaf)


def test_an_ed25519_authority_may_issue(ca: Authority) -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    issuer = ca.intermediate.issue("Edwards", key=key, ca=True)

    assert _sent(issuer.issue()).accepted().chain[0] == issuer.leaf


# Notices


def _lonely(ca: Authority) -> Sent:
    return replace(_good(ca), chain="")


def _below_the_root(ca: Authority) -> Sent:
    return replace(_sent(ca.root.issue()), chain=ca.root.cert_pem)


_NOTICES: Final[dict[str, tuple[Case, list[str]]]] = {
    "not-valid-yet": (
        lambda ca: _sent(ca.intermediate.issue(starts=timedelta(days=1))),
        ["leaf-not-yet-valid"],
    ),
    "self-signed": (lambda _: _sent(made.self_signed("own.test")), ["leaf-self-signed"]),
    "valid-from-this-second": (lambda ca: _sent(ca.intermediate.issue(starts=timedelta(0))), []),
    "the-smallest-serial": (_serial("020101"), ["leaf-without-issuer"]),
    "the-largest-serial": (_serial("021500" + "ff" * 20), ["leaf-without-issuer"]),
    "without-issuer": (_lonely, ["leaf-without-issuer"]),
    "issued-by-the-root-itself": (_below_the_root, []),
    "29-days-left": (lambda ca: _sent(ca.issue(days=29)), ["leaf-expires-soon"]),
    "30-days-left": (lambda ca: _sent(ca.issue(days=30)), []),
    "an-expired-issuer": (
        lambda ca: _sent(ca.root.issue("Old", ca=True, days=-1).issue()),
        ["chain-expired"],
    ),
    "an-issuer-expiring-this-second": (
        lambda ca: _sent(ca.root.issue("Old", ca=True, days=0).issue()),
        ["chain-expired"],
    ),
}


@pytest.mark.parametrize(("case", "codes"), _NOTICES.values(), ids=_NOTICES)
def test_what_to_know_is_no_reason_to_refuse(case: Case, codes: list[str], ca: Authority) -> None:
    notices = case(ca).accepted().notices

    assert [notice.code for notice in notices] == codes
    assert all(notice.message.endswith(".") for notice in notices)


# What is shown of a leaf


def test_what_is_shown_of_a_leaf(ca: Authority) -> None:
    names = ["api.example.test", "*.example.test"]
    leaf = ca.intermediate.issue(serial=0x0ABC, names=names).leaf

    assert pki.details(leaf) == pki.Details(
        serial="0a:bc",
        thumbprint=leaf.fingerprint(hashes.SHA256()).hex(),
        subject="CN=api.example.test",
        dns_names=tuple(names),
        not_before=NOW - timedelta(days=1),
        not_after=NOW + timedelta(days=90),
        key_type="EC P-256",
    )


def test_a_leaf_without_names_shows_none(ca: Authority) -> None:
    assert pki.details(ca.intermediate.issue(names=()).leaf).dns_names == ()


_KINDS: Final[dict[str, Callable[[], Key]]] = {
    "RSA 2048": made.rsa_key,
    "EC P-384": lambda: made.ec_key(ec.SECP384R1()),
    "EC secp256k1": lambda: made.ec_key(ec.SECP256K1()),
    "Ed25519": ed25519.Ed25519PrivateKey.generate,
}


@pytest.mark.parametrize(("text", "key"), _KINDS.items(), ids=_KINDS)
def test_the_kind_of_a_key_is_shown_in_words(
    text: str, key: Callable[[], Key], ca: Authority
) -> None:
    assert pki.details(ca.issue(key=key()).leaf).key_type == text


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "00"), (1, "01"), (0xFF, "ff"), (0x100, "01:00"), (0xABCDEF, "ab:cd:ef"), (-5, "-05")],
)
def test_a_serial_number_is_shown_in_octets(number: int, text: str) -> None:
    assert pki.serial_text(number) == text


# The bundle


@pytest.mark.parametrize("case", _FORMS.values(), ids=_FORMS)
def test_a_pfx_holds_key_leaf_and_intermediates_and_opens_without_a_password(
    case: Case, ca: Authority
) -> None:
    sent = case(ca)
    bundle = replace(sent, chain=sent.chain + ca.root.cert_pem).accepted()

    opened = pkcs12.load_pkcs12(bundle.pfx(), None)

    assert opened.key is not None
    assert opened.key.public_key() == bundle.leaf.public_key()
    assert opened.cert is not None
    assert opened.cert.certificate == bundle.leaf
    assert [one.certificate for one in opened.additional_certs] == [ca.intermediate.leaf]


def test_a_pfx_that_was_packed_is_handed_over_once_and_not_kept(ca: Authority) -> None:
    bundle = _good(ca).accepted()
    bundle.pack()

    packed, another = bundle.pfx(), bundle.pfx()  # a PFX has salts: no two are the same

    assert pkcs12.load_pkcs12(packed, None).key is not None
    assert packed != another


def test_a_bundle_that_was_dropped_has_no_key_any_more(ca: Authority) -> None:
    bundle = _good(ca).accepted()
    bundle.pack()
    bundle.drop()
    bundle.drop()

    for use in (lambda: bundle.key, bundle.pfx, lambda: bundle.fits(bundle.leaf)):
        with pytest.raises(ValueError, match="the key of this bundle was dropped"):
            use()


def test_a_bundle_that_was_dropped_still_tells_what_it_was(ca: Authority) -> None:
    bundle = _good(ca).accepted()
    shown = bundle.details
    bundle.drop()

    assert (bundle.details, bundle.chain) == (shown, (ca.intermediate.leaf,))


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, pickle.dumps], ids=["copy", "deepcopy", "pickle"]
)
def test_a_bundle_cannot_be_copied(copied: Callable[[object], object], ca: Authority) -> None:
    with pytest.raises(TypeError, match="never copied or pickled"):
        copied(_good(ca).accepted())


def test_a_bundle_has_no_dictionary_to_look_into(ca: Authority) -> None:
    with pytest.raises(TypeError):
        vars(_good(ca).accepted())


@pytest.mark.parametrize("key", [made.rsa_key, made.ec_key], ids=["RSA", "EC"])
def test_neither_a_line_nor_a_number_of_the_key_is_ever_printed(
    key: Callable[[], Key], ca: Authority
) -> None:
    issued = ca.issue(key=key())
    bundle = _sent(issued).accepted()
    with pytest.raises(TypeError) as copied:
        pickle.dumps(bundle)
    bundle.drop()
    with pytest.raises(ValueError, match="dropped") as dropped:
        bundle.pfx()

    things = (bundle, bundle.details, bundle.notices, bundle.leaf, copied.value, dropped.value)
    told = "".join(f"{thing}{thing!r}" for thing in things)

    assert repr(bundle) == str(bundle) == "<Bundle>"
    assert not [secret for secret in _secrets(issued.key) if secret in told]


def _secrets(key: Key) -> list[str]:
    lines = [line for line in made.key_pem(key).splitlines() if not line.startswith("-----")]
    if isinstance(key, rsa.RSAPrivateKey):
        own = key.private_numbers()
        numbers = [own.d, own.p, own.q, own.dmp1, own.dmq1, own.iqmp]
    else:
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        numbers = [key.private_numbers().private_value]
    return [*lines, *map(str, numbers), *(f"{number:x}" for number in numbers)]


# Whatever is sent


def _flood(text: str) -> str:
    return text * (250_000 // len(text))


_COSTLY: Final[dict[str, Case]] = {
    "DSA-of-20000-bits": _KEY_REFUSALS["DSA"][0],
    "DH-of-20000-bits": _KEY_REFUSALS["DH"][0],
    "an-exponent-of-120000-bits": _KEY_REFUSALS["numbers-without-end"][0],
    "p-and-q-of-200000-bits": _rsa(p=_is(1 << 200_000), q=_is(1 << 200_001)),
    "blocks-that-never-end": _rewritten(lambda _: _flood("-----BEGIN A PRIVATE KEY-----")),
    "a-label-without-end": _rewritten(lambda _: "-----BEGIN " + _flood("A ")),
    "dashes": _rewritten(lambda _: "-----BEGIN CERTIFICATE-----" + _flood("- ")),
    "a-body-without-end": _with_key(lambda _: made.armoured("PRIVATE KEY", b"\0" * 180_000)),
    "a-subject-of-1400-parts": _crowd,
}


@pytest.mark.parametrize("case", _COSTLY.values(), ids=_COSTLY)
def test_whatever_is_sent_is_judged_at_once(case: Case, ca: Authority) -> None:
    sent = case(ca)
    begun = time.process_time()

    sent.parse()

    # Some 10 ms; the rest is room for a slow machine. Unbounded, these take seconds.
    assert time.process_time() - begun < 0.3


@given(cert=st.text(), chain=st.text(), key=st.text())
def test_any_text_is_judged_and_nothing_is_raised(cert: str, chain: str, key: str) -> None:
    bundle, faults = Sent(cert, key, chain).parse()

    assert bundle is None
    assert faults


_SHAPES = st.sampled_from(["RSA", "EC"])
_CHANGES = st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), max_size=4)


@_odd_serials
@given(kind=_SHAPES, part=st.sampled_from(["cert", "chain", "key"]), changes=_CHANGES)
def test_any_changed_octets_are_judged_and_nothing_is_raised(
    kind: str, part: str, changes: list[tuple[int, int]], ca: Authority
) -> None:
    sent = _good(ca, made.rsa_key() if kind == "RSA" else made.ec_key())
    label = "PRIVATE KEY" if part == "key" else "CERTIFICATE"
    lines = getattr(sent, part).splitlines()
    der = bytearray(base64.b64decode("".join(lines[1:-1])))
    for place, octet in changes:
        der[place % len(der)] = octet

    bundle, faults = replace(sent, **{part: made.armoured(label, bytes(der))}).parse()

    assert (bundle is None) is bool(faults)
    if bundle is not None:
        assert pkcs12.load_pkcs12(bundle.pfx(), None).key is not None
