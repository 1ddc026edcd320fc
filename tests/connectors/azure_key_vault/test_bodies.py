"""What is taken from the body of an answer; nonsense is never taken for one."""

import base64
from collections.abc import Callable
from typing import Any, Final

import orjson
import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from app import pki
from app.connectors.azure_key_vault import answers
from tests.certificates import authority

LEAF: Final = authority().issue().leaf
CER: Final = base64.b64encode(LEAF.public_bytes(Encoding.DER)).decode()
NAME: Final = "https://my-vault.vault.azure.net/certificates/api"
SECRET: Final = "https://my-vault.vault.azure.net/secrets/api/v-1"
BUNDLE: Final = {
    "id": f"{NAME}/v-1",
    "cer": CER,
    "attributes": {"enabled": True},
    "tags": {"env": "test"},
    "policy": {"secret_props": {"contentType": answers.PEM}, "key_props": {"exportable": False}},
}


def body(found: object) -> bytes:
    return orjson.dumps(found)


def test_a_version_is_read_whole() -> None:
    found = answers.version(body(BUNDLE))

    assert (found.id, found.name_id) == ("v-1", NAME)
    assert (found.certificate, found.thumbprint) == (LEAF, pki.thumbprint(LEAF))
    assert (found.enabled, found.tags) == (True, {"env": "test"})
    assert (found.content_type, found.exportable) == (answers.PEM, False)


def test_a_version_that_says_little_is_taken_for_disabled_and_an_exportable_pfx() -> None:
    found = answers.version(body({"id": f"{NAME}/v-1", "cer": CER}))

    assert (found.enabled, found.tags, found.policy) == (False, {}, {})
    assert (found.content_type, found.exportable) == (answers.PFX, True)


def test_a_page_of_versions_says_which_and_what_to_ask_for_the_next() -> None:
    items = [{"id": f"{NAME}/v-1", "tags": {"env": "test"}}, {"id": f"{NAME}/v-2"}]

    found, following = answers.versions(
        body({"value": items, "nextLink": f"{NAME}/versions?$skiptoken=MA"})
    )

    assert [(one.id, one.tags) for one in found] == [("v-1", {"env": "test"}), ("v-2", {})]
    assert following == "$skiptoken=MA"


@pytest.mark.parametrize("link", [{}, {"nextLink": None}, {"nextLink": f"{NAME}/versions"}])
def test_a_page_without_a_link_is_the_last(link: dict[str, Any]) -> None:
    assert answers.versions(body({"value": [], **link})) == ([], None)


@pytest.mark.parametrize(
    ("more", "kind", "managed"),
    [
        ({"contentType": answers.PEM, "managed": True}, answers.PEM, True),
        ({"managed": "yes"}, answers.PFX, False),
        ({}, answers.PFX, False),
    ],
    ids=["whole", "odd", "little"],
)
def test_a_secret_is_a_certificates_only_where_it_says_so(
    more: dict[str, object], kind: str, managed: object
) -> None:
    found = answers.secret(body({"id": SECRET, "value": "pfx", **more}))

    assert (found.version_id, found.value) == ("v-1", "pfx")
    assert (found.content_type, found.managed) == (kind, managed)


@pytest.mark.parametrize(
    ("changed", "unfinished"),
    [
        ({}, True),
        ({"id": None}, True),
        ({"attributes": {"enabled": True}}, False),
        ({"attributes": {}}, False),
        ({"kid": "https://my-vault.vault.azure.net/keys/api/v-1"}, False),
        ({"cer": CER}, False),
    ],
    ids=["first", "odd-id", "enabled", "unsaid", "with-a-key", "with-a-certificate"],
)
def test_a_first_creation_under_way_is_disabled_and_has_neither_key_nor_certificate(
    changed: dict[str, object], unfinished: object
) -> None:
    first = {"id": f"{NAME}/v-1", "attributes": {"enabled": False}}

    assert answers.unfinished(body({**first, **changed})) is unfinished
    assert not answers.unfinished(body({"attributes": {"enabled": False}}))


def test_a_creation_is_under_way_only_where_it_says_so() -> None:
    assert answers.in_progress(body({"status": "inProgress"}))
    assert not answers.in_progress(body({"status": "completed"}))
    assert not answers.in_progress(b"<html>")


@pytest.mark.parametrize("octets", [b"\xfb", b"\xfb\xff", b"\xfb\xff\xfe", b"\0\0\x17", bytes(32)])
def test_the_octets_of_a_key_operation_come_without_padding(octets: bytes) -> None:
    written = answers.base64url(octets)

    found = answers.key_result(body({"kid": "key", "value": written}))

    assert (found.key_id, found.octets) == ("key", octets)
    assert not {"+", "/", "="} & {*written}


@pytest.mark.parametrize("written", ["AA!AA", "AA AA", "A", "é"])
def test_octets_that_are_not_base64_are_not_guessed(written: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        answers.key_result(body({"kid": "key", "value": written}))


NO_VERSION: Final = [{"id": "v-1", "cer": CER}, {"id": f"{NAME}/", "cer": CER}, {"cer": CER}]
NO_PAGE: Final[list[object]] = [{}, [], {"value": 1}, {"value": {}}, {"next": "", "value": None}]
NO_SECRET: Final = [{"id": SECRET}, {"id": SECRET, "value": 1}, {"value": "pfx"}]
NO_RESULT: Final[list[object]] = [{}, [], {"value": ""}]
Parse = Callable[[bytes], object]


@pytest.mark.parametrize(
    ("parse", "found", "said"),
    [
        *((answers.version, found, "^no certificate id$") for found in NO_VERSION),
        *((answers.versions, found, "^no list$") for found in NO_PAGE),
        *((answers.versions, {"value": [one]}, "^no version$") for one in (2, {}, {"id": "x/"})),
        *((answers.secret, found, "^no secret$") for found in NO_SECRET),
        *((answers.key_result, found, "^no result of a key operation$") for found in NO_RESULT),
    ],
)
def test_what_is_not_what_was_asked_for_is_refused(parse: Parse, found: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse(body(found))


@pytest.mark.parametrize("parse", [answers.versions, answers.secret, answers.key_result])
@pytest.mark.parametrize("found", [b"", b"<html>", b"null", b"\xff", b"1", b'"text"'])
def test_what_is_no_object_at_all_is_refused(parse: Parse, found: bytes) -> None:
    with pytest.raises(ValueError, match=r"^no "):
        parse(found)
