"""Help answers at once, and says what the requests' models say."""

from __future__ import annotations

import resource
import subprocess
import sys

import click
import pytest

from loresmith import __version__
from loresmith.cli.command import extras, option_name
from loresmith.cli.main import ENTRIES, LORESMITH
from loresmith.sdk.call import AnyCall
from loresmith.sdk.calls import all_calls
from tests.cli.conftest import CommandLine

CALLS = {call.name: call for call in all_calls()}
HEAVY = ("torch", "transformers", "sqlalchemy", "alembic", "pyarrow", "pydantic", "rich", "numpy")


def find_command(name: str) -> click.Command:
    command: click.Command = LORESMITH
    for word in name.split():
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), word)
        assert found is not None, f"there is no command `loresmith {name}`"
        command = found
    return command


def test_help_answers_in_under_three_tenths_of_a_second() -> None:
    def seconds() -> float:
        """Of a processor, which nobody else has meanwhile."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "loresmith", "--help"], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(seconds() for _ in range(5)) < 0.3


def test_help_imports_nothing_that_the_work_needs() -> None:
    script = f"""
import sys
from loresmith.cli.main import main
main(["--help"])
sys.exit(", ".join(name for name in {HEAVY} if name in sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""


def test_every_call_has_a_command_and_every_command_a_call() -> None:
    commands = set()
    for name in ENTRIES:
        command = find_command(name)
        commands |= {f"{name} {below}" for below in command.commands} if isinstance(command, click.Group) else {name}
    assert commands == CALLS.keys()


def test_the_list_of_commands_says_what_the_calls_say() -> None:
    for name, entry in ENTRIES.items():
        command = find_command(name)
        said = command.help if isinstance(command, click.Group) else CALLS[name].summary
        assert entry.summary == said


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_help_of_each_parameter_is_its_field_s_description(call: AnyCall) -> None:
    parameters = {parameter.name: parameter for parameter in find_command(call.name).params}
    shown = {name: field for name, field in call.request.model_fields.items() if not extras(field).get("api_only")}
    assert list(parameters)[: len(shown)] == list(shown)
    for name, field in shown.items():
        parameter = parameters[name]
        assert field.description
        assert isinstance(parameter, click.Option | click.Argument)
        assert (parameter.help or "").startswith(field.description)
        assert parameter.required == field.is_required()
        if isinstance(parameter, click.Option):
            assert option_name(name, field) in parameter.opts


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_every_command_explains_itself(call: AnyCall, cli: CommandLine) -> None:
    done = cli(*call.name.split(), "--help")
    assert done.status == 0
    assert " ".join(done.out.split()).count(call.summary) == 1
    assert "--json" in done.out
    assert "--workspace" in done.out


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_every_answer_has_a_sentence_under_each_field(call: AnyCall) -> None:
    for name, field in call.answer.model_fields.items():
        assert field.description, f"{call.answer.__name__}.{name}"


def test_the_module_is_the_command(cli: CommandLine) -> None:
    started = cli.start("--version")
    out, err = started.communicate(timeout=60)
    assert (started.returncode, err) == (0, "")
    assert out.startswith("loresmith ")


@pytest.mark.parametrize("words", [("--version", "--json"), ("--json", "--version")])
def test_the_version_is_there_for_programs_too(cli: CommandLine, words: tuple[str, str]) -> None:
    assert cli(*words).json == {"version": __version__}
    assert cli("--version").out == f"loresmith {__version__}\n"
    refused = cli("--json", "runs")
    assert refused.status == 2
    assert "unknown option '--json'" in refused.err
