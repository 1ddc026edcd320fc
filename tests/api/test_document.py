"""The OpenAPI document says everything, and nothing that is not so."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from jsonschema import Draft202012Validator

from app import api
from app.connectors import REGISTRY
from tests.api.conftest import Bench


@pytest.fixture(scope="module", name="document")
def _document() -> dict[str, Any]:
    return api.described(REGISTRY, version="1.2.3")


def operations(document: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for operation in methods.values():
            yield path, operation


def contents(document: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every body of a request or an answer."""
    for path, operation in operations(document):
        asked = operation.get("requestBody", {}).get("content", {})
        for response in (asked, *(one["content"] for one in operation["responses"].values())):
            for content in response.values():
                yield f"{path} {operation['operationId']}", content


def test_every_operation_is_told_with_an_example(document: dict[str, Any]) -> None:
    ids = [operation["operationId"] for _, operation in operations(document)]
    assert len(ids) == len(set(ids)) == 16
    assert document["openapi"].startswith("3.1")
    for path, operation in operations(document):
        assert operation["summary"], path
        assert operation["description"], path
        assert operation["tags"], path
    for place, content in contents(document):
        assert content.get("example") or content.get("examples"), place


def test_every_example_is_what_its_schema_says(document: dict[str, Any]) -> None:
    for place, content in contents(document):
        if "schema" not in content:
            continue
        schema = {**content["schema"], "components": document["components"]}
        named = [one.get("$ref", "") for one in content.get("examples", {}).values()]
        given = [one["value"] for one in content.get("examples", {}).values() if "value" in one]
        given += [
            document["components"]["examples"][ref.rpartition("/")[2]]["value"]
            for ref in named
            if ref
        ]
        for example in given or [content["example"]]:
            found = list(Draft202012Validator(schema).iter_errors(example))
            assert not found, (place, found)


def test_every_error_is_a_problem_document(document: dict[str, Any]) -> None:
    for path, operation in operations(document):
        for status, response in operation["responses"].items():
            assert "X-Request-Id" in response["headers"]
            if status >= "400":
                assert set(response["content"]) == {"application/problem+json"}, path


def test_whatever_is_under_the_api_needs_a_caller(document: dict[str, Any]) -> None:
    for path, operation in operations(document):
        guarded = path.startswith("/api/v1/")
        assert ("401" in operation["responses"]) == guarded
        assert operation.get("security", []) == ([{"bearer": []}] if guarded else [])


def test_each_connector_has_its_configuration_typed(document: dict[str, Any]) -> None:
    path = document["paths"]["/api/v1/connectors/AzureKeyVault/deploy"]["post"]
    schema = path["requestBody"]["content"]["application/json"]["schema"]
    assert schema == {"$ref": "#/components/schemas/AzureKeyVaultDeployRequest"}
    schemas = document["components"]["schemas"]
    asked = schemas["AzureKeyVaultDeployRequest"]
    assert asked["properties"]["target_config"]["$ref"].endswith("/AzureKeyVaultTarget")
    assert asked["required"] == ["cert_pem", "key_pem", "target_config"]
    assert "vault_url" in schemas["AzureKeyVaultTarget"]["required"]


def test_every_reference_leads_somewhere_and_nothing_is_left_over(
    document: dict[str, Any],
) -> None:
    for kind in ("schemas", "examples"):
        named = set(re.findall(rf"#/components/{kind}/([A-Za-z]+)", str(document)))
        assert named == set(document["components"][kind])


def test_no_text_of_it_can_be_read_as_a_key_or_a_certificate(document: dict[str, Any]) -> None:
    blocks = re.findall(r"-----BEGIN .*?-----END [A-Z ]+-----", str(document).replace("\\n", "\n"))
    blocks += re.findall(r"(?s)-----BEGIN .*?-----END [A-Z ]+-----", _texts(document))
    assert blocks
    for block in blocks:
        with pytest.raises(ValueError, match=r".+"):
            load_pem_private_key(block.encode(), None)
        with pytest.raises(ValueError, match=r".+"):
            x509.load_pem_x509_certificates(block.encode())


def _texts(value: object) -> str:
    if isinstance(value, Mapping):
        return "\n".join(_texts(one) for one in value.values())
    if isinstance(value, list):
        return "\n".join(map(_texts, value))
    return value if isinstance(value, str) else ""


async def test_the_app_serves_the_document_it_is_described_by(
    http: httpx.AsyncClient, bench: Bench
) -> None:
    served = (await http.get("/openapi.json")).json()
    assert served == api.described(bench.rooms.kinds, version="1.2.3")
    assert "/openapi.json" in (await http.get("/docs")).text


async def test_the_page_to_read_it_loads_nothing_from_elsewhere(http: httpx.AsyncClient) -> None:
    page = (await http.get("/docs")).text

    loaded = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert loaded
    for path in loaded:
        assert path.startswith("/docs/")
        assert (await http.get(path)).status_code == 200
