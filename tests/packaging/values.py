"""The values that the chart's tests install with, from the least to all that can be set."""

import pytest

from tests.packaging.chart import Values

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
    "worker": {"concurrency": 32, "queueLimit": 100_000, "drainSeconds": 60},
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
CLUSTER: Values = {
    "replicas": 3,
    "access": {"existingSecret": "callers"},
    "azure": {"workloadIdentity": {"clientId": CLIENT_ID}},
    "postgres": {"existingSecret": "database"},
    "sealing": {"existingSecret": "sealing"},
}
IN_VAULT: Values = {
    **CLUSTER,
    "postgres": {"existingSecret": "database", "caBundle": {"configMap": "trust"}},
    "sealing": {"vaultKeys": ["https://my-sealing.vault.azure.net/keys/queue"]},
}
APART: Values = {
    **CLUSTER,
    "workers": {"replicas": 2},
    "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
    "networkPolicy": {"enabled": True, "callers": PEERS},
}
every_way = pytest.mark.parametrize(
    "values",
    [
        pytest.param(LEAST, id="the-least"),
        pytest.param(FULL, id="all-that-can-be-set"),
        pytest.param(TRIAL, id="a-trial-without-a-volume"),
        pytest.param(OWN, id="all-brought-along"),
        pytest.param(CLUSTER, id="many-replicas"),
        pytest.param(IN_VAULT, id="many-replicas-with-sealing-keys-in-a-vault"),
        pytest.param(APART, id="workers-apart"),
    ],
)
