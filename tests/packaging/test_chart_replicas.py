"""The chart with PostgreSQL: many pods, a schema that is migrated before them, and what seals."""

from tests.packaging.chart import Chart, Manifest, container, environment, kinds, one, pod
from tests.packaging.values import APART, CLIENT_ID, CLUSTER, FULL, IN_VAULT, OWN, PEERS

CLOSED = {"networkPolicy": {"enabled": True, "callers": PEERS}}


def labels(job: Manifest) -> Manifest:
    """Those of the pod of a Job."""
    found: Manifest = job["spec"]["template"]["metadata"]["labels"]
    return found


def secrets(manifests: list[Manifest]) -> dict[str, str]:
    """The Secrets that the pod mounts: name of the volume → name of the Secret."""
    volumes = pod(manifests)["spec"]["volumes"]
    return {v["name"]: v["secret"]["secretName"] for v in volumes if "secret" in v}


def test_many_pods_share_a_database_and_replace_one_another_without_a_pause(chart: Chart) -> None:
    manifests = chart.render(CLUSTER)
    spec = one(manifests, "Deployment")["spec"]

    assert (spec["replicas"], spec["strategy"]) == (3, {"type": "RollingUpdate"})
    assert kinds(manifests) == {
        "Deployment",
        "Service",
        "ServiceAccount",
        "Job",
        "PodDisruptionBudget",
    }
    assert environment(manifests)["QUEUE__MODE"] == "postgres"


def test_the_address_of_the_database_is_only_ever_referred_to(chart: Chart) -> None:
    manifests = chart.render(CLUSTER)
    [migrating] = one(manifests, "Job")["spec"]["template"]["spec"]["containers"]

    for entries in (container(manifests)["env"], migrating["env"]):
        [url] = [entry for entry in entries if entry["name"].endswith("STORE__URL")]
        assert url["valueFrom"]["secretKeyRef"] == {"name": "database", "key": "url"}


def test_the_schema_is_brought_up_to_date_before_the_pods_start(chart: Chart) -> None:
    manifests = chart.render(CLUSTER)
    job = one(manifests, "Job")
    template = job["spec"]["template"]
    [migrating] = template["spec"]["containers"]

    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    assert migrating["args"] == ["migrate"]
    assert migrating["image"] == container(manifests)["image"]
    for security, same in (
        (template["spec"], pod(manifests)["spec"]),
        (migrating, container(manifests)),
    ):
        assert security["securityContext"] == same["securityContext"]


def test_the_pod_that_migrates_is_let_out_to_postgresql_before_it_starts_and_to_nobody_else(
    chart: Chart,
) -> None:
    manifests = chart.render({**CLUSTER, **CLOSED})
    let_out, job = one(manifests, "NetworkPolicy", "migration"), one(manifests, "Job")
    hooks = [manifest["metadata"]["annotations"] for manifest in (let_out, job)]
    ports = [port["port"] for rule in let_out["spec"]["egress"] for port in rule["ports"]]

    assert let_out["spec"]["podSelector"]["matchLabels"] == labels(job)
    assert (ports, "ingress" in let_out["spec"]) == ([53, 53, 5432], False)
    assert hooks[0]["helm.sh/hook"] == hooks[1]["helm.sh/hook"]
    assert int(hooks[0]["helm.sh/hook-weight"]) < int(hooks[1].get("helm.sh/hook-weight", 0))


def test_nothing_else_selects_the_pod_that_migrates(chart: Chart) -> None:
    manifests = chart.render({**CLUSTER, **CLOSED})
    selectors = [
        one(manifests, "Service")["spec"]["selector"],
        one(manifests, "NetworkPolicy", "api")["spec"]["podSelector"]["matchLabels"],
        one(manifests, "Deployment", "api")["spec"]["selector"]["matchLabels"],
    ]

    assert not [one_ for one_ in selectors if one_.items() <= labels(one(manifests, "Job")).items()]


def test_sealing_keys_are_a_file_of_the_secret_that_is_named(chart: Chart) -> None:
    manifests = chart.render(CLUSTER)
    [mount] = [m for m in container(manifests)["volumeMounts"] if m["name"] == "sealing"]

    assert secrets(manifests) == {"access": "callers", "sealing": "sealing"}
    assert mount["readOnly"] is True
    assert (
        environment(manifests)["QUEUE__SEALING_KEYS_FILE"] == f"{mount['mountPath']}/sealing-keys"
    )


