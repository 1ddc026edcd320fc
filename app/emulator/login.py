"""The login service: tokens for applications and, as on a virtual machine, for managed identities.

An application proves itself with its secret, or with a token of the emulator's own issuer
(workload identity).
"""

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from app.emulator.clock import Clock
from app.emulator.entra import Sts, rejection
from app.emulator.federation import Federation
from app.emulator.tokens import LIFETIME, Tokens
from app.emulator.wire import Reply, Request

_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_SUBSCRIPTION = "33333333-3333-3333-3333-333333333333"


@dataclass(frozen=True, kw_only=True)
class Registration:
    """How an application proves itself: its secret, and the subject of its federated tokens."""

    client_secret: str = field(repr=False)
    subject: str


@dataclass(frozen=True, kw_only=True)
class Login:
    """Serves one tenant. `applications` holds every known application by its client id."""

    tenant_id: str
    client_id: str
    identity_header: str
    applications: Mapping[str, Registration]
    tokens: Tokens
    federation: Federation
    clock: Clock

    def find(self, request: Request) -> tuple[str, Callable[[Request], Reply]] | None:
        """Operation and function for a request to the login service, or None."""
        if request.secure:
            return self._entra(request)
        return self._managed(request)

    def _entra(self, request: Request) -> tuple[str, Callable[[Request], Reply]] | None:
        key = f"{request.method} {request.path}"
        if request.method == "POST" and request.path.endswith("/oauth2/v2.0/token"):
            return "token", self.token
        if key.startswith("GET ") and key.endswith("/v2.0/.well-known/openid-configuration"):
            return "openid_configuration", self.openid_configuration
        if key in ("GET /subscriptions", "GET /tenants"):
            return "subscriptions", self.subscriptions
        return self._managed(request)

    def _managed(self, request: Request) -> tuple[str, Callable[[Request], Reply]] | None:
        if request.path == "/metadata/identity/oauth2/token" and request.method == "GET":
            return "identity_token", self.instance_metadata
        if request.path == "/msi/token" and request.method == "GET":
            return "identity_token", self.app_service
        return None

    # ---- Entra

    def token(self, request: Request) -> Reply:
        """POST /{tenant}/oauth2/v2.0/token, grant client_credentials. Raises Refusal."""
        form = request.form()
        self._check(request.path.split("/")[1], form)
        audience = form.get("scope", "").split(" ")[0].removesuffix("/.default").rstrip("/")
        token = self.tokens.issue(audience=audience, client_id=form["client_id"])
        return Reply(
            document={
                "token_type": "Bearer",
                "expires_in": LIFETIME,
                "ext_expires_in": LIFETIME,
                "access_token": token,
            }
        )

    def _check(self, tenant: str, form: Mapping[str, str]) -> None:
        client_id = form.get("client_id", "")
        if tenant != self.tenant_id:
            raise rejection(Sts.NO_TENANT, tenant=tenant)
        if form.get("grant_type") != "client_credentials":
            raise rejection(Sts.GRANT)
        if client_id not in self.applications:
            raise rejection(Sts.NO_APPLICATION, client_id=client_id)
        self._prove(self.applications[client_id], form)

    def _prove(self, application: Registration, form: Mapping[str, str]) -> None:
        federated = form.get("client_assertion_type") == _ASSERTION
        proof = form.get("client_assertion" if federated else "client_secret")
        if not proof:
            raise rejection(Sts.NO_PROOF)
        if federated:
            self.federation.check(proof, subject=application.subject)
        elif not hmac.compare_digest(proof.encode(), application.client_secret.encode()):
            raise rejection(Sts.WRONG_SECRET)

    def openid_configuration(self, request: Request) -> Reply:
        """GET /{tenant}/v2.0/.well-known/openid-configuration, which `az login` reads."""
        authority = f"https://{request.host}/{self.tenant_id}"
        return Reply(
            document={
                "issuer": f"{authority}/v2.0",
                "authorization_endpoint": f"{authority}/oauth2/v2.0/authorize",
                "token_endpoint": f"{authority}/oauth2/v2.0/token",
                "device_authorization_endpoint": f"{authority}/oauth2/v2.0/devicecode",
                "jwks_uri": f"{authority}/discovery/v2.0/keys",
                "response_types_supported": ["code", "id_token"],
                "subject_types_supported": ["pairwise"],
                "id_token_signing_alg_values_supported": ["RS256"],
            }
        )

    def subscriptions(self, _request: Request) -> Reply:
        """GET /subscriptions, which `az login` reads: exactly one."""
        subscription = {
            "id": f"/subscriptions/{_SUBSCRIPTION}",
            "subscriptionId": _SUBSCRIPTION,
            "tenantId": self.tenant_id,
            "displayName": "Embedded Key Vault",
            "state": "Enabled",
        }
        return Reply(document={"value": [subscription]})

    # ---- managed identities

    def instance_metadata(self, request: Request) -> Reply:
        """The instance metadata service (IMDS) of a virtual machine."""
        if request.headers.get("metadata", "").lower() != "true":
            return _plain_error("Required metadata header not specified")
        return self._identity(request)

    def app_service(self, request: Request) -> Reply:
        """The identity endpoint of App Service and Container Apps."""
        sent = request.headers.get("x-identity-header", "")
        if not hmac.compare_digest(sent.encode(), self.identity_header.encode()):
            return _plain_error("X-IDENTITY-HEADER is missing or wrong", status=401)
        return self._identity(request)

    def _identity(self, request: Request) -> Reply:
        resource = request.query.get("resource", "")
        client_id = request.query.get("client_id", self.client_id)
        if not resource:
            return _plain_error("Required parameter resource not specified")
        if client_id not in self.applications:
            return _plain_error("Identity not found")
        now = int(self.clock.now())
        audience = resource.rstrip("/")
        # IMDS writes numbers as strings; without `resource` azure-identity rejects the answer
        return Reply(
            document={
                "access_token": self.tokens.issue(audience=audience, client_id=client_id),
                "client_id": client_id,
                "expires_in": str(LIFETIME),
                "expires_on": str(now + LIFETIME),
                "ext_expires_in": str(LIFETIME),
                "not_before": str(now),
                "resource": resource,
                "token_type": "Bearer",
            }
        )


def _plain_error(text: str, *, status: int = 400) -> Reply:
    document = {"error": "invalid_request", "error_description": text}
    return Reply(status=status, document=document)
