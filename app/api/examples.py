"""Examples of answers, for the OpenAPI document. A test holds them to their models."""

from collections.abc import Mapping
from typing import Any, Final

_THUMBPRINT: Final = "5f1c1b9f6fbd6d8a9d2b3f60d6b9e0a4c7f6e5d4c3b2a19080f7e6d5c4b3a291"
_BEFORE: Final = "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f809"
_VAULT: Final = "https://my-vault.vault.azure.net"
_ADDRESS: Final = f"{_VAULT}/certificates/api-prod"
_VERSION: Final = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"

CERTIFICATE: Final[dict[str, Any]] = {
    "serial": "04:a1:b2:c3",
    "thumbprint": _THUMBPRINT,
    "subject": "CN=api.example.com",
    "dns_names": ["api.example.com"],
    "not_before": "2026-03-01T00:00:00Z",
    "not_after": "2026-06-09T00:00:00Z",
    "key_type": "EC P-256",
}
SNAPSHOT: Final[dict[str, Any]] = {
    "version_id": "f0e1d2c3b4a5968778695a4b3c2d1e0f",
    "serial": "04:a1:b2:c2",
    "thumbprint": _BEFORE,
    "not_after": "2026-03-15T00:00:00Z",
    "enabled": True,
    "managed_by_us": True,
}
TARGET_CONFIG: Final[dict[str, Any]] = {
    "vault_url": _VAULT,
    "certificate_name": "api-prod",
    "tags": {"env": "production"},
    "credential_mode": "managed_identity",
}
ACCEPTED: Final[dict[str, Any]] = {
    "id": "dep-0195a1b2c3d4e5f60718",
    "target_type": "AzureKeyVault",
    "state": "queued",
    "final": False,
    "success": False,
    "certificate": CERTIFICATE,
    "target_config": TARGET_CONFIG,
    "metadata": {"certificate_id": "mc-api-prod"},
    "attempt": 1,
    "previous_attempt": None,
    "created_at": "2026-03-01T12:00:00Z",
    "started_at": None,
    "finished_at": None,
    "snapshot": None,
    "rollback": None,
    "error": None,
    "warnings": [],
    "result": None,
}
DEPLOYMENT: Final[dict[str, Any]] = {
    **ACCEPTED,
    "state": "succeeded",
    "final": True,
    "success": True,
    "started_at": "2026-03-01T12:00:00.004Z",
    "finished_at": "2026-03-01T12:00:01.207Z",
    "snapshot": SNAPSHOT,
    "rollback": {"plan": "secret", "reason": None, "outcome": None, "version_id": None},
    "result": {
        "success": True,
        "target_address": f"{_ADDRESS}/{_VERSION}",
        "deployment_id": _VERSION,
        "message": "The vault serves this certificate; read back.",
        "deployed_at": "2026-03-01T12:00:01.207Z",
        "metadata": {
            "vault_url": _VAULT,
            "certificate_name": "api-prod",
            "version_id": _VERSION,
            "kid": f"{_ADDRESS}/{_VERSION}",
            "secret_id": f"{_VAULT}/secrets/api-prod",
        },
    },
}
CANCELLED: Final[dict[str, Any]] = {
    **ACCEPTED,
    "state": "cancelled",
    "final": True,
    "finished_at": "2026-03-01T12:00:00.9Z",
}
DEPLOYMENTS: Final[dict[str, Any]] = {"data": [DEPLOYMENT], "next_cursor": None, "page_size": 50}
STEPS: Final[dict[str, Any]] = {
    "data": [
        {
            "seq": 1,
            "at": "2026-03-01T12:00:00Z",
            "state": "queued",
            "action": "deployment.accepted",
            "details": {"certificate_name": "api-prod", "target_type": "AzureKeyVault"},
        }
    ]
}
EVENTS: Final[dict[str, Any]] = {
    "data": [
        {
            "id": "evt-0195a1b2c3d4e5f60719",
            "timestamp": "2026-03-01T12:00:01.207Z",
            "actor": "certctl",
            "actor_type": "token",
            "action": "deployment.verified",
            "resource_type": "deployment",
            "resource_id": "dep-0195a1b2c3d4e5f60718",
            "event_category": "deployment",
            "details": {"certificate_name": "api-prod", "version_id": _VERSION},
            "request_id": "req-0195a1b2c3d4e5f60717",
            "trace_id": None,
        }
    ],
    "next_cursor": None,
    "page_size": 50,
}
PLAN: Final[dict[str, Any]] = {
    "action": "import",
    "certificate": CERTIFICATE,
    "target": {"address": _ADDRESS, "current": SNAPSHOT},
    "permissions": {"certificates/read": "granted", "secrets/getSecret/action": "granted"},
    "rollback": {"plan": "secret", "reason": None},
    "conflict": None,
    "error": None,
    "changes": ["A new version of api-prod becomes current."],
    "warnings": [],
    "plan_hash": "c0ffee0000000000000000000000000000000000000000000000000000000000",
}
VALID_CONFIG: Final[dict[str, Any]] = {"valid": True, "target_config": TARGET_CONFIG}
VALIDATION: Final[dict[str, Any]] = {
    "valid": True,
    "serial": CERTIFICATE["serial"],
    "thumbprint": _THUMBPRINT,
    "target_address": f"{_ADDRESS}/{_VERSION}",
    "message": "The target serves this certificate.",
    "validated_at": "2026-03-01T12:05:00Z",
    "metadata": {"certificate_id": "mc-api-prod"},
}
CONNECTOR: Final[dict[str, Any]] = {
    "type": "AzureKeyVault",
    "title": "Azure Key Vault",
    "capabilities": {"validate_only": False, "rollback_plans": ["not_needed", "secret"]},
    "config_schema": {"type": "object"},
}
CONNECTORS: Final[dict[str, Any]] = {"data": [CONNECTOR]}
HEALTH: Final[dict[str, Any]] = {"status": "ok"}
READY: Final[dict[str, Any]] = {
    "status": "ready",
    "checks": {"store": "ok", "worker": "ok", "queue": "ok"},
}
VERSION: Final[dict[str, Any]] = {
    "name": "certctl-connectors",
    "version": "1.0.0",
    "build": "0123abc",
    "python": "3.13.5",
    "connectors": ["AzureKeyVault"],
}

# by their names in the document
EXAMPLES: Final[Mapping[str, dict[str, Any]]] = {
    "Accepted": ACCEPTED,
    "Deployment": DEPLOYMENT,
    "Cancelled": CANCELLED,
    "Deployments": DEPLOYMENTS,
    "Steps": STEPS,
    "Events": EVENTS,
    "Plan": PLAN,
    "ValidConfig": VALID_CONFIG,
    "Validation": VALIDATION,
    "Connector": CONNECTOR,
    "Connectors": CONNECTORS,
    "Health": HEALTH,
    "Ready": READY,
    "Version": VERSION,
}
