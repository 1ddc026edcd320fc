"""What the chart installs: valid for Kubernetes, with the least rights, and as the values say."""

from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]  # it is published without types
import pytest

from tests.packaging.chart import (
    Chart,
    Manifest,
    Values,
    container,
    environment,
    kinds,
    one,
    pod,
)

# Made up: the SHA-256 of nobody's token.
ACCESS_FILE = f'[[callers]]\nname = "portal"\ntoken_sha256 = "{"5e" * 32}"\n'
LEAST: Values = {"access": {"existingSecret": "callers"}}
CLIENT_ID = "33333333-3333-3333-3333-333333333333"
PEERS = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "certctl"}}}]

FULL: Values = {
    "image": {"repository": "images/certctl-connectors", "digest": "sha256:" + "0a" * 32},
    "imagePullSecrets": [{"name": "registry"}],
    "http": {"metricsPort": 9090, "docs": True},
    "access": {"file": ACCESS_FILE},
    "azure": {
        "workloadIdentity": {"clientId": CLIENT_ID},
        "allowedVaults": ["prod-*", "edge"],
        "readPreviousSecret": "never",
        "connectTo": "10.0.0.5:8443",
        "caBundle": {"configMap": "trust"},
    },
    "worker": {"concurrency": 32, "queueLimit": 1_000_000, "drainSeconds": 60},
    "log": {"format": "console", "level": "debug"},
    "persistence": {"storageClassName": "fast", "accessMode": "ReadWriteOncePod", "size": "5Gi"},
    "serviceAccount": {"name": "deployer", "annotations": {"owner": "pki"}},
    "service": {"port": 80, "annotations": {"owner": "pki"}},
    "podAnnotations": {"owner": "pki"},
    "podLabels": {"team": "pki"},
    "nodeSelector": {"kubernetes.io/os": "linux"},
    "tolerations": [{"key": "pki", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "priorityClassName": "high",
    "extraEnv": [{"name": "AZURE_AUTHORITY_HOST", "value": "login.example"}],
    "serviceMonitor": {"enabled": True, "interval": "15s", "labels": {"release": "prometheus"}},
    "networkPolicy": {
        "enabled": True,
        "callers": PEERS,
        "scrapers": [{"podSelector": {"matchLabels": {"app": "prometheus"}}}],
        "extraEgress": [{"ports": [{"port": 8443}]}],
    },
}
TRIAL: Values = {
    "access": {"file": ACCESS_FILE},
    "azure": {"managedIdentity": {"clientId": CLIENT_ID}},
    "persistence": {"enabled": False},
}
OWN: Values = {
    "access": {"existingSecret": "callers", "key": "callers.toml"},
    "azure": {"clientSecret": {"existingSecret": "principal"}},
    "persistence": {"existingClaim": "record"},
    "serviceAccount": {"create": False, "name": "deployer"},
}
every_way = pytest.mark.parametrize(
    "values",
    [
        pytest.param(LEAST, id="the-least"),
        pytest.param(FULL, id="all-that-can-be-set"),
        pytest.param(TRIAL, id="a-trial-without-a-volume"),
        pytest.param(OWN, id="all-brought-along"),
    ],
)


@every_way
def test_the_chart_lints_without_a_warning(chart: Chart, values: Values) -> None:
    assert "0 chart(s) failed" in chart.lint(values)


@every_way
@pytest.mark.parametrize("kubernetes", ["1.27", "1.37"])
def test_every_manifest_is_valid_for_kubernetes(
    chart: Chart, values: Values, kubernetes: str
) -> None:
    manifests = [m for m in chart.render(values) if m["kind"] != "ServiceMonitor"]

    assert manifests
    for manifest in manifests:
        kubernetes_validate.validate(manifest, kubernetes, strict=True)


def test_the_check_of_the_manifests_notices_a_wrong_field(chart: Chart) -> None:
    deployment = one(chart.render(LEAST), "Deployment")
    deployment["spec"]["replicaz"] = 1

    with pytest.raises(kubernetes_validate.ValidationError, match="replicaz"):
        kubernetes_validate.validate(deployment, "1.37", strict=True)


def test_the_least_installation_makes_four_things(chart: Chart) -> None:
    made = kinds(chart.render(LEAST))

    assert made == {"Deployment", "Service", "ServiceAccount", "PersistentVolumeClaim"}


def test_what_is_brought_along_is_not_made_again(chart: Chart) -> None:
    manifests = chart.render(OWN)
    volumes = {volume["name"]: volume for volume in pod(manifests)["spec"]["volumes"]}

    assert kinds(manifests) == {"Deployment", "Service"}
    assert volumes["data"]["persistentVolumeClaim"]["claimName"] == "record"
    assert volumes["access"]["secret"]["secretName"] == "callers"
    assert environment(manifests)["ACCESS__FILE"].endswith("/callers.toml")
    assert pod(manifests)["spec"]["serviceAccountName"] == "deployer"


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

    assert [mount["mountPath"] for mount in mounts if not mount.get("readOnly")] == ["/data"]


@every_way
def test_two_pods_never_share_the_store(chart: Chart, values: Values) -> None:
    spec = one(chart.render(values), "Deployment")["spec"]

    assert spec["replicas"] == 1
    assert spec["strategy"] == {"type": "Recreate"}


def test_the_record_survives_an_uninstallation(chart: Chart) -> None:
    claim = one(chart.render(LEAST), "PersistentVolumeClaim")
    dropped = one(
        chart.render({**LEAST, "persistence": {"keepOnUninstall": False}}), "PersistentVolumeClaim"
    )

    assert claim["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]
    assert "annotations" not in dropped["metadata"]


def test_a_trial_keeps_its_record_in_the_pod_only(chart: Chart) -> None:
    manifests = chart.render(TRIAL)

    assert "PersistentVolumeClaim" not in kinds(manifests)
    assert {"name": "data", "emptyDir": {}} in pod(manifests)["spec"]["volumes"]


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
        "WORKER__QUEUE_LIMIT": "1000000",
        "WORKER__DRAIN_S": "60",
        "LOG__FORMAT": "console",
        "LOG__LEVEL": "debug",
        "AZURE_AUTHORITY_HOST": "login.example",
    }


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


@pytest.mark.parametrize(
    ("http", "port"),
    [
        pytest.param({}, "http", id="on-the-main-port"),
        pytest.param({"metricsPort": 9090}, "metrics", id="on-a-port-of-its-own"),
    ],
)
def test_metrics_are_scraped_where_they_are_served(
    chart: Chart, http: dict[str, Any], port: str
) -> None:
    policy = {"enabled": True, "callers": PEERS, "scrapers": PEERS}
    monitored = {"http": http, "serviceMonitor": {"enabled": True}, "networkPolicy": policy}
    manifests = chart.render({**LEAST, **monitored})
    monitor = one(manifests, "ServiceMonitor")["spec"]
    service = one(manifests, "Service")

    assert monitor["endpoints"] == [{"port": port, "path": "/metrics", "interval": "30s"}]
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert port in [entry["name"] for entry in service["spec"]["ports"]]
    assert port in [entry["name"] for entry in container(manifests)["ports"]]
    assert one(manifests, "NetworkPolicy")["spec"]["ingress"][1]["ports"] == [{"port": port}]


def test_the_network_policy_lets_in_the_callers_and_out_to_azure(chart: Chart) -> None:
    spec = one(chart.render(FULL), "NetworkPolicy")["spec"]

    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert spec["ingress"][0] == {"from": PEERS, "ports": [{"port": "http"}]}
    assert {port["port"] for rule in spec["egress"] for port in rule["ports"]} == {53, 443, 8443}


@every_way
def test_the_selectors_find_the_pod(chart: Chart, values: Values) -> None:
    manifests = chart.render(values)
    labels = pod(manifests)["metadata"]["labels"].items()

    assert one(manifests, "Service")["spec"]["selector"].items() <= labels
    assert one(manifests, "Deployment")["spec"]["selector"]["matchLabels"].items() <= labels


@pytest.mark.parametrize(
    ("image", "reference"),
    [
        pytest.param({}, "certctl-connectors:0.1.0", id="the-charts-version"),
        pytest.param({"tag": "0.2.0"}, "certctl-connectors:0.2.0", id="a-tag"),
        pytest.param(
            {"digest": "sha256:" + "0a" * 32},
            "certctl-connectors:0.1.0@sha256:" + "0a" * 32,
            id="a-digest",
        ),
    ],
)
def test_the_image_is_the_one_that_is_named(
    chart: Chart, image: dict[str, str], reference: str
) -> None:
    assert container(chart.render({**LEAST, "image": image}))["image"] == reference


@pytest.mark.parametrize(
    ("release", "names", "name"),
    [
        pytest.param("rel", {}, "rel-certctl-connectors", id="release-and-chart"),
        pytest.param("certctl-connectors", {}, "certctl-connectors", id="not-said-twice"),
        pytest.param("rel", {"nameOverride": "cc"}, "rel-cc", id="another-name"),
        pytest.param("rel", {"fullnameOverride": "cc"}, "cc", id="another-full-name"),
        pytest.param("r" * 53, {}, "r" * 53 + "-certctl-c", id="cut-to-what-kubernetes-takes"),
    ],
)
def test_names_follow_the_release(
    chart: Chart, release: str, names: dict[str, str], name: str
) -> None:
    manifests: list[Manifest] = chart.render({**TRIAL, **names}, release)

    assert one(manifests, "Deployment")["metadata"]["name"] == name
    assert max(len(manifest["metadata"]["name"]) for manifest in manifests) <= 63


def test_the_notes_say_what_to_do_next(chart: Chart) -> None:
    notes = chart.notes(LEAST)

    assert "rollout status deployment/rel-certctl-connectors" in notes
    assert "Put TLS in front" in notes
    assert "azure.allowedVaults" in notes
    assert "WARNING" not in notes


def test_the_notes_warn_where_the_record_is_lost_with_the_pod(chart: Chart) -> None:
    assert "WARNING: the record of deployments and the audit trail" in chart.notes(TRIAL)
