from app.emulator import Budgets, Emulator
from tests.emulator.conftest import Raw
from tests.emulator.making import leaf


def test_the_budgets_are_key_vaults_own() -> None:
    assert Budgets() == Budgets(imports=300, others=4000, seconds=10, vaults_per_subscription=5)


def test_past_the_budget_a_vault_answers_429_without_retry_after(
    http: Raw, emulator: Emulator
) -> None:
    emulator.throttle(Budgets(imports=2))
    value = leaf().pfx()

    answers = [http.send_import(value) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert "Retry-After" not in answers[2].headers
    assert answers[2].json() == {
        "error": {
            "code": "Throttled",
            "message": "Request was not processed because too many requests were received. "
            "Reason: VaultRequestTypeLimitReached",
        }
    }
    assert emulator.writes == 2


def test_reads_have_a_budget_of_their_own(http: Raw, emulator: Emulator) -> None:
    emulator.throttle(Budgets(imports=0, others=1))

    statuses = [http.get("/certificates").status_code for _ in range(2)]

    assert statuses == [200, 429]


def test_a_new_window_has_a_new_budget(http: Raw, emulator: Emulator) -> None:
    emulator.throttle(Budgets(others=1))
    http.get("/certificates")
    emulator.clock.advance(10)

    assert http.get("/certificates").status_code == 200


def test_all_vaults_share_the_budget_of_the_subscription(http: Raw, emulator: Emulator) -> None:
    emulator.throttle(Budgets(others=1))

    statuses = [
        http.get("/certificates", headers={"Host": f"vault-{n}.vault.azure.net"}).status_code
        for n in range(6)
    ]

    assert statuses == [200] * 5 + [429]


def test_throttling_can_be_switched_off(http: Raw, emulator: Emulator) -> None:
    emulator.throttle(Budgets(others=0))
    emulator.throttle(None)

    assert http.get("/certificates").status_code == 200
