"""Only CertificateNotFound is no certificate; every other failure stops before any change."""

from asyncio import Event

import pytest

from app import pki
from app.deployment.connector import Held
from app.deployment.model import Plan, State
from app.emulator import Answer, Drop, Fault
from app.emulator.access import By
from app.emulator.faults import Operation
from tests.certificates import Authority, Issued
from tests.conftest import shown
from tests.connectors.azure_key_vault.conftest import Open
from tests.connectors.azure_key_vault.middlebox import Middlebox
from tests.connectors.azure_key_vault.playground import NAME, VAULT, Playground, serves

SECRETS = "secrets/getSecret/action"
ALWAYS = None

TROUBLES = [
    (Answer(status=400, code="BadParameter"), "target-unavailable"),
    (Answer(status=401, code="Unauthorized"), "target-unauthenticated"),
    (Answer(status=403, code="Forbidden"), "target-forbidden"),
    (Answer(status=403, code="Forbidden", inner="ForbiddenByRbac"), "target-forbidden-rbac"),
    (Answer(status=403, code="Forbidden", inner="ForbiddenByPolicy"), "target-forbidden-policy"),
    (Answer(status=403, code="Forbidden", inner="AccessDenied"), "target-forbidden-policy"),
    (
        Answer(status=403, code="Forbidden", inner="ForbiddenByFirewall"),
        "target-forbidden-firewall",
    ),
    (
        Answer(status=403, code="Forbidden", inner="ForbiddenByConnection"),
        "target-forbidden-connection",
    ),
    (Answer(status=404, code="NotFound"), "target-unavailable"),
    (Answer(status=404, code="ResourceNotFound"), "target-unavailable"),
    (Answer(status=408), "target-unavailable"),
    (Answer(status=409, code="Conflict"), "target-conflict"),
    (Answer(status=429, code="Throttled"), "target-throttled"),
    (Answer(status=500), "target-unavailable"),
    (Answer(status=502), "target-unavailable"),
    (Answer(status=503), "target-unavailable"),
    (Answer(status=504), "target-unavailable"),
    (Drop(), "target-unreachable"),
]


def _id(trouble: object) -> str | None:
    if isinstance(trouble, Answer):
        return f"{trouble.status}-{trouble.inner or trouble.code}"
    return "dropped" if isinstance(trouble, Drop) else None


@pytest.mark.parametrize("place", ["there", "not-there"])
@pytest.mark.parametrize(("effect", "code"), TROUBLES, ids=_id)
async def test_a_failed_look_at_the_certificate_stops_before_any_change(
    play: Playground, old: Issued, new: Issued, effect: Answer | Drop, code: str, place: str
) -> None:
    if place == "there":
        play.store(old)
    play.emulator.faults.add(Fault(operation="get_certificate", effect=effect, count=ALWAYS))

    run = await play.deploy(new)

    assert run.states == [State.FAILED]
    assert run.code == code
    assert run.final.error is not None
    assert run.final.error.step is State.SNAPSHOTTING
    assert play.imports() == 0


@pytest.mark.parametrize(
    ("effect", "code"), [one for one in TROUBLES if "forbidden" not in one[1]], ids=_id
)
async def test_a_failed_look_at_the_secret_stops_before_any_change(
    play: Playground, old: Issued, new: Issued, effect: Answer | Drop, code: str
) -> None:
    play.store(old)
    play.emulator.faults.add(Fault(operation="get_secret", effect=effect, count=ALWAYS))

    run = await play.deploy(new)

    assert run.states == [State.FAILED]
    assert run.code == code
    assert play.imports() == 0


async def test_a_failed_look_lets_its_other_half_come_to_an_end(
    behind: Playground, box: Middlebox, new: Issued
) -> None:
    """Cancelling it in the middle of its handshake would leak a socket."""
    answered = Event()
    box.on("GET", "/certificates/", status=403, then=answered.set)
    box.on("GET", "/secrets/", waits=answered)

    run = await behind.deploy(new)

    assert run.code == "target-forbidden"
    assert behind.counted == [("get_certificate", "403"), ("get_secret", "404")]


