"""The README's tables and its state diagram are the code's, or these tests say how they differ."""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import Counter, Gauge, Histogram
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from app import errors, metrics
from app.__main__ import run
from app.api import problems
from app.connectors import REGISTRY
from app.connectors.azure_key_vault import Patience
from app.deployment.model import EXITS, NEXT
from app.emulator import Emulator
from app.emulator.control import fields_of
from app.emulator.control import table as controls
from app.emulator.effects import EFFECTS
from app.emulator.faults import OPERATIONS
from app.emulator.federation import Federation
from app.emulator.roles import BUILT_IN
from app.settings import PREFIX, Settings
from tests.connectors.azure_key_vault.rollback.plans import CANNOT

README = (Path(__file__).parent.parent / "README.md").read_text()


def section(title: str) -> str:
    """What the README says under a heading, up to the next one."""
    _, _, rest = README.partition(f"## {title}\n")
    assert rest, f"the README has no section {title}"
    return re.split(r"^## ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def table(title: str) -> list[str]:
    return [line for line in section(title).splitlines() if line.startswith("| `")]


def settings_rows() -> Iterator[str]:
    groups: dict[str, FieldInfo] = dict(Settings.model_fields)
    for name, field in groups.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from group_rows(name, kind)
        else:
            yield row(name.upper(), field)
    for kind_of_target in REGISTRY.values():
        yield from group_rows(kind_of_target.settings, kind_of_target.options)


def group_rows(group: str, model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield row(f"{group}__{name}".upper(), field)


def row(name: str, field: FieldInfo) -> str:
    default = field.get_default(call_default_factory=True, validated_data={})
    if isinstance(default, SecretStr):
        default = default.get_secret_value()
    shown = "none" if default is None else str(default)
    if isinstance(default, tuple):
        shown = str(list(default)).replace("'", '"')
    if isinstance(default, bool):
        shown = str(default).lower()
    return f"| `{name}` | `{shown}` | {field.description} |"


def metric_rows() -> Iterator[str]:
    made = metrics.Metrics(version="0", build="0")
    for collector in made.registry._collector_to_names:  # noqa: SLF001 - no public list of it
        if isinstance(collector, Counter | Gauge | Histogram):
            found = next(iter(collector.describe()))
            suffix = "_total" if isinstance(collector, Counter) else ""
            labels = ", ".join(f"`{label}`" for label in collector._labelnames) or "none"  # noqa: SLF001 - likewise
            yield f"| `{found.name}{suffix}` | {labels} | {found.documentation} |"


def error_rows() -> Iterator[str]:
    for kind in sorted(errors.every(), key=lambda kind: kind.code):
        status = problems.status(kind).value
        kept = issubclass(kind, errors.DeployError)
        where = f"the record ({status})" if kept else str(status)
        again = "yes" if kind.retryable else "no"
        yield f"| `{kind.code}` | {where} | {again} | {errors.advice(kind)} |"


def part(title: str) -> str:
    """What the README says under a lesser heading, up to the next one of any kind."""
    _, _, rest = README.partition(f"### {title}\n")
    assert rest, f"the README has no part {title}"
    return re.split(r"^##", rest, maxsplit=1, flags=re.MULTILINE)[0]


def rows_of(title: str) -> list[str]:
    return [line for line in part(title).splitlines() if line.startswith("| `")]


def shown_fields(told: object) -> str:
    """The fields of what can be told; the kind of an effect stands in a column of its own."""
    required, optional = (
        [f"`{name}`" for name in names if name != "kind"] for names in fields_of(told)
    )
    return ", ".join([*required, f"[{', '.join(optional)}]"] if optional else required) or "none"


def effect_rows() -> Iterator[str]:
    for effect in EFFECTS:
        what = " ".join((inspect.getdoc(effect) or "").split())
        yield f"| `{effect.kind}` | {shown_fields(effect)} | {what} |"


def control_rows() -> Iterator[str]:
    emulator = Emulator()
    federation = Federation(tokens=emulator.tokens, clock=emulator.clock)
    for name, control in controls(emulator.state, federation).items():
        yield f"| `{name}` | {shown_fields(control.body)} | {control.does} |"


def test_the_table_of_settings_is_what_can_be_configured() -> None:
    assert table("Settings") == list(settings_rows()), "\n" + "\n".join(settings_rows())


def test_every_setting_says_what_it_is_for() -> None:
    assert not [line for line in settings_rows() if line.endswith("| None |")]


def test_the_shortest_rollback_that_can_look_for_a_lost_import_is_told() -> None:
    (told,) = [line for line in settings_rows() if line.startswith("| `WORKER__ROLLBACK_S` |")]
    least, lands = (int(number) for number in re.findall(r"(?:than|until) (\d+)", told))

    assert lands - 1 < sum(Patience().late) <= lands < least


def test_the_settings_are_named_with_the_prefix() -> None:
    assert PREFIX in section("Settings")


def test_the_table_of_metrics_is_what_is_measured() -> None:
    assert table("Metrics") == list(metric_rows()), "\n" + "\n".join(metric_rows())


def test_the_table_of_error_codes_is_what_can_go_wrong() -> None:
    assert table("Error codes") == list(error_rows()), "\n" + "\n".join(error_rows())


def test_the_table_of_faults_is_what_the_embedded_key_vault_can_be_told() -> None:
    assert rows_of("Let it fail") == list(effect_rows()), "\n" + "\n".join(effect_rows())


def test_the_operations_that_can_fail_are_named() -> None:
    told = ", ".join(f"`{operation}`" for operation in OPERATIONS)

    assert told in part("Let it fail"), told


def test_the_table_of_controls_is_what_the_control_api_serves() -> None:
    told = rows_of("Everything the control API does")

    assert told == list(control_rows()), "\n" + "\n".join(control_rows())


def test_every_built_in_role_is_named() -> None:
    told = part("Identities and roles")

    assert not [role for role in BUILT_IN if f"`{role}`" not in told]


def test_every_option_of_the_embedded_key_vault_is_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        run(["emulator", "--help"])

    options = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
    assert options <= set(re.findall(r"--[a-z-]+", section("The embedded Key Vault")))


def test_the_state_diagram_is_the_law() -> None:
    drawn = set(re.findall(r"^ +(\w+) --> (\w+)", section("States"), flags=re.MULTILINE))

    by_table = {(state.value, end.value) for state, ends in NEXT.items() for end in ends}
    short = {(state.value, end.value) for state, ends in EXITS.items() for end in ends}
    assert drawn == by_table | short


def test_the_tree_names_every_room() -> None:
    rooms = {
        path.name if path.is_dir() else path.stem
        for path in (Path(__file__).parent.parent / "app").iterdir()
        if not path.name.startswith("__") or path.name == "__main__.py"
    }

    told = section("The architecture")
    assert not [room for room in rooms if f"{room}.py" not in told and f"{room}/" not in told]


def test_the_reasons_of_an_impossible_rollback_are_all_named_and_no_others() -> None:
    row = next(
        line
        for line in section("Rollback, said before anything changes").splitlines()
        if "`impossible`" in line
    )
    told = set(re.findall(r"`([a-z]+(?:-[a-z]+)+)`", row))

    assert told == {case.reason for case in CANNOT}
    assert not told & {kind.code for kind in errors.every()}