def test_sealing_keys_in_a_vault_are_used_by_the_identity_of_the_pod(chart: Chart) -> None:
    identities = {
        "workload_identity": {"workloadIdentity": {"clientId": CLIENT_ID}},
        "managed_identity": {"managedIdentity": {"clientId": CLIENT_ID}},
        "client_secret": OWN["azure"],
        "default": {},
    }
    for mode, azure in identities.items():
        told = environment(chart.render({**IN_VAULT, "azure": azure}))

        assert told["AZURE__SEALING_KEYS"] == '["https://my-sealing.vault.azure.net/keys/queue"]'
        assert told["AZURE__SEALING_CREDENTIAL_MODE"] == mode
        assert "QUEUE__SEALING_KEYS_FILE" not in told


def test_the_network_policy_lets_out_to_postgresql(chart: Chart) -> None:
    policy = one(chart.render({**CLUSTER, **CLOSED}), "NetworkPolicy", "api")
    ports = [port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]]

    assert ports == [53, 53, 443, 5432]


def test_the_ca_of_the_database_is_mounted_and_told_to_whoever_connects(chart: Chart) -> None:
    trusting = {"postgres": {"existingSecret": "database", "caBundle": {"configMap": "trust"}}}
    manifests = chart.render({**CLUSTER, **trusting})

    for template in (pod(manifests), one(manifests, "Job")["spec"]["template"]):
        [only] = template["spec"]["containers"]
        told = {entry["name"]: entry.get("value") for entry in only["env"]}
        [mount] = [m for m in only["volumeMounts"] if m["name"] == "postgres-ca"]
        [volume] = [v for v in template["spec"]["volumes"] if v["name"] == "postgres-ca"]

        assert told["PGSSLMODE"] == "verify-full"
        assert told["PGSSLROOTCERT"] == f"{mount['mountPath']}/ca.crt"
        assert mount["readOnly"] is True
        assert volume["configMap"]["name"] == "trust"


def test_without_a_ca_the_address_decides_alone(chart: Chart) -> None:
    manifests = chart.render(CLUSTER)

    assert not [name for name in environment(manifests) if name.startswith("PG")]
    assert "volumes" not in one(manifests, "Job")["spec"]["template"]["spec"]


def test_nodes_are_drained_of_one_pod_at_a_time_even_while_none_is_ready(chart: Chart) -> None:
    manifests = chart.render(APART)

    for of in ("api", "worker"):
        budget = one(manifests, "PodDisruptionBudget", of)["spec"]
        assert budget["maxUnavailable"] == 1
        assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
        assert budget["selector"] == one(manifests, "Deployment", of)["spec"]["selector"]


def test_pods_are_placed_on_nodes_apart_where_that_can_be(chart: Chart) -> None:
    manifests = chart.render(APART)

    for of in ("api", "worker"):
        affinity = pod(manifests, of)["spec"]["affinity"]
        selector = one(manifests, "Deployment", of)["spec"]["selector"]
        term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": selector}
        preferred = [{"weight": 100, "podAffinityTerm": term}]
        assert affinity == {
            "podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}
        }


def test_a_pod_alone_has_no_budget_and_goes_anywhere(chart: Chart) -> None:
    alone = {**CLUSTER, "replicas": 1, "workers": {"replicas": 1}}
    manifests = chart.render(alone)

    assert "PodDisruptionBudget" not in kinds(manifests)
    assert not [of for of in ("api", "worker") if "affinity" in pod(manifests, of)["spec"]]


def test_each_kind_of_pod_is_counted_by_itself(chart: Chart) -> None:
    manifests = chart.render({**CLUSTER, "replicas": 1, "workers": {"replicas": 2}})

    assert one(manifests, "PodDisruptionBudget")["metadata"]["name"].endswith("-worker")
    assert "affinity" not in pod(manifests)["spec"]
    assert "affinity" in pod(manifests, "worker")["spec"]


def test_budgets_can_be_switched_off_and_a_given_affinity_replaces_ours(chart: Chart) -> None:
    given: Manifest = {"nodeAffinity": {}}
    off = {"affinity": given, "podDisruptionBudget": {"enabled": False}}
    manifests = chart.render({**APART, **off})

    assert "PodDisruptionBudget" not in kinds(manifests)
    assert [pod(manifests, of)["spec"]["affinity"] for of in ("api", "worker")] == [given, given]


def test_without_postgresql_there_is_no_migration_and_nothing_that_seals(chart: Chart) -> None:
    manifests = chart.render(FULL)

    assert "Job" not in kinds(manifests)
    assert "sealing" not in secrets(manifests)


def test_the_notes_of_many_replicas_do_not_warn_of_a_record_that_is_lost(chart: Chart) -> None:
    assert "WARNING" not in chart.notes({**CLUSTER, "persistence": {"enabled": False}})
