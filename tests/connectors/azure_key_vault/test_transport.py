"""How the vault is reached: where, trusting whom, for how long, and closed at the end."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.resolver import ThreadedResolver

from app.connectors import REGISTRY
from app.connectors.azure_key_vault import AzureOptions, Patience
from app.connectors.azure_key_vault.budgets import Budgets
from app.connectors.azure_key_vault.config import CredentialMode, Place
from app.connectors.azure_key_vault.vaults import Vaults
from app.deployment.model import State
from app.emulator import Delay, Emulator, Fault
from app.errors import DeployError
from tests.certificates import NOW, Issued, authority
from tests.conftest import Clock
from tests.connectors.azure_key_vault.conftest import Open
from tests.connectors.azure_key_vault.middlebox import Middlebox
from tests.connectors.azure_key_vault.playground import Playground, opened, serves


@pytest.fixture(scope="module", name="slow")
def _slow() -> Iterator[Emulator]:
    """An emulator apart: what it answers too late must not reach another test."""
    emulator = Emulator()
    with emulator.running():
        yield emulator


async def test_every_vault_is_reached_where_connect_to_says(play: Playground, new: Issued) -> None:
    for url in ("https://one-vault.vault.azure.net", "https://two-vault.vault.azure.cn"):
        run = await play.deploy(new, config={"vault_url": url})
        assert run.final.state is State.SUCCEEDED

    assert serves(play.emulator.vault("one-vault"), new)
    assert serves(play.emulator.vault("two-vault"), new)


@pytest.fixture(name="asked")
async def _asked(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[bytes]]:
    """What the proxy that the environment names is asked; it lets nothing through."""
    lines: list[bytes] = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines.append(await reader.readline())
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    for name in ("NO_PROXY", "no_proxy", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{port}")
    try:
        yield lines
    finally:
        server.close()
        await server.wait_closed()


async def test_a_proxy_that_the_environment_names_is_the_way_to_a_vault(
    open_playground: Open, new: Issued, asked: list[bytes]
) -> None:
    async with open_playground(connect_to=None) as play:
        run = await play.deploy(new)

        assert run.states == [State.FAILED]
        assert set(asked) == {b"CONNECT my-vault.vault.azure.net:443 HTTP/1.1\r\n"}


async def test_connect_to_goes_past_a_proxy_that_the_environment_names(
    play: Playground, new: Issued, asked: list[bytes]
) -> None:
    run = await play.deploy(new)

    assert run.final.state is State.SUCCEEDED
    assert asked == []


async def test_what_a_box_on_the_way_compresses_is_read(
    behind: Playground, box: Middlebox, old: Issued, new: Issued
) -> None:
    behind.store(old)
    box.compresses = True

    run = await behind.deploy(new)

    assert run.final.state is State.SUCCEEDED
    assert serves(behind.vault, new)


async def test_a_cookie_is_never_sent_back(
    behind: Playground, box: Middlebox, old: Issued, new: Issued
) -> None:
    """Or what was meant for one identity would be told with another's calls."""
    behind.store(old)
    box.cookie = "x"

    run = await behind.deploy(new)

    assert run.final.state is State.SUCCEEDED
    assert box.cookies == []


async def test_a_call_without_an_answer_yet_holds_up_no_other(play: Playground) -> None:
    late = Fault(operation="get_certificate", effect=Delay(seconds=0.5))
    play.emulator.faults.add(late)
    waiting = asyncio.create_task(play.connector.served(play.target()))
    await asyncio.to_thread(play.emulator.faults.wait_until_met, late, within=5)

    other = play.target(vault_url="https://another.vault.azure.net")
    assert await play.connector.served(other) is None

    assert not waiting.done()
    assert await waiting is None


@pytest.mark.parametrize("trusted", ["another", "the-systems"])
async def test_a_vault_whose_ca_is_not_trusted_is_unreachable_and_gets_nothing(
    open_playground: Open, new: Issued, tmp_path: Path, trusted: str
) -> None:
    file = tmp_path / "other.pem"
    file.write_text(authority().root.cert_pem)
    ca_bundle = str(file) if trusted == "another" else None
    async with open_playground(ca_bundle=ca_bundle) as play:
        run = await play.deploy(new)

        assert run.states == [State.FAILED]
        assert run.code == "target-unreachable"
        assert play.emulator.calls == []