@pytest.mark.parametrize("operation", ["get_certificate", "get_secret"])
@pytest.mark.parametrize(
    "effect",
    [Answer(status=429), Answer(status=500), Answer(status=503), Answer(status=408), Drop()],
    ids=_id,
)
async def test_a_look_that_fails_once_is_repeated(
    play: Playground, old: Issued, new: Issued, effect: Answer | Drop, operation: Operation
) -> None:
    play.store(old)
    play.emulator.faults.add(Fault(operation=operation, effect=effect))

    run = await play.deploy(new)

    assert run.final.state is State.SUCCEEDED
    assert run.final.rollback is not None
    assert run.final.rollback.plan is Plan.SECRET


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b""),
        (200, b"<html>Sign in to the guest network</html>"),
        (200, b"{}"),
        (200, b"[]"),
        (200, b"null"),
        (200, b"\xff\xfe"),
        (200, b'{"id": "https://my-vault.vault.azure.net/certificates/api-prod/1"}'),
        (200, b'{"id": "https://my-vault.vault.azure.net/certificates/api-prod/1", "cer": "AAA"}'),
        (200, b'{"id": "1", "cer": "MIIB"}'),
        (204, b""),
        (302, b""),
        (404, b""),
        (404, b"<html>404</html>"),
        (404, b'{"error": "CertificateNotFound"}'),
        (404, b'{"error": {"code": "CertificateNotFound \xc2\xa0"}}'),
        (404, b'{"error": {"message": "CertificateNotFound"}}'),
        (404, b'{"error": {"code": "SecretNotFound"}}'),
    ],
    ids=shown,
)
async def test_nonsense_is_not_taken_for_no_certificate(
    behind: Playground, box: Middlebox, new: Issued, old: Issued, status: int, body: bytes
) -> None:
    behind.store(old)
    box.on("GET", "/certificates/", status=status, body=body, times=9)

    run = await behind.deploy(new)

    assert run.states == [State.FAILED]
    assert run.code == "target-unavailable"
    assert behind.imports() == 0


async def test_a_valid_answer_without_an_id_is_nonsense_too(
    behind: Playground, box: Middlebox, new: Issued, old: Issued
) -> None:
    stored = behind.store(old)
    box.on("GET", "/certificates/", status=200, body=b'{"cer": "%s"}' % stored.cer.encode())

    run = await behind.deploy(new)

    assert run.code == "target-unavailable"


@pytest.mark.parametrize(
    "body", [b"{}", b'{"id": "/secrets/api-prod/1"}', b'{"value": "x"}', b"<html>"], ids=shown
)
async def test_a_secret_that_is_nonsense_stops_before_any_change(
    behind: Playground, box: Middlebox, new: Issued, old: Issued, body: bytes
) -> None:
    behind.store(old)
    box.on("GET", "/secrets/", status=200, body=body, times=9)

    run = await behind.deploy(new)

    assert run.states == [State.FAILED]
    assert run.code == "target-unavailable"


@pytest.mark.parametrize("path", ["/certificates/", "/secrets/"])
async def test_an_answer_that_breaks_off_is_read_again(
    behind: Playground, box: Middlebox, new: Issued, old: Issued, path: str
) -> None:
    behind.store(old)
    box.on("GET", path, status=200, cut=True)

    run = await behind.deploy(new)

    assert run.final.state is State.SUCCEEDED


@pytest.mark.parametrize("by", ["rbac", "policy"])
async def test_a_refused_secret_is_remembered_for_ten_minutes(
    play: Playground, ca: Authority, old: Issued, by: By
) -> None:
    play.store(old)
    play.emulator.deny(action=SECRETS, by=by)

    for _ in range(3):
        await play.deploy(ca.issue())
    assert play.calls.count("get_secret") == 1
    play.now.move(599)
    await play.deploy(ca.issue())
    assert play.calls.count("get_secret") == 1
    play.now.move(1)
    play.emulator.allow_all()
    run = await play.deploy(ca.issue())

    assert play.calls.count("get_secret") == 2
    assert run.final.rollback is not None
    assert run.final.rollback.plan is Plan.SECRET


async def test_a_refused_secret_is_remembered_for_its_vault_alone(
    play: Playground, old: Issued, new: Issued
) -> None:
    play.emulator.deny(action=SECRETS, vault="my-vault")
    play.store(old)
    await play.deploy(new)

    await play.deploy(new, config={"vault_url": "https://other-vault.vault.azure.net"})

    asked = [call.vault for call in play.emulator.calls if call.operation == "get_secret"]
    assert asked == ["my-vault", "other-vault"]


