"""Every error that Azure is known to give, in our words, and none of Azure's own text with it."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from app import errors
from app.connectors.azure_key_vault import refusals
from app.deployment.model import State
from app.emulator import Budgets
from tests.certificates import Issued
from tests.conftest import shown
from tests.connectors.azure_key_vault.playground import NAME, Playground

PFX_UNREADABLE = "The specified PKCS#12 X.509 certificate content can not be read."
NO_KEY = "No certificate with private key found in the specified X.509 certificate content."
RBAC = (
    "Caller is not authorized to perform action on resource.\r\nIf role assignments, deny "
    "assignments or role definitions were changed recently, please observe propagation time.\r\n"
    "Caller: appid=1;oid=47a469d1-3936-4451-a76e-3602ee4f7077;iss=https://sts.windows.net/2/\r\n"
)
POLICY = (
    "The user, group or application 'appid=1;oid=2;numgroups=0;iss=3' does not have certificates "
    "import permission on key vault 'examplefsvault001;location=westeurope'."
)
FIREWALL = (
    "Client address is not authorized and caller is not a trusted service.\r\n"
    "Client address: 111.22.3.44\r\nCaller: appid=1;oid=2;iss=3\r\nVault: kv-test"
)
PRIVATE = "Connection is not an approved private link and caller was ignored."
PUBLIC_OFF = "Public network access is disabled and request is not from a trusted service."
SOFT_DELETED = (
    "Certificate hotsqa is currently in a deleted but recoverable state, and its name cannot be "
    "reused; in this state, the certificate can only be recovered or purged."
)
PENDING = (
    "A new key vault certificate can not be created or imported while a pending key vault "
    "certificate's status is inProgress."
)
THROTTLED = "Request was not processed because too many requests were received."

CATALOGUE = [
    pytest.param(
        400, "BadParameter", None, PFX_UNREADABLE, "certificate-rejected", id="unreadable-pfx"
    ),
    pytest.param(400, "BadParameter", None, NO_KEY, "certificate-rejected", id="no-private-key"),
    pytest.param(
        400,
        "BadParameter",
        None,
        "X509 Certificate is already expired",
        "certificate-rejected",
        id="expired",
    ),
    pytest.param(
        400,
        "BadParameter",
        "KeySizeNotSupported",
        "Unsupported key size (2048).",
        "certificate-rejected",
        id="key-size",
    ),
    pytest.param(
        400,
        "BadParameter",
        None,
        "Unsupported key operation(s)",
        "certificate-rejected",
        id="key-operations",
    ),
    pytest.param(
        400,
        "BadParameter",
        None,
        "Property policy has invalid value\r\n",
        "certificate-rejected",
        id="policy",
    ),
    pytest.param(413, None, None, "", "certificate-rejected", id="too-large"),
    pytest.param(
        401,
        "Unauthorized",
        None,
        "AKV10000: Request is missing a Bearer",
        "target-unauthenticated",
        id="no-token",
    ),
    pytest.param(
        401,
        "Unauthorized",
        None,
        "AKV10032: Invalid issuer.",
        "target-unauthenticated",
        id="wrong-issuer",
    ),
    pytest.param(403, "Forbidden", "ForbiddenByRbac", RBAC, "target-forbidden-rbac", id="rbac"),
    pytest.param(403, "Forbidden", None, RBAC, "target-forbidden-rbac", id="rbac-by-text"),
    pytest.param(
        403, "Forbidden", "ForbiddenByPolicy", POLICY, "target-forbidden-policy", id="policy-403"
    ),
    pytest.param(
        403, "Forbidden", "AccessDenied", POLICY, "target-forbidden-policy", id="policy-403-older"
    ),
    pytest.param(
        403, "Forbidden", None, POLICY, "target-forbidden-policy", id="policy-403-by-text"
    ),
    pytest.param(
        403,
        "Forbidden",
        "ForbiddenByFirewall",
        FIREWALL,
        "target-forbidden-firewall",
        id="firewall",
    ),
    pytest.param(
        403, "Forbidden", None, FIREWALL, "target-forbidden-firewall", id="firewall-by-text"
    ),
    pytest.param(
        403,
        "Forbidden",
        "ForbiddenByConnection",
        PRIVATE,
        "target-forbidden-connection",
        id="connection",
    ),
    pytest.param(
        403, "Forbidden", None, PRIVATE, "target-forbidden-connection", id="private-link-by-text"
    ),
    pytest.param(
        403, "Forbidden", None, PUBLIC_OFF, "target-forbidden-connection", id="public-off-by-text"
    ),
    pytest.param(
        403,
        "Forbidden",
        "SecretDisabled",
        "Operation get is not allowed",
        "target-forbidden",
        id="secret-disabled",
    ),
    pytest.param(403, None, None, "", "target-forbidden", id="forbidden"),
    pytest.param(
        409,
        "Conflict",
        None,
        "There is a key of that name.",
        "target-conflict",
        id="conflict",
    ),
    pytest.param(409, None, None, "", "target-conflict", id="conflict-without-code"),
    pytest.param(
        409, "Conflict", "SomethingNew", "", "target-conflict", id="conflict-of-a-new-kind"
    ),
    pytest.param(
        409,
        "Conflict",
        "ObjectIsDeletedButRecoverable",
        SOFT_DELETED,
        "name-soft-deleted",
        id="soft-deleted",
    ),
    pytest.param(
        409, "Conflict", None, SOFT_DELETED, "name-soft-deleted", id="soft-deleted-by-text"
    ),
    pytest.param(
        409,
        "Conflict",
        "ObjectIsBeingDeleted",
        "Key is currently being deleted.",
        "name-being-deleted",
        id="being-deleted",
    ),
    pytest.param(
        409,
        "Conflict",
        None,
        "Key is currently being deleted.",
        "name-being-deleted",
        id="being-deleted-by-text",
    ),
    pytest.param(409, "Forbidden", None, PENDING, "pending-operation", id="pending"),
    pytest.param(409, None, None, PENDING, "pending-operation", id="pending-by-text"),
    pytest.param(429, "Throttled", None, THROTTLED, "target-throttled", id="throttled"),
    pytest.param(429, None, None, "", "target-throttled", id="throttled-bare"),
    pytest.param(404, "CertificateNotFound", None, "", "target-unavailable", id="not-found"),
    pytest.param(500, "InternalServerError", None, "", "target-unavailable", id="server-error"),
    pytest.param(502, None, None, "", "target-unavailable", id="bad-gateway"),
    pytest.param(503, None, None, "", "target-unavailable", id="unavailable"),
    pytest.param(418, None, None, "", "target-unavailable", id="teapot"),
    pytest.param(
        403, "Forbidden", "ForbiddenByRbac", FIREWALL, "target-forbidden-rbac", id="inner-first"
    ),
    pytest.param(403, "AccessDenied", None, RBAC, "target-forbidden-rbac", id="text-before-code"),
    pytest.param(403, "AccessDenied", None, "", "target-forbidden-policy", id="code-alone"),
]


@pytest.mark.parametrize(
    ("status", "code", "inner", "text", "ours"),
    CATALOGUE,
)
def test_an_error_of_azure_has_a_word_of_ours(
    status: int, code: str | None, inner: str | None, text: str, ours: str
) -> None:
    error: dict[str, Any] = {"code": code, "message": text}
    if inner:
        error["innererror"] = {"code": inner}

    found = refusals.refusal(status, orjson.dumps({"error": error}), "075d23b6-92b1").in_our_words()

    assert found.code == ours
    assert found.answer == errors.TargetAnswer(
        status=status, code=code, inner_code=inner, request_id="075d23b6-92b1"
    )
    assert found.message == errors.advice(type(found))
    assert not text or text.splitlines()[0] not in str(found)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"null",
        b"1",
        b'{"error": 1}',
        b'{"error": {"innererror": []}}',
        b"\xff",
    ],
    ids=shown,
)
def test_a_body_that_is_not_azures_leaves_the_status_alone(body: bytes) -> None:
    refused = refusals.refusal(403, body, None)

    assert refused.in_our_words().code == "target-forbidden"
    assert refused.answer == errors.TargetAnswer(status=403)


@pytest.mark.parametrize(
    "code",
    ["", "a b", "x" * 65, "<script>", "user@example.com", 5, None, ["Forbidden"], "a\nb"],
    ids=shown,
)
def test_a_code_that_does_not_look_like_one_is_not_shown(code: object) -> None:
    body = orjson.dumps({"error": {"code": code, "innererror": {"code": code}}})

    refused = refusals.refusal(403, body, str(code))

    assert refused.answer.code is None
    assert refused.answer.inner_code is None


@pytest.mark.parametrize("code", ["A", "ForbiddenByRbac", "AKV.10032-b", "x" * 64], ids=shown)
def test_what_looks_like_a_code_is_shown(code: str) -> None:
    refused = refusals.refusal(403, orjson.dumps({"error": {"code": code}}), None)

    assert refused.answer.code == code


def _soft_deleted(play: Playground, old: Issued) -> None:
    play.store(old)
    play.vault.soft_delete(NAME)


def _being_deleted(play: Playground, old: Issued) -> None:
    play.emulator.slow_deletion(3600)
    _soft_deleted(play, old)


def _pending(play: Playground, old: Issued) -> None:
    play.vault.set_pending(NAME)


def _denied(play: Playground, old: Issued) -> None:
    play.emulator.deny(action="certificates/import/action")


def _denied_by_policy(play: Playground, old: Issued) -> None:
    play.emulator.deny(action="certificates/import/action", by="policy")


def _firewall(play: Playground, old: Issued) -> None:
    play.emulator.deny(by="firewall")


def _private_link(play: Playground, old: Issued) -> None:
    play.emulator.deny(by="connection")


def _expired(play: Playground, old: Issued) -> None:
    play.emulator.clock.advance(100 * 86400)


def _throttled(play: Playground, old: Issued) -> None:
    play.emulator.throttle(Budgets(imports=0))


ARRANGED = {
    _soft_deleted: "name-soft-deleted",
    _being_deleted: "name-being-deleted",
    _pending: "pending-operation",
    _denied: "target-forbidden-rbac",
    _denied_by_policy: "target-forbidden-policy",
    _firewall: "target-forbidden-firewall",
    _private_link: "target-forbidden-connection",
    _expired: "certificate-rejected",
    _throttled: "target-throttled",
}


@pytest.mark.parametrize(
    ("arrange", "code"), ARRANGED.items(), ids=[one.__name__.strip("_") for one in ARRANGED]
)
async def test_what_a_vault_refuses_ends_unchanged_and_without_azures_text(
    play: Playground,
    old: Issued,
    new: Issued,
    arrange: Callable[[Playground, Issued], None],
    code: str,
) -> None:
    arrange(play, old)

    run = await play.deploy(new)

    assert run.final.state is State.FAILED
    assert run.code == code
    assert play.emulator.writes == 0
    told = repr(run.saved)
    for foreign in ("33333333", "oid=", "appid", "sts.windows", "127.0.0.1", "westeurope", "AKV1"):
        assert foreign not in told
