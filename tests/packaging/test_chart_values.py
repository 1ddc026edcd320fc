"""The values: what cannot work is refused, and values, schema, templates and README agree."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.packaging.chart import FOLDER, Chart, Values

ACCESS: Values = {"existingSecret": "callers"}
CLIENT_ID = "33333333-3333-3333-3333-333333333333"
VALUES_TEXT = (FOLDER / "values.yaml").read_text()
VALUES: dict[str, Any] = yaml.safe_load(VALUES_TEXT)
SCHEMA: dict[str, Any] = json.loads((FOLDER / "values.schema.json").read_text())
TEMPLATES = "".join(path.read_text() for path in sorted((FOLDER / "templates").iterdir()))

# Helm hands it to every chart that is part of another; it is no value of ours.
HELMS_OWN = {"global"}
# Given to Kubernetes whole, so what is in it is Kubernetes' to describe.
WHOLE = {"resources"}


def described(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every value in the schema, sections included, by its dotted path."""
    for name, part in schema["properties"].items():
        yield path + name, part
        if "properties" in part:
            yield from described(part, f"{path}{name}.")


def written(values: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value in values.yaml, without the sections, by its dotted path."""
    for name, value in values.items():
        if isinstance(value, dict) and value and path + name not in WHOLE:
            yield from written(value, f"{path}{name}.")
        else:
            yield path + name, value


def keys_with_lines(node: yaml.MappingNode, path: str = "") -> Iterator[tuple[str, int]]:
    """Every key of values.yaml, sections included, with the number of its line from 0."""
    for key, value in node.value:
        yield path + key.value, key.start_mark.line
        if isinstance(value, yaml.MappingNode) and path + key.value not in WHOLE:
            yield from keys_with_lines(value, f"{path}{key.value}.")


LEAVES = dict(written(VALUES))
SECTIONS = {path: part for path, part in described(SCHEMA) if "properties" in part}


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        pytest.param({}, "Nobody could call the service: give access.file", id="no-callers"),
        pytest.param(
            {"access": {"existingSecret": "callers", "file": "x"}},
            "access.file and access.existingSecret are both given",
            id="callers-given-twice",
        ),
        pytest.param(
            {
                "access": ACCESS,
                "azure": {
                    "workloadIdentity": {"clientId": CLIENT_ID},
                    "clientSecret": {"existingSecret": "principal"},
                },
            },
            "More than one Azure identity is given",
            id="two-identities",
        ),
        pytest.param(
            {"access": ACCESS, "http": {"metricsPort": 8080}},
            "http.metricsPort is 8080, the main port",
            id="metrics-on-the-main-port-by-number",
        ),
        pytest.param(
            {"access": ACCESS, "http": {"metricsPort": 9090}, "service": {"port": 9090}},
            "http.metricsPort and service.port are the same",
            id="one-port-twice",
        ),
        pytest.param(
            {"access": ACCESS, "terminationGracePeriodSeconds": 249},
            "terminationGracePeriodSeconds must be at least 10 more than worker.drainSeconds",
            id="killed-while-draining",
        ),
        pytest.param(
            {"access": ACCESS, "persistence": {"enabled": False, "existingClaim": "record"}},
            "persistence.existingClaim is given but persistence.enabled is false",
            id="a-claim-that-is-not-used",
        ),
        pytest.param(
            {"access": ACCESS, "replicas": 2},
            "More than one replica needs PostgreSQL",
            id="two-pods-on-one-file",
        ),
        pytest.param(
            {"access": ACCESS, "workers": {"replicas": 1}},
            "Workers of their own need PostgreSQL",
            id="workers-apart-on-one-file",
        ),
        pytest.param(
            {
                "access": ACCESS,
                "postgres": {"existingSecret": "database"},
                "sealing": {"existingSecret": "sealing"},
                "persistence": {"existingClaim": "record"},
            },
            "postgres.existingSecret and persistence.existingClaim are both given",
            id="the-record-in-two-places",
        ),
        pytest.param(
            {"access": ACCESS, "postgres": {"existingSecret": "database"}},
            "Private keys wait in PostgreSQL sealed only",
            id="nothing-that-seals",
        ),
        pytest.param(
            {
                "access": ACCESS,
                "postgres": {"existingSecret": "database"},
                "sealing": {"existingSecret": "sealing", "vaultKeys": ["https://v"]},
            },
            "sealing.existingSecret and sealing.vaultKeys are both given",
            id="sealing-keys-in-two-places",
        ),
        pytest.param(
            {"access": ACCESS, "sealing": {"existingSecret": "sealing"}},
            "Sealing keys are given but no postgres.existingSecret",
            id="nothing-to-seal",
        ),
        pytest.param(
            {"access": ACCESS, "postgres": {"caBundle": {"configMap": "trust"}}},
            "postgres.caBundle.configMap is given but no postgres.existingSecret",
            id="a-ca-of-no-database",
        ),
        pytest.param(
            {"access": ACCESS, "networkPolicy": {"enabled": True}},
            "networkPolicy.enabled needs networkPolicy.callers",
            id="a-policy-that-lets-everyone-in",
        ),
        pytest.param(
            {
                "access": ACCESS,
                "extraEnv": [{"name": "CERTCTL_CONNECTORS_ACCESS__MODE", "value": "disabled"}],
            },
            "extraEnv names CERTCTL_CONNECTORS_ACCESS__MODE, which the chart sets itself",
            id="access-control-switched-off-by-the-back-door",
        ),
    ],
)
def test_what_cannot_work_is_refused_with_a_sentence(
    chart: Chart, values: Values, sentence: str
) -> None:
    assert sentence in chart.refusal(values)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        pytest.param({"replica": 2}, "replica", id="unknown"),
        pytest.param({"azure": {"tenant": "x"}}, "tenant", id="unknown-below"),
        pytest.param({"azure": {"clientSecret": {"value": "x"}}}, "value", id="a-secret-as-value"),
        pytest.param({"worker": {"concurrency": "many"}}, "concurrency", id="wrong-type"),
        pytest.param({"worker": {"concurrency": 0}}, "concurrency", id="too-small"),
        pytest.param({"log": {"level": "loud"}}, "level", id="not-one-of"),
        pytest.param({"image": {"digest": "latest"}}, "digest", id="not-a-digest"),
        pytest.param({"extraEnv": [{"value": "x"}]}, "extraEnv", id="environment-without-a-name"),
    ],
)
def test_values_that_the_schema_does_not_know_are_refused(
    chart: Chart, values: Values, named: str
) -> None:
    refusal = chart.refusal({"access": ACCESS, **values})

    assert "values don't meet the specifications of the schema" in refusal
    assert named in refusal


def test_every_value_is_used_by_a_template() -> None:
    used = set(re.findall(r"\.Values\.([A-Za-z.]+)", TEMPLATES))

    assert used == LEAVES.keys()


def test_every_value_is_in_the_schema_and_nothing_else_is() -> None:
    in_schema = {path for path, part in described(SCHEMA) if "properties" not in part}

    assert in_schema - HELMS_OWN == LEAVES.keys()


def test_the_schema_describes_every_value_in_a_sentence() -> None:
    unsaid = [p for p, part in described(SCHEMA) if not part["description"].endswith(".")]

    assert not unsaid


def test_the_schema_lets_no_unknown_name_into_a_section() -> None:
    open_sections = [p for p, part in SECTIONS.items() if part["additionalProperties"] is not False]

    assert SCHEMA["additionalProperties"] is False
    assert not open_sections


def test_every_value_has_a_comment_in_sentences() -> None:
    node = yaml.compose(VALUES_TEXT, yaml.SafeLoader)
    assert isinstance(node, yaml.MappingNode)
    lines = VALUES_TEXT.splitlines()
    above = {path: lines[line - 1].strip() for path, line in keys_with_lines(node)}

    assert not [p for p, text in above.items() if not re.fullmatch(r"# .*\.", text)]


def test_the_readme_lists_every_value_with_its_default() -> None:
    readme = (FOLDER / "README.md").read_text()
    rows = dict(re.findall(r"^\| `([A-Za-z.]+)` \| `(.*?)` \|", readme, re.MULTILINE))

    expected = {path: json.dumps(value, ensure_ascii=False) for path, value in LEAVES.items()}
    assert rows == expected