async def test_a_refused_secret_is_remembered_for_its_credential_alone(
    play: Playground, old: Issued, new: Issued, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(
        "IDENTITY_ENDPOINT", f"http://127.0.0.1:{play.emulator.plain_port}/msi/token"
    )
    monkeypatch.setenv("IDENTITY_HEADER", play.emulator.identity_header)
    play.emulator.deny(action=SECRETS)
    play.store(old)
    await play.deploy(new)

    await play.deploy(new, force=True, config={"credential_mode": "managed_identity"})

    assert play.calls.count("get_secret") == 2


@pytest.mark.parametrize("by", ["firewall", "connection"])
async def test_a_firewall_is_not_taken_for_a_secret_that_may_not_be_read(
    play: Playground, old: Issued, new: Issued, by: By
) -> None:
    play.store(old)
    play.emulator.deny(action=SECRETS, by=by)

    refused = await play.deploy(new)
    play.emulator.allow_all()
    admitted = await play.deploy(new)

    assert refused.states == [State.FAILED]
    assert refused.code == f"target-forbidden-{by}"
    assert admitted.final.rollback is not None
    assert admitted.final.rollback.plan is Plan.SECRET


async def test_a_disabled_secret_is_not_remembered_as_a_missing_permission(
    play: Playground, old: Issued, new: Issued
) -> None:
    play.store(old)
    version = play.latest.version
    play.vault.set_enabled(NAME, version, False)
    standing = await play.connector.snapshot(play.deployment(new), Held(new.bundle()))
    play.vault.set_enabled(NAME, version, True)

    again = await play.connector.snapshot(play.deployment(new), Held(new.bundle()))

    assert standing.rollback.reason == "version-disabled"
    assert again.rollback.plan is Plan.SECRET


async def test_a_secret_is_never_asked_for_where_the_operator_says_so(
    open_playground: Open, old: Issued, new: Issued
) -> None:
    async with open_playground(read_previous_secret="never") as play:
        play.store(old)

        standing = await play.connector.snapshot(play.deployment(new), Held(new.bundle()))

        assert play.calls == ["get_certificate"]
        assert standing.permissions[SECRETS] == "unknown"


@pytest.mark.parametrize("first", ["pfx", "not-there", "disabled", "without-key"])
async def test_a_write_between_the_two_reads_is_noticed(
    behind: Playground, box: Middlebox, ca: Authority, new: Issued, first: str
) -> None:
    """The secret is read before the write, the certificate after it; the plan is the later's."""
    early, late = ca.issue(), ca.issue()
    if first != "not-there":
        behind.store(early)
    if first == "disabled":
        behind.vault.set_enabled(NAME, behind.latest.version, False)
    if first == "without-key":
        behind.change_policy(key_props={"exportable": False})

    _read_secret_then_write(behind, box, late)
    run = await behind.deploy(new, at={State.VERIFYING: [_blind()]})

    assert run.final.snapshot is not None
    assert run.saved[0].rollback is not None
    assert run.saved[0].rollback.plan is Plan.SECRET
    assert run.final.state is State.ROLLED_BACK
    assert serves(behind.vault, late)


def _blind() -> Fault:
    return Fault(operation="get_certificate", effect=Answer(status=503), count=2)


def _read_secret_then_write(play: Playground, box: Middlebox, late: Issued) -> None:
    """The certificate is asked for only once the secret of before was answered."""
    answered = Event()
    box.on("GET", "/secrets/", then=answered.set)
    box.on("GET", "/certificates/", waits=answered, first=lambda: play.store(late))


async def test_a_write_after_the_certificate_was_read_is_seen_and_does_not_mix_two_versions(
    behind: Playground, box: Middlebox, ca: Authority, old: Issued, new: Issued
) -> None:
    behind.store(old)
    answered = Event()
    box.on("GET", "/certificates/", then=answered.set)
    box.on("GET", "/secrets/", waits=answered, first=lambda: behind.store(ca.issue()))
    held = Held(new.bundle())

    standing = await behind.connector.snapshot(behind.deployment(new), held)

    assert standing.snapshot is not None
    assert standing.snapshot.version_id == behind.latest.version
    assert behind.calls.count("get_secret") == 2
    assert standing.rollback.plan is Plan.SECRET


async def test_a_look_says_what_an_import_would_change(
    play: Playground, old: Issued, new: Issued
) -> None:
    play.store(old)
    play.vault.set_enabled(NAME, play.latest.version, False)

    standing = await play.connector.snapshot(play.deployment(new), Held(new.bundle()))

    assert len(standing.changes) == 4
    assert standing.changes[0] == "A new version becomes current."
    assert "The name serves again: its current version is disabled." in standing.changes
    assert "The tags are replaced." in standing.changes


async def test_what_is_served_is_told(play: Playground, old: Issued) -> None:
    assert await play.connector.served(play.target()) is None
    play.store(old)

    served = await play.connector.served(play.target())

    assert served is not None
    assert served.version_id == play.latest.version
    assert served.address == f"{VAULT}/certificates/{NAME}/{served.version_id}"
    assert served.serial == pki.serial_text(old.leaf.serial_number)
    assert served.thumbprint == pki.thumbprint(old.leaf)
    assert served.enabled is True


async def test_a_name_in_other_case_is_the_same_certificate(
    play: Playground, old: Issued, new: Issued
) -> None:
    play.store(old)

    run = await play.deploy(new, config={"certificate_name": NAME.upper()})

    assert run.final.state is State.SUCCEEDED
    assert run.final.snapshot is not None
    assert serves(play.vault, new)
    assert len(play.vault.versions(NAME)) == 2
