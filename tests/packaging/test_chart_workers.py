"""The chart with workers apart: the same pods but for what they run, and nobody calls them."""

import pytest

from app.__main__ import command_line
from tests.packaging.chart import Chart, Manifest, container, kinds, one, pod
from tests.packaging.values import APART, CLUSTER, FULL, LEAST, PEERS

PARTS = ("api", "worker")


def selector(manifest: Manifest) -> dict[str, str]:
    """The labels by which a Deployment, a policy, a monitor or a Service finds its pods."""
    spec = manifest["spec"]
    found = spec.get("podSelector") or spec["selector"]
    labels: dict[str, str] = found.get("matchLabels", found)
    return labels


def test_the_api_only_takes_requests_and_the_workers_only_work(chart: Chart) -> None:
    manifests = chart.render(APART)
    counts = {part: one(manifests, "Deployment", part)["spec"]["replicas"] for part in PARTS}
    args = {part: container(manifests, part)["args"] for part in PARTS}

    assert counts == {"api": 3, "worker": 2}
    assert args == {"api": ["serve", "--no-worker"], "worker": ["work"]}


@pytest.mark.parametrize("values", [LEAST, CLUSTER], ids=["a-file", "many-replicas"])
def test_without_workers_apart_the_pods_do_all_of_it(chart: Chart, values: Manifest) -> None:
    assert container(chart.render(values))["args"] == ["serve"]


def test_the_service_understands_what_the_pods_are_told_to_run(chart: Chart) -> None:
    manifests = chart.render(APART)

    for part in PARTS:
        assert command_line().parse_args(container(manifests, part)["args"]).run


def test_the_pods_differ_in_what_they_run_and_in_nothing_else(chart: Chart) -> None:
    manifests = chart.render({**APART, "podLabels": {"team": "pki"}})
    api, worker = (one(manifests, "Deployment", part)["spec"] for part in PARTS)
    for spec, part in ((api, "api"), (worker, "worker")):
        del spec["replicas"], spec["selector"], container(manifests, part)["args"]
        del spec["template"]["spec"]["affinity"]  # it names the labels
        for name in ("name", "component"):
            del spec["template"]["metadata"]["labels"][f"app.kubernetes.io/{name}"]

    assert worker == api


def test_the_workers_can_have_resources_of_their_own(chart: Chart) -> None:
    limits = {"limits": {"memory": "1Gi"}}
    manifests = chart.render({**APART, "workers": {"replicas": 2, "resources": limits}})

    assert container(manifests, "worker")["resources"] == limits
    assert container(manifests)["resources"]["limits"] == {"memory": "512Mi"}


def test_what_is_for_the_api_never_finds_a_worker_nor_the_other_way(chart: Chart) -> None:
    manifests = chart.render(APART)
    labels = {part: pod(manifests, part)["metadata"]["labels"].items() for part in PARTS}

    found = {
        (manifest["kind"], manifest["metadata"]["name"]): [
            part for part in PARTS if selector(manifest).items() <= labels[part]
        ]
        for manifest in manifests
        if manifest["kind"] in {"Deployment", "Service", "NetworkPolicy", "PodMonitor"}
    }
    name = "rel-certctl-connectors"
    assert found == {
        ("Deployment", name): ["api"],
        ("Service", name): ["api"],
        ("NetworkPolicy", name): ["api"],
        ("Deployment", f"{name}-worker"): ["worker"],
        ("NetworkPolicy", f"{name}-worker"): ["worker"],
        ("NetworkPolicy", f"{name}-migrate"): [],
        ("PodMonitor", f"{name}-worker"): ["worker"],
    }


def test_workers_can_be_set_apart_by_an_upgrade(chart: Chart) -> None:
    together, apart = (
        one(chart.render(values), "Deployment", "api") for values in (CLUSTER, APART)
    )

    # Kubernetes refuses an upgrade that changes them.
    assert apart["spec"]["selector"] == together["spec"]["selector"]
    assert apart["spec"]["selector"]["matchLabels"] == {
        "app.kubernetes.io/name": "certctl-connectors",
        "app.kubernetes.io/instance": "rel",
    }


def test_nobody_may_call_a_worker_and_only_scrapers_may_read_it(chart: Chart) -> None:
    closed = one(chart.render(APART), "NetworkPolicy", "worker")["spec"]
    policy = {**APART["networkPolicy"], "scrapers": PEERS}
    scraped = chart.render({**APART, "networkPolicy": policy, "http": {"metricsPort": 9090}})

    assert closed["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in closed
    assert one(scraped, "NetworkPolicy", "worker")["spec"]["ingress"] == [
        {"from": PEERS, "ports": [{"port": "metrics"}]}
    ]


def test_the_workers_may_reach_what_the_api_may(chart: Chart) -> None:
    manifests = chart.render(APART)
    api, worker = (one(manifests, "NetworkPolicy", part)["spec"]["egress"] for part in PARTS)

    assert worker == api


@pytest.mark.parametrize(
    ("http", "port"),
    [
        pytest.param({}, "http", id="on-the-main-port"),
        pytest.param({"metricsPort": 9090}, "metrics", id="on-a-port-of-its-own"),
    ],
)
def test_the_metrics_of_workers_are_scraped_from_their_pods(
    chart: Chart, http: Manifest, port: str
) -> None:
    manifests = chart.render({**APART, "http": http})
    monitor = one(manifests, "PodMonitor")

    assert monitor["spec"]["podMetricsEndpoints"] == [
        {"port": port, "path": "/metrics", "interval": "30s"}
    ]
    assert port in [entry["name"] for entry in container(manifests, "worker")["ports"]]
    assert monitor["metadata"]["labels"]["release"] == "prometheus"


def test_without_workers_apart_there_is_nothing_of_theirs(chart: Chart) -> None:
    manifests = chart.render(FULL)

    assert "PodMonitor" not in kinds(manifests)
    assert not [m for m in manifests if m["metadata"]["name"].endswith("-worker")]


def test_the_names_of_workers_are_cut_to_what_kubernetes_takes(chart: Chart) -> None:
    long = {"nameOverride": "n" * 63, "fullnameOverride": "f" * 63}
    manifests = chart.render({**APART, **long})
    worker = one(manifests, "Deployment", "worker")["metadata"]

    assert worker["name"] == "f" * 56 + "-worker"
    assert worker["labels"]["app.kubernetes.io/name"] == "n" * 56 + "-worker"


def test_the_notes_wait_for_the_workers_too(chart: Chart) -> None:
    assert "rollout status deployment/rel-certctl-connectors-worker" in chart.notes(APART)
    assert "-worker" not in chart.notes(CLUSTER)