async def test_a_vault_that_refuses_connections_is_unreachable_at_once(
    open_playground: Open, new: Issued, closed_port: int
) -> None:
    async with open_playground(connect_to=f"127.0.0.1:{closed_port}") as play:
        async with asyncio.timeout(5):
            run = await play.deploy(new)

        assert run.states == [State.FAILED]
        assert run.code == "target-unreachable"
        assert run.final.error is not None
        assert run.final.error.retryable


@pytest.mark.parametrize("before", ["first-import", "renewal"])
async def test_an_import_that_could_not_connect_was_surely_not_applied(
    behind: Playground, box: Middlebox, old: Issued, new: Issued, before: str
) -> None:
    """The way to the vault is lost between the look and the import."""
    if before == "renewal":
        behind.store(old)

    run = await behind.deploy(new, at={State.IMPORTING: [box.unplug]})

    assert run.final.state is State.FAILED
    assert run.code == "target-unreachable"
    assert behind.imports() == 0
    assert behind.counted.count(("import_certificate", "none")) == 1


@pytest.mark.parametrize(
    ("said", "code", "again"),
    [
        ("EAI_NONAME", "target-not-found", False),
        ("EAI_NODATA", "target-not-found", False),
        ("EAI_AGAIN", "target-unreachable", True),
        ("EAI_FAIL", "target-unreachable", True),
        ("EAI_SYSTEM", "target-unreachable", True),
    ],
)
async def test_only_a_name_that_surely_does_not_exist_is_no_vault(
    open_playground: Open,
    new: Issued,
    monkeypatch: pytest.MonkeyPatch,
    said: str,
    code: str,
    again: bool,  # noqa: FBT001 - a column of the table
) -> None:
    async def unknown(*_: object, **__: object) -> list[object]:
        raise socket.gaierror(getattr(socket, said), "not resolved")

    monkeypatch.setattr(ThreadedResolver, "resolve", unknown)
    async with open_playground() as play:
        run = await play.deploy(new)

        assert run.states == [State.FAILED]
        assert run.code == code
        assert run.final.error is not None
        assert run.final.error.retryable is again


