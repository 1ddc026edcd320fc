import base64
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization.pkcs12 import load_pkcs12

from app import pki
from app.connectors.azure_key_vault import previous
from app.deployment.connector import Held
from app.deployment.model import Insist, Plan, State
from app.emulator import Fault, StoreAnother
from app.emulator.material import PEM, PFX
from tests import certificates
from tests.certificates import Authority, Issued
from tests.connectors.azure_key_vault.playground import NAME, VAULT, Playground, serves

OURS = {
    "certctl-managed-by": "certctl",
    "certctl-certificate-id": "mc-api-prod",
    "env": "test",
}


async def test_a_first_import_takes_four_calls(play: Playground, new: Issued) -> None:
    run = await play.deploy(new)

    assert run.states == [State.IMPORTING, State.VERIFYING, State.SUCCEEDED]
    assert sorted(play.calls[:2]) == ["get_certificate", "get_secret"]
    assert play.calls[2:] == ["import", "get_certificate"]
    assert serves(play.vault, new)


async def test_a_renewal_with_a_new_key_takes_four_calls(
    play: Playground, old: Issued, new: Issued
) -> None:
    play.store(old)

    run = await play.deploy(new)

    assert run.final.state is State.SUCCEEDED
    assert sorted(play.calls[:2]) == ["get_certificate", "get_secret"]
    assert play.calls[2:] == ["import", "get_certificate"]
    assert serves(play.vault, new)


async def test_the_pfx_is_built_while_the_vault_is_asked(
    play: Playground, new: Issued, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    build = pki.pfx

    def watched(*of: Any) -> bytes:  # noqa: ANN401 - the arguments of pfx
        order.append("built")
        return build(*of)

    monkeypatch.setattr(pki, "pfx", watched)
    await play.deploy(new, at={State.IMPORTING: [lambda: order.append("looked")]})

    assert order == ["built", "looked"]


async def test_each_answer_is_counted_with_its_operation_and_status(
    play: Playground, new: Issued
) -> None:
    await play.deploy(new)

    assert sorted(play.counted[:2]) == [("get_certificate", "404"), ("get_secret", "404")]
    assert play.counted[2:] == [("import_certificate", "200"), ("get_certificate", "200")]


async def test_the_chain_is_stored_with_the_leaf(play: Playground, new: Issued) -> None:
    await play.deploy(new)

    stored = load_pkcs12(base64.b64decode(play.latest.value), None)
    assert stored.cert is not None
    assert stored.cert.certificate == new.leaf
    assert [one.certificate for one in stored.additional_certs] == list(new.chain)


async def test_deploying_the_same_again_reads_twice_and_writes_nothing(
    play: Playground, new: Issued
) -> None:
    await play.deploy(new)
    play.emulator.state.calls.clear()

    run = await play.deploy(new)

    assert run.states == [State.UNCHANGED]
    assert sorted(play.calls) == ["get_certificate", "get_secret"]
    assert play.emulator.writes == 1
    assert run.final.result is not None
    assert run.final.result.deployment_id == play.latest.version
    assert run.final.rollback is not None
    assert run.final.rollback.plan is Plan.NOT_NEEDED


async def test_force_imports_what_is_already_served(play: Playground, new: Issued) -> None:
    await play.deploy(new)

    run = await play.deploy(new, force=True)

    assert run.final.state is State.SUCCEEDED
    assert len(play.vault.versions(NAME)) == 2


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"config": {"tags": {"env": "production"}}}, id="another-value"),
        pytest.param({"config": {"tags": {}}}, id="a-tag-less"),
        pytest.param({"metadata": {"certificate_id": "mc-other"}}, id="another-certificate-id"),
    ],
)
async def test_changed_tags_are_a_reason_to_import(
    play: Playground, new: Issued, changed: dict[str, Any]
) -> None:
    await play.deploy(new)

    run = await play.deploy(new, **changed)

    assert run.final.state is State.SUCCEEDED
    assert len(play.vault.versions(NAME)) == 2


async def test_a_disabled_current_version_is_a_reason_to_import(
    play: Playground, new: Issued
) -> None:
    await play.deploy(new)
    play.vault.set_enabled(NAME, play.latest.version, False)

    run = await play.deploy(new)

    assert run.final.state is State.SUCCEEDED
    assert serves(play.vault, new)


async def test_the_tags_written_are_the_callers_and_ours(play: Playground, new: Issued) -> None:
    run = await play.deploy(new)

    assert play.latest.tags == {**OURS, "certctl-deployment-id": run.final.id}


async def test_without_a_certificate_id_that_tag_is_left_out(play: Playground, new: Issued) -> None:
    run = await play.deploy(new, metadata={})

    assert play.latest.tags == {
        "certctl-managed-by": "certctl",
        "certctl-deployment-id": run.final.id,
        "env": "test",
    }


async def test_tags_of_another_writer_are_replaced(
    play: Playground, old: Issued, new: Issued
) -> None:
    play.store(old, tags={"left": "over"})

    run = await play.deploy(new)

    assert play.latest.tags == {**OURS, "certctl-deployment-id": run.final.id}
    assert run.final.snapshot is not None
    assert run.final.snapshot.tags == {"left": "over"}
    assert not run.final.snapshot.managed_by_us


async def test_the_version_before_is_known_as_ours(
    play: Playground, old: Issued, new: Issued
) -> None:
    await play.deploy(old)

    run = await play.deploy(new)

    assert run.final.snapshot is not None
    assert run.final.snapshot.managed_by_us


