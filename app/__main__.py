"""The command line: `python -m app serve | demo | emulator | migrate | openapi | ...`."""

import argparse
import asyncio
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import uvloop

from app import __version__, demo, emulator, main, server
from app.errors import Trouble
from app.parts import Part
from app.sealing import new_sealing_key
from app.settings import PREFIX, Unusable


def command_line() -> argparse.ArgumentParser:
    """Every command, with what it does."""
    parser = argparse.ArgumentParser(
        prog="python -m app",
        description="Puts TLS certificates where they are served from, and proves it. "
        "Settings come from CERTCTL_CONNECTORS_* variables; the README lists them.",
    )
    parser.add_argument("--version", action="version", version=f"certctl-connectors {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    serving = _add(commands, "serve", _serve, "serve the API and run the workers until stopped")
    serving.add_argument("--no-worker", action="store_true", help="leave the work to others")
    _add(commands, "work", _work, "run the workers alone until stopped")
    showing = _add(commands, "demo", _demo, "show the product with the embedded Key Vault")
    instead = showing.add_mutually_exclusive_group()
    instead.add_argument("--serve", action="store_true", help="serve until stopped instead")
    instead.add_argument("--request", action="store_true", help="print a deploy request instead")
    _add_emulator(commands)
    _add(commands, "migrate", _migrate, "bring the store to this version's schema")
    _add(commands, "openapi", _openapi, "print the OpenAPI document")
    _add(commands, "sealing-key", _sealing_key, "make a key that seals the queue")
    token = commands.add_parser("token", help="manage the tokens of callers")
    new = _add(token.add_subparsers(required=True, metavar="COMMAND"), "new", _token, "make one")
    new.add_argument("--name", required=True, help="the caller's name, as the audit trail has it")
    new.add_argument("--file", type=Path, help="the access file to add it to")
    return parser


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command and say how it ended: 0 well, 1 not, 2 not understood."""
    chosen = command_line().parse_args(arguments)
    try:
        code: int = chosen.run(chosen)
    except (Unusable, Trouble, ValueError, OSError) as trouble:
        why = f" ({trouble.__cause__})" if trouble.__cause__ is not None else ""
        sys.stderr.write(f"certctl-connectors: {trouble}{why}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return code


def _add(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    runs: Callable[[argparse.Namespace], int],
    text: str,
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=text, description=f"{text.capitalize()}.")
    parser.set_defaults(run=runs)
    return parser


def _add_emulator(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    embedded = _add(commands, "emulator", _emulator, "run the embedded Key Vault alone")
    embedded.description = (
        "Serve every vault name on one port, with its own login service, until stopped. "
        "Nothing is kept. What it prints says how to point a client at it."
    )
    add = embedded.add_argument
    add("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    add("--port", type=_port, default=0, help="the TLS port; 0, the default, takes a free one")
    add("--plain-port", type=_port, metavar="PORT", help="serve managed identities over plain HTTP")
    add(
        "--ca-out", required=True, type=Path, metavar="FILE", help="write its CA there, for clients"
    )
    add("--federated-token-out", type=Path, metavar="FILE", help="write a workload's token there")
    add("--throttle", action="store_true", help="admit what Key Vault admits, then answer 429")
    add("--control", action="store_true", help="open the control API, which needs no token")


def _port(text: str) -> int:
    if not (text.isdecimal() and int(text) <= 65_535):  # noqa: PLR2004 - the highest port there is
        raise argparse.ArgumentTypeError(f"{text!r} is no port; a port is 0 to 65535")
    return int(text)


def _serve(chosen: argparse.Namespace) -> int:
    return _run(Part.API if chosen.no_worker else Part.BOTH)


def _work(_: argparse.Namespace) -> int:
    return _run(Part.WORKER)


def _run(part: Part) -> int:
    main.no_core_dumps()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(server.serve(part))


def _demo(chosen: argparse.Namespace) -> int:
    if chosen.request:
        return demo.request()
    return demo.serve() if chosen.serve else demo.show()


def _emulator(chosen: argparse.Namespace) -> int:
    budgets = emulator.Budgets() if chosen.throttle else None
    emulator.serve(
        emulator.Emulator(control=chosen.control, budgets=budgets),
        host=chosen.host,
        port=chosen.port,
        plain_port=chosen.plain_port,
        ca_out=chosen.ca_out,
        token_out=chosen.federated_token_out,
    )
    return 0


def _migrate(_: argparse.Namespace) -> int:
    async def told() -> None:
        async for done in main.migrate():
            sys.stdout.write(f"{done}\n")

    asyncio.run(told())
    return 0


def _openapi(_: argparse.Namespace) -> int:
    sys.stdout.write(main.openapi())
    return 0


def _sealing_key(_: argparse.Namespace) -> int:
    sys.stdout.write(f"{new_sealing_key()}\n")
    sys.stderr.write(
        "The key is shown once and kept nowhere. Add it to "
        f"{PREFIX}QUEUE__SEALING_KEYS: the first one seals, all of them open. "
        "The README tells how to rotate.\n"
    )
    return 0


def _token(chosen: argparse.Namespace) -> int:
    token, entry = main.new_caller(chosen.name, chosen.file)
    sys.stdout.write(f"{token}\n")
    where = (
        f"Added to {chosen.file}." if chosen.file else f"Add this to the access file:\n\n{entry}"
    )
    sys.stderr.write(f"The token is shown once and kept nowhere. {where}\n")
    return 0


if __name__ == "__main__":
    sys.exit(run())
