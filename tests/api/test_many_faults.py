"""A request of nothing but faults is refused with few words, and holds nobody up."""

from typing import Any

import httpx
import pytest

DEPLOY = "/api/v1/connectors/Shelf/deploy"
MANY = {str(number): 1 for number in range(20_000)}


@pytest.mark.parametrize("path", ["/api/v1/audit/events", "/api/v1/deployments"])
async def test_a_list_with_thousands_of_parameters_is_refused_in_a_word(
    http: httpx.AsyncClient, path: str
) -> None:
    answer = await http.get(f"{path}?{'&'.join(f'a{number}=1' for number in range(5000))}")

    assert answer.status_code == 422
    assert [(one["field"], one["code"]) for one in answer.json()["errors"]] == [("*", "too-many")]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        pytest.param(MANY, "body", id="fields"),
        pytest.param({"metadata": MANY}, "metadata", id="metadata"),
        pytest.param({"target_config": {"tags": MANY}}, "target_config.tags", id="tags"),
        pytest.param(
            {f"x{number}": {f"y{inner}": 1 for inner in range(99)} for number in range(99)},
            "x89",
            id="many objects",
        ),
    ],
)
@pytest.mark.parametrize("operation", ["deploy", "plan", "validate-deployment"])
async def test_a_body_with_thousands_of_members_is_refused_in_a_word(
    http: httpx.AsyncClient,
    asked: dict[str, Any],
    operation: str,
    change: dict[str, Any],
    field: str,
) -> None:
    answer = await http.post(f"/api/v1/connectors/Shelf/{operation}", json={**asked, **change})

    assert answer.status_code == 422
    assert [(one["field"], one["code"]) for one in answer.json()["errors"]] == [(field, "too-many")]


async def test_of_many_faults_a_hundred_are_told_and_how_many_more_there_are(
    http: httpx.AsyncClient, asked: dict[str, Any]
) -> None:
    few = await http.post(DEPLOY, json={**asked, **{f"x{number}": 1 for number in range(100)}})
    many = await http.post(DEPLOY, json={**asked, **{f"x{number}": 1 for number in range(101)}})

    assert (len(few.json()["errors"]), few.json()["more_errors"]) == (100, 0)
    assert (len(many.json()["errors"]), many.json()["more_errors"]) == (100, 1)