async def test_the_host_that_connect_to_names_is_looked_up_whatever_the_family_of_its_address(
    open_playground: Open, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve, asked = ThreadedResolver.resolve, set[object]()

    async def here(resolver: ThreadedResolver, host: str, port: int, family: Any) -> Any:  # noqa: ANN401 - the library's signature
        asked.add((host, port, family))
        return await resolve(resolver, "127.0.0.1", port, family=family)

    monkeypatch.setattr(ThreadedResolver, "resolve", here)
    async with open_playground(connect_to=f"gateway.test:{emulator.port}") as play:
        await play.connector.served(play.target())

    assert asked == {("gateway.test", emulator.port, socket.AF_UNSPEC)}


async def test_a_login_host_that_does_not_resolve_is_not_taken_for_a_missing_vault(
    open_playground: Open, emulator: Emulator, new: Issued, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve = ThreadedResolver.resolve
    here = emulator.port

    async def no_login(resolver: ThreadedResolver, host: str, *rest: Any, **more: Any) -> Any:  # noqa: ANN401 - the library's signature
        if host.startswith("login."):
            raise OSError(socket.EAI_NONAME, "Name or service not known")
        found = await resolve(resolver, "127.0.0.1", *rest, **more)
        return [{**one, "port": here} for one in found]

    monkeypatch.setattr(ThreadedResolver, "resolve", no_login)
    monkeypatch.setattr(aiohttp.connector, "DefaultResolver", ThreadedResolver)
    async with open_playground(connect_to=None) as play:
        run = await play.deploy(new)

        assert run.states == [State.FAILED]
        assert run.code == "target-unreachable"


async def test_a_vault_that_takes_the_connection_and_says_nothing_is_unreachable(
    open_playground: Open, new: Issued, silent_port: int
) -> None:
    async with open_playground(
        connect_to=f"127.0.0.1:{silent_port}", connect_timeout_s=0.1, read_timeout_s=0.1
    ) as play:
        async with asyncio.timeout(5):
            run = await play.deploy(new)

        assert run.states == [State.FAILED]
        assert run.code == "target-unreachable"


async def test_a_look_that_takes_too_long_stops_before_any_change(
    slow: Emulator, now: Clock, tmp_path: Path, new: Issued
) -> None:
    file = tmp_path / "ca.pem"
    slow.write_ca(file)
    slow.faults.add(Fault(operation="get_certificate", effect=Delay(seconds=0.5), count=2))
    async with opened(slow, ca_bundle=str(file), now=now, read_timeout_s=0.1) as play:
        run = await play.deploy(new)

        assert run.states == [State.FAILED]
        assert run.code == "target-unreachable"
        assert slow.writes == 0


async def test_many_vaults_share_one_session(play: Playground, new: Issued) -> None:
    targets = [
        play.target(vault_url=f"https://vault-{number}.vault.azure.net") for number in range(20)
    ]

    served = await asyncio.gather(*(play.connector.served(one) for one in targets))

    assert served == [None] * 20
    tokens = [call for call in play.emulator.calls if call.operation == "token"]
    assert len(tokens) <= 20
    assert play.counted == [("get_certificate", "404")] * 20


async def test_clients_beyond_the_bound_are_closed_and_made_again(
    open_playground: Open, new: Issued
) -> None:
    async with open_playground(most_vaults=2) as play:
        for number in (0, 1, 2, 3, 0, 1):
            target = play.target(vault_url=f"https://vault-{number}.vault.azure.net")
            assert await play.connector.served(target) is None


async def test_the_client_that_was_unused_longest_is_the_one_that_is_closed() -> None:
    options, patience = AzureOptions(most_vaults=2), Patience()
    variables = dict.fromkeys(("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"), "x")
    budgets = Budgets(options, share=lambda: 1.0, waited=lambda *_: None, patience=patience)
    vaults = Vaults(options, variables, lambda *_: None, patience, budgets)
    first, second, third = (
        Place(
            vault_url=f"https://vault-{number}.vault.azure.net",
            credential_mode=CredentialMode.CLIENT_SECRET,
        )
        for number in range(3)
    )
    kept, closed = vaults.of(first), vaults.of(second)
    assert (vaults.of(second), vaults.of(first)) == (closed, kept)

    vaults.of(third)

    assert vaults.of(first) is kept
    assert vaults.of(second) is not closed
    await vaults.aclose()


async def test_a_client_that_is_closed_while_it_is_used_finishes_its_work(
    open_playground: Open, new: Issued
) -> None:
    async with open_playground(most_vaults=1) as play:
        urls = [f"https://vault-{number}.vault.azure.net" for number in range(6)]

        runs = await asyncio.gather(*(play.deploy(new, config={"vault_url": url}) for url in urls))

        assert [run.final.state for run in runs] == [State.SUCCEEDED] * 6


async def test_a_connector_that_was_never_used_closes(open_playground: Open) -> None:
    async with open_playground():
        pass


async def test_closing_twice_is_closing_once(open_playground: Open, new: Issued) -> None:
    async with open_playground() as play:
        await play.deploy(new)
        await play.connector.aclose()


async def test_a_connector_that_was_closed_opens_again(open_playground: Open, new: Issued) -> None:
    async with open_playground() as play:
        await play.deploy(new)
        await play.connector.aclose()

        assert await play.connector.served(play.target()) is not None


async def test_nothing_is_left_open(open_playground: Open, new: Issued) -> None:
    before = asyncio.all_tasks()
    async with open_playground() as play:
        await play.deploy(new)
        play.emulator.deny()
        with pytest.raises(DeployError):
            await play.connector.served(play.target())

    assert asyncio.all_tasks() == before


@pytest.mark.parametrize("content", [None, "no certificate"], ids=["absent", "unusable"])
def test_a_ca_bundle_that_cannot_be_read_is_told_at_the_start(
    tmp_path: Path, content: str | None
) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)

    with pytest.raises(ValueError, match="AZURE__CA_BUNDLE"):
        REGISTRY["AzureKeyVault"].build(
            AzureOptions(ca_bundle=str(file)),
            environment={},
            counted=lambda *_: None,
            now=lambda: NOW,
        )