async def test_the_policy_sent_cannot_renew_by_itself(play: Playground, new: Issued) -> None:
    await play.deploy(new)

    policy = play.vault.policy(NAME)
    assert policy["issuer"] == {"name": "Unknown"}
    assert policy["lifetime_actions"] == [
        {"trigger": {"lifetime_percentage": 80}, "action": {"action_type": "EmailContacts"}}
    ]
    assert policy["secret_props"] == {"contentType": PFX}
    assert policy["key_props"]["exportable"] is True


@pytest.mark.parametrize(
    ("curve", "name"),
    [(ec.SECP256R1(), "P-256"), (ec.SECP384R1(), "P-384"), (ec.SECP521R1(), "P-521")],
    ids=["P-256", "P-384", "P-521"],
)
async def test_any_curve_is_deployed(
    play: Playground, ca: Authority, curve: ec.EllipticCurve, name: str
) -> None:
    issued = ca.issue(key=certificates.ec_key(curve))

    run = await play.deploy(issued)

    assert run.final.state is State.SUCCEEDED
    assert play.vault.policy(NAME)["key_props"]["crv"] == name


@pytest.mark.parametrize(
    ("key", "props"),
    [
        (certificates.ec_key(), {"kty": "EC", "crv": "P-256"}),
        (certificates.ec_key(ec.SECP384R1()), {"kty": "EC", "crv": "P-384"}),
        (certificates.rsa_key(), {}),
    ],
    ids=["P-256", "P-384", "RSA"],
)
def test_the_policy_sent_names_the_curve_and_nothing_that_could_disagree(
    ca: Authority, key: certificates.Key, props: dict[str, str]
) -> None:
    body = previous.request("value", PFX, ca.issue(key=key).leaf, {"env": "test"}, enabled=True)

    assert body["policy"]["key_props"] == {"exportable": True, **props}
    assert body.keys() == {"value", "policy", "attributes", "tags"}


async def test_an_rsa_key_is_deployed_and_put_back(play: Playground, rsa_ca: Authority) -> None:
    old = rsa_ca.issue(key=certificates.rsa_key(2048, 1))
    play.store(old, content_type=None)

    run = await play.deploy(
        rsa_ca.issue(key=certificates.rsa_key(2048)),
        at={State.IMPORTING: [Fault(operation="import", effect=StoreAnother())]},
    )

    assert run.final.state is State.ROLLED_BACK
    assert run.final.rollback is not None
    assert run.final.rollback.plan is Plan.SECRET
    assert serves(play.vault, old)


async def test_a_policy_that_renews_itself_is_warned_of_and_ended(
    play: Playground, old: Issued, new: Issued
) -> None:
    play.store(old)
    renews = [{"trigger": {"lifetime_percentage": 80}, "action": {"action_type": "AutoRenew"}}]
    play.change_policy(issuer={"name": "Self"}, lifetime_actions=renews)
    deployment = play.deployment(new)
    standing = await play.connector.snapshot(deployment, Held(new.bundle()))

    run = await play.deploy(new)

    assert "Key Vault no longer renews this certificate by itself." in standing.changes
    assert run.warnings == ["policy-renews-itself"]
    assert play.vault.policy(NAME)["issuer"] == {"name": "Unknown"}
    assert "AutoRenew" not in str(play.vault.policy(NAME))


async def test_a_secret_in_pem_is_warned_of(play: Playground, old: Issued, new: Issued) -> None:
    play.store(old, content_type=PEM)

    run = await play.deploy(new)

    assert run.warnings == ["content-type-changes"]
    assert run.final.state is State.SUCCEEDED


async def test_a_key_that_was_not_exportable_is_warned_of(
    play: Playground, old: Issued, new: Issued
) -> None:
    play.store(old)
    play.change_policy(key_props={"exportable": False})

    run = await play.deploy(new)

    assert run.warnings == ["exportable-changes"]


async def test_the_result_names_the_version_and_the_secret_without_one(
    play: Playground, new: Issued
) -> None:
    run = await play.deploy(new)

    version = play.latest.version
    result = run.final.result
    assert result is not None
    assert result.deployment_id == version
    assert result.target_address == f"{VAULT}/certificates/{NAME}/{version}"
    assert result.deployed_at == play.now()
    assert result.message == "The vault serves this certificate; it was read back."
    assert result.metadata == {
        "vault_url": VAULT,
        "certificate_name": NAME,
        "version_id": version,
        "kid": f"{VAULT}/certificates/{NAME}/{version}",
        "secret_id": f"{VAULT}/secrets/{NAME}",
    }


async def test_required_rollback_changes_nothing_where_there_is_none(
    play: Playground, old: Issued, new: Issued
) -> None:
    play.store(old)
    play.emulator.deny(action="secrets/getSecret/action")

    run = await play.deploy(new, insist=Insist.REQUIRED)

    assert run.final.state is State.FAILED
    assert run.code == "rollback-impossible"
    assert play.emulator.writes == 0


async def test_an_expected_version_that_is_not_current_changes_nothing(
    play: Playground, old: Issued, new: Issued
) -> None:
    play.store(old)

    run = await play.deploy(new, expected_version="")

    assert run.final.state is State.FAILED
    assert run.code == "version-conflict"
    assert play.emulator.writes == 0


async def test_a_history_reads_initial_failed_and_rollback(
    play: Playground, old: Issued, new: Issued
) -> None:
    play.store(old)

    run = await play.deploy(
        new, at={State.IMPORTING: [Fault(operation="import", effect=StoreAnother())]}
    )

    first, failed, third = play.vault.versions(NAME)
    assert run.final.state is State.ROLLED_BACK
    assert first.certificate == third.certificate == old.leaf
    assert third.tags == {
        "certctl-managed-by": "certctl",
        "certctl-certificate-id": "mc-api-prod",
        "certctl-deployment-id": run.final.id,
        "certctl-rollback-of": failed.version,
    }
