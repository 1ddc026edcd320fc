from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from app.emulator import Emulator
from tests.emulator.conftest import VAULT, Raw
from tests.emulator.making import leaf


def fill(emulator: Emulator, count: int, name: str = "api") -> list[str]:
    made = leaf()
    vault = emulator.vault("my-vault")
    return [vault.import_pem(name, made.cert_pem, made.key_pem).version for _ in range(count)]


def followed(http: Raw, path: str, size: int | None = None) -> Iterator[list[dict[str, Any]]]:
    """The pages of a list, each by the link that the one before names."""
    link = f"{VAULT}{path}?api-version=7.6" + (f"&maxresults={size}" if size else "")
    while link:
        target = urlsplit(link)
        assert target.netloc in ("my-vault.vault.azure.net", "my-vault.vault.azure.net:443")
        page = http.get(f"{target.path}?{target.query}", params=parse_qs(target.query)).json()
        yield page["value"]
        link = page["nextLink"]


def test_the_versions_of_an_unknown_name_are_none(http: Raw) -> None:
    answer = http.get("/certificates/none/versions")

    assert (answer.status_code, answer.json()) == (200, {"value": [], "nextLink": None})


def test_a_listed_version_has_the_recorded_shape(http: Raw, emulator: Emulator) -> None:
    made = leaf()
    stored = emulator.vault("my-vault").import_pem(
        "api", made.cert_pem, made.key_pem, tags={"a": "b"}
    )

    [item] = http.get("/certificates/api/versions").json()["value"]

    assert item == {
        "id": f"{VAULT}/certificates/api/{stored.version}",
        "x5t": stored.x5t,
        "attributes": {
            "enabled": True,
            "nbf": stored.not_before,
            "exp": stored.expires,
            "created": stored.created,
            "updated": stored.created,
        },
        "tags": {"a": "b"},
        "subject": "",
    }


def test_versions_are_paged_by_25_in_order_of_their_ids(http: Raw, emulator: Emulator) -> None:
    versions = fill(emulator, 60)

    listed: list[str] = []
    link: str | None = ""
    sizes = []
    while link is not None:
        query = parse_qs(urlsplit(link).query)
        page = http.get("/certificates/api/versions", params=query).json()
        sizes.append(len(page["value"]))
        listed += [item["id"].rpartition("/")[2] for item in page["value"]]
        link = page["nextLink"]

    assert sizes == [25, 25, 10]
    assert listed == sorted(versions)
    assert listed != versions


def test_the_next_link_names_the_port_and_the_page_size(http: Raw, emulator: Emulator) -> None:
    fill(emulator, 3)

    page = http.get("/certificates/api/versions", params={"maxresults": "2"}).json()

    link = urlsplit(page["nextLink"])
    assert len(page["value"]) == 2
    assert (link.netloc, link.path) == (
        "my-vault.vault.azure.net:443",
        "/certificates/api/versions",
    )
    query = parse_qs(link.query)
    assert (query["api-version"], query["maxresults"]) == (["7.6"], ["2"])
    assert "$skiptoken" in query


def test_the_next_link_names_no_page_size_that_was_not_asked_for(
    http: Raw, emulator: Emulator
) -> None:
    fill(emulator, 26)

    page = http.get("/certificates/api/versions").json()

    assert "maxresults" not in page["nextLink"]


def test_a_full_page_may_be_followed_by_an_empty_one(http: Raw, emulator: Emulator) -> None:
    fill(emulator, 25)

    pages = list(followed(http, "/certificates/api/versions"))

    assert [len(page) for page in pages] == [25, 0]


@pytest.mark.parametrize("size", [None, 2], ids=["default size", "two a page"])
@pytest.mark.parametrize(
    "path",
    ["/certificates", "/certificates/name-0/versions", "/deletedcertificates"],
    ids=["certificates", "versions", "deleted"],
)
def test_following_the_links_as_they_are_finds_everything_once(
    http: Raw, emulator: Emulator, path: str, size: int | None
) -> None:
    names = [f"name-{number}" for number in range(7)]
    for name in names:
        fill(emulator, 7, name)
        if "deleted" in path:
            emulator.vault("my-vault").soft_delete(name)

    pages = list(followed(http, path, size))

    found = [item["id"] for page in pages for item in page]
    assert len(found) == len(set(found)) == 7
    assert [len(page) for page in pages] == ([7] if size is None else [2, 2, 2, 1])


def test_a_name_may_have_more_versions_than_a_backup_holds(http: Raw, emulator: Emulator) -> None:
    versions = fill(emulator, 510)

    newest = http.send_import(leaf().pfx()).json()["id"]

    listed = [item["id"] for page in followed(http, "/certificates/api/versions") for item in page]
    assert listed == sorted([newest, *(f"{VAULT}/certificates/api/{one}" for one in versions)])
    assert http.get("/certificates/api/").json()["id"] == newest
    assert http.get(f"/certificates/api/{versions[0]}").status_code == 200


def test_the_next_link_of_a_local_vault_keeps_its_port(http: Raw, emulator: Emulator) -> None:
    made = leaf()
    for name in ("one", "two"):
        emulator.vault("localhost").import_pem(name, made.cert_pem, made.key_pem)

    page = http.get(
        "/certificates", params={"maxresults": "1"}, headers={"Host": "localhost:18543"}
    ).json()

    assert page["nextLink"].startswith("https://localhost:18543/certificates?")


@pytest.mark.parametrize(
    "query",
    [
        {"maxresults": "26"},
        {"maxresults": "0"},
        {"maxresults": "x"},
        {"maxresults": "\u0663"},
        {"$skiptoken": "x"},
        {"$skiptoken": "!!!!"},
        {"$skiptoken": "\u00e9"},
    ],
    ids=[
        "too many",
        "zero",
        "no number",
        "another script's three",
        "made-up token",
        "no token at all",
        "not even ASCII",
    ],
)
def test_a_bad_page_is_refused(http: Raw, query: dict[str, str]) -> None:
    answer = http.get("/certificates/api/versions", params=query)

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "BadParameter")


def test_certificates_are_listed_without_version(http: Raw, emulator: Emulator) -> None:
    fill(emulator, 2, "one")
    fill(emulator, 1, "two")

    page = http.get("/certificates").json()

    ids = [item["id"] for item in page["value"]]
    assert ids == [f"{VAULT}/certificates/one", f"{VAULT}/certificates/two"]
    assert page["nextLink"] is None


def test_certificates_are_listed_by_their_names_without_regard_to_case(
    http: Raw, emulator: Emulator
) -> None:
    for name in ("b", "C", "a", "D"):
        fill(emulator, 1, name)

    pages = list(followed(http, "/certificates", 1))

    found = [item["id"].rpartition("/")[2] for page in pages for item in page]
    assert found == ["a", "b", "C", "D"]
