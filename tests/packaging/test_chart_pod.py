"""The pod: it holds the least rights and no secret, and is told what the values say."""

import pytest

from app.connectors import REGISTRY
from app.settings import PREFIX, read
from tests.packaging.chart import (
    Chart,
    Values,
    container,
    environment,
    one,
    pod,
)
from tests.packaging.values import ACCESS_FILE, CLIENT_ID, FULL, LEAST, OWN, TRIAL, every_way


@every_way
def test_the_pod_runs_with_the_least_it_needs(chart: Chart, values: Values) -> None:
    manifests = chart.render(values)
    spec = pod(manifests)["spec"]

    assert spec["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "runAsGroup": 10001,
        "fsGroup": 10001,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container(manifests)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False


def test_the_account_that_is_made_hands_out_no_token(chart: Chart) -> None:
    assert one(chart.render(LEAST), "ServiceAccount")["automountServiceAccountToken"] is False


@every_way
def test_only_the_data_volume_can_be_written(chart: Chart, values: Values) -> None:
    mounts = container(chart.render(values))["volumeMounts"]
    data = [] if "postgres" in values else ["/data"]

    assert [mount["mountPath"] for mount in mounts if not mount.get("readOnly")] == data


def test_a_changed_access_file_reaches_the_running_pod(chart: Chart) -> None:
    manifests = chart.render(TRIAL)
    [mount] = [m for m in container(manifests)["volumeMounts"] if m["name"] == "access"]

    # A single file mounted by subPath would keep its first content for the life of the pod.
    assert "subPath" not in mount
    assert environment(manifests)["ACCESS__FILE"] == mount["mountPath"] + "/access.toml"
    assert one(manifests, "Secret")["stringData"] == {"access.toml": ACCESS_FILE}


def test_access_control_is_on_whatever_the_values(chart: Chart) -> None:
    assert environment(chart.render(FULL))["ACCESS__MODE"] == "required"


def test_the_values_arrive_as_the_settings_of_the_service(chart: Chart) -> None:
    assert environment(chart.render(FULL)) == {
        "HTTP__HOST": "0.0.0.0",  # noqa: S104  # in the pod's own network
        "HTTP__PORT": "8080",
        "HTTP__METRICS_PORT": "9090",
        "HTTP__DOCS": "true",
        "STORE__URL": "sqlite:////data/certctl-connectors.db",
        "ACCESS__MODE": "required",
        "ACCESS__FILE": "/etc/certctl-connectors/access/access.toml",
        "AZURE__READ_PREVIOUS_SECRET": "never",
        "AZURE__ALLOWED_VAULTS": '["prod-*","edge"]',
        "AZURE__CONNECT_TO": "10.0.0.5:8443",
        "AZURE__CA_BUNDLE": "/etc/certctl-connectors/ca/ca.crt",
        "WORKER__CONCURRENCY": "32",
        "WORKER__QUEUE_LIMIT": "100000",
        "WORKER__DRAIN_S": "60",
        "LOG__FORMAT": "console",
        "LOG__LEVEL": "debug",
        "AZURE_AUTHORITY_HOST": "login.example",
    }


@every_way
def test_the_service_understands_every_setting(
    chart: Chart, values: Values, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = container(chart.render(values))["env"]
    from_a_secret = {f"{PREFIX}STORE__URL": "postgresql://db/certctl"}
    for entry in entries:
        name = entry["name"]
        if name.startswith(PREFIX):
            monkeypatch.setenv(name, entry.get("value") or from_a_secret[name])

    settings = read({kind.settings: kind.options for kind in REGISTRY.values()})

    assert settings.access.mode == "required"
    assert settings.http.port == 8080


def test_what_is_left_empty_is_left_to_the_service(chart: Chart) -> None:
    names = environment(chart.render(LEAST))

    assert not names.keys() & {
        "HTTP__METRICS_PORT",
        "AZURE__ALLOWED_VAULTS",
        "AZURE__CONNECT_TO",
        "AZURE__CA_BUNDLE",
        "AZURE_CLIENT_ID",
    }


def test_the_ca_bundle_is_read_from_the_map_that_is_named(chart: Chart) -> None:
    manifests = chart.render(FULL)
    [volume] = [v for v in pod(manifests)["spec"]["volumes"] if v["name"] == "ca"]

    assert volume["configMap"]["name"] == "trust"
    assert environment(manifests)["AZURE__CA_BUNDLE"] == "/etc/certctl-connectors/ca/ca.crt"


def test_workload_identity_marks_the_pod_and_its_account(chart: Chart) -> None:
    manifests = chart.render(FULL)
    account = one(manifests, "ServiceAccount")

    assert pod(manifests)["metadata"]["labels"]["azure.workload.identity/use"] == "true"
    assert account["metadata"]["annotations"] == {
        "azure.workload.identity/client-id": CLIENT_ID,
        "owner": "pki",
    }
    assert account["metadata"]["name"] == pod(manifests)["spec"]["serviceAccountName"]


def test_without_workload_identity_nothing_is_marked(chart: Chart) -> None:
    manifests = chart.render(LEAST)

    assert "azure.workload.identity/use" not in pod(manifests)["metadata"]["labels"]
    assert "annotations" not in one(manifests, "ServiceAccount")["metadata"]


def test_a_managed_identity_is_named_by_its_client_id(chart: Chart) -> None:
    assert environment(chart.render(TRIAL))["AZURE_CLIENT_ID"] == CLIENT_ID


def test_a_client_secret_is_only_ever_referred_to(chart: Chart) -> None:
    referred = {
        entry["name"]: entry["valueFrom"]["secretKeyRef"]
        for entry in container(chart.render(OWN))["env"]
        if "valueFrom" in entry
    }

    assert referred == {
        name: {"name": "principal", "key": name}
        for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET")
    }


@every_way
def test_no_secret_material_is_in_the_environment(chart: Chart, values: Values) -> None:
    manifests = chart.render(values)
    plain = [entry for entry in container(manifests)["env"] if "value" in entry]

    assert not [entry for entry in plain if entry["name"] == "AZURE_CLIENT_SECRET"]
    assert "5e5e" not in str(container(manifests))


@every_way
def test_the_access_file_is_in_the_secret_and_nowhere_else(chart: Chart, values: Values) -> None:
    manifests = chart.render(values)

    assert "5e5e" not in str([m for m in manifests if m["kind"] != "Secret"])


def test_the_probes_ask_what_they_are_for(chart: Chart) -> None:
    only = container(chart.render(FULL))
    asked = {name: only[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}

    assert asked == {
        "startup": {"path": "/health", "port": "http"},
        "liveness": {"path": "/health", "port": "http"},
        "readiness": {"path": "/ready", "port": "http"},
    }
