"""What the chart installs: valid for Kubernetes, and as the values say."""

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
from tests.packaging.values import FULL, LEAST, OWN, PEERS, TRIAL, every_way


@every_way
def test_the_chart_lints_without_a_warning(chart: Chart, values: Values) -> None:
    assert "0 chart(s) failed" in chart.lint(values)


@every_way
@pytest.mark.parametrize("kubernetes", ["1.27", "1.37"])
def test_every_manifest_is_valid_for_kubernetes(
    chart: Chart, values: Values, kubernetes: str
) -> None:
    monitors = {"ServiceMonitor", "PodMonitor"}  # the Prometheus operator's, not Kubernetes'
    manifests = [m for m in chart.render(values) if m["kind"] not in monitors]

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


@pytest.mark.parametrize("values", [LEAST, FULL, TRIAL, OWN], ids=["least", "full", "trial", "own"])
def test_two_pods_never_share_a_file(chart: Chart, values: Values) -> None:
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


def test_what_is_meant_for_kubernetes_is_handed_on_as_it_is(chart: Chart) -> None:
    limits = {"limits": {"memory": "1Gi"}, "requests": {"cpu": "1", "memory": "1Gi"}}
    manifests = chart.render({**FULL, "image": {"pullPolicy": "Always"}, "resources": limits})
    template, only = pod(manifests), container(manifests)
    claim = one(manifests, "PersistentVolumeClaim")["spec"]
    handed_on = {name: template["spec"][name] for name in ("nodeSelector", "tolerations")}
    handed_on |= {name: template["spec"][name] for name in ("affinity", "imagePullSecrets")}

    assert handed_on == {name: FULL[name] for name in handed_on}
    assert template["spec"]["priorityClassName"] == "high"
    assert template["metadata"]["annotations"] == {"owner": "pki"}
    assert template["metadata"]["labels"]["team"] == "pki"
    assert (only["imagePullPolicy"], only["resources"]) == ("Always", limits)
    assert claim == {
        "accessModes": ["ReadWriteOncePod"],
        "storageClassName": "fast",
        "resources": {"requests": {"storage": "5Gi"}},
    }
    assert one(manifests, "Service")["metadata"]["annotations"] == {"owner": "pki"}
    assert one(manifests, "ServiceMonitor")["metadata"]["labels"]["release"] == "prometheus"


def test_the_pod_has_longer_to_stop_than_the_service_takes(chart: Chart) -> None:
    manifests = chart.render({**LEAST, "terminationGracePeriodSeconds": 250})

    assert pod(manifests)["spec"]["terminationGracePeriodSeconds"] == 250
    assert environment(manifests)["WORKER__DRAIN_S"] == "240"


def test_the_service_leads_to_the_ports_of_the_pod(chart: Chart) -> None:
    manifests = chart.render(FULL)
    spec = one(manifests, "Service")["spec"]

    assert spec["type"] == "ClusterIP"
    assert [(p["name"], p["port"], p["targetPort"]) for p in spec["ports"]] == [
        ("http", 80, "http"),
        ("metrics", 9090, "metrics"),
    ]
    assert container(manifests)["ports"] == [
        {"name": "http", "containerPort": 8080},
        {"name": "metrics", "containerPort": 9090},
    ]


@every_way
def test_the_selectors_find_the_pod(chart: Chart, values: Values) -> None:
    manifests = chart.render(values)
    labels = pod(manifests)["metadata"]["labels"].items()

    assert one(manifests, "Service")["spec"]["selector"].items() <= labels
    assert one(manifests, "Deployment", "api")["spec"]["selector"]["matchLabels"].items() <= labels


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
