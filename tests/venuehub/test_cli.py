"""The front door: every command says how it is used, and every fault leaves by one path."""

import json
import os
import shlex
import subprocess
import sys

import pytest
import typer

from tests.support.tree import ROOT
from venuehub import cli
from venuehub.errors import CliError, ExitCode, parted, told_as

RUNS_UNTIL_STOPPED = {"run", "emulate"}
"""Programs that print no result: --json would promise a document that never comes."""


def leaves(command, path=()):
    """Return every command that does something, with its path."""
    children = getattr(command, "commands", None)
    if children is None:
        return [(" ".join(path), command)]
    return [leaf for name, child in children.items() for leaf in leaves(child, (*path, name))]


EVERY_COMMAND = leaves(typer.main.get_command(cli.build(cli.command_names())), ("venuehub",))


@pytest.mark.parametrize(("path", "command"), EVERY_COMMAND, ids=[path for path, _ in EVERY_COMMAND])
def test_every_command_has_help_an_example_and_json(path, command, capsys, tmp_path, monkeypatch):
    assert command.help, path
    assert cli.main([*path.split()[1:], "--help"]) == 0
    (example,) = (line for line in capsys.readouterr().out.splitlines() if line.strip().startswith("Example: "))
    words = shlex.split(example.strip().removeprefix("Example: "))
    shell = next((at for at, word in enumerate(words) if word in {">", ">>", "|"}), len(words))
    assert " ".join(words[: len(path.split())]) == path
    tmp_path.joinpath("our-pages").mkdir()
    monkeypatch.chdir(tmp_path)
    command.make_context(path, words[len(path.split()) : shell])  # pasted as it stands, it is understood
    options = {option for parameter in command.params for option in parameter.opts}
    if path.split()[-1] not in RUNS_UNTIL_STOPPED:
        assert "--json" in options
    assert all(parameter.help for parameter in command.params if not getattr(parameter, "hidden", False)), (
        "each option says what it is for"
    )


def test_no_command_module_brings_in_a_program_before_it_runs():
    code = """
import importlib, json, sys
rooms, names = json.loads(sys.argv[1])
for name in names:
    importlib.import_module(f"venuehub.commands.{name}")
    # how a count is said: a leaf that imports nothing
    brought = set(sys.modules) - {"payment_core", "payment_core.wording"}
    print(json.dumps([name, [room for room in rooms if any(one.split(".")[0] == room for one in brought)]]))
"""
    asked = json.dumps([sorted(cli.ROOMS - {"venuehub"}), cli.command_names()])
    loaded = subprocess.run((sys.executable, "-c", code, asked), cwd=ROOT, capture_output=True, text=True, check=True)
    assert [json.loads(line) for line in loaded.stdout.splitlines()] == [[name, []] for name in cli.command_names()]


def test_only_the_noun_that_was_named_is_loaded():
    assert cli.chosen(["doctor", "--json"]) == ["doctor"]
    assert cli.chosen(["--help"]) == cli.command_names()
    assert cli.chosen([]) == cli.command_names()


def test_help_lists_the_exit_codes(capsys):
    assert cli.main(["--help"]) == 0
    assert "3 doctor found problems" in " ".join(capsys.readouterr().out.split())


def test_a_misspelt_command_is_answered_with_the_right_one(capsys):
    assert cli.main(["doctr"]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.splitlines() == [
        "venuehub: No such command 'doctr'. Did you mean 'doctor'?",
        "  remedy: venuehub --help",
    ]


def test_a_fault_with_json_is_exactly_one_document(capsys):
    assert cli.main(["doctr", "--json"]) == 2
    told = capsys.readouterr()
    assert told.err == ""
    assert json.loads(told.out) == {
        "error": {
            "code": "usage",
            "message": "No such command 'doctr'. Did you mean 'doctor'?",
            "where": "",
            "hint": "venuehub --help",
        }
    }


@pytest.mark.parametrize(
    ("words", "where"),
    [
        ("simulate --hubs 21", "--hubs"), ("simulate --seeds x", "--seeds"), ("journal verify", "--ledger"),
        ("order pay --dir x", "ORDER"), ("journal verify --nope", "--nope"),
    ],
)  # fmt: skip
def test_a_call_that_is_wrong_names_the_option_it_is_about(words, where, capsys):
    assert cli.main([*words.split(), "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["where"] == where


def failing_app(fault):
    app = typer.Typer(callback=lambda: None)

    @app.command("fail")
    def fail(*, as_json: bool = typer.Option(False, "--json")) -> None:
        del as_json
        raise fault

    return app


@pytest.mark.parametrize(
    ("fault", "exit_code", "lines"),
    [
        (
            CliError(
                "broker_unreachable",
                "no answer",
                where="127.0.0.1:1883",
                hint="start it",
                exit_code=ExitCode.UNAVAILABLE,
            ),
            69,
            ["venuehub: 127.0.0.1:1883: no answer", "  remedy: start it"],
        ),
        (
            ZeroDivisionError("division by zero"),
            1,
            [
                "venuehub: an unexpected fault: ZeroDivisionError: division by zero",
                "  remedy: please report this; VENUEHUB_DEBUG=1 shows where it happened",
            ],
        ),
        (
            ModuleNotFoundError("No module named 'alembic'", name="alembic"),
            69,
            [
                "venuehub: the Python package 'alembic' is not installed",
                f"  remedy: {cli.INSTALL_HINT}",
            ],
        ),
        (
            ExceptionGroup(
                "unhandled errors in a TaskGroup", [CliError("settings", "no lanes", exit_code=ExitCode.USAGE)]
            ),
            2,
            ["venuehub: no lanes"],
        ),
        (KeyboardInterrupt(), 130, []),
        (typer.Exit(5), 5, []),
    ],
    ids=["known", "bug", "not installed", "in a group", "interrupted", "exit"],
)
def test_a_fault_is_told_in_two_lines_without_a_traceback(fault, exit_code, lines, monkeypatch, capsys):
    monkeypatch.delenv(cli.DEBUG_VARIABLE, raising=False)
    monkeypatch.setattr(cli, "build", lambda _names: failing_app(fault))
    assert cli.main(["fail"]) == exit_code
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.splitlines() == lines


def test_a_rooms_fault_keeps_its_own_words():
    with pytest.raises(CliError) as told, told_as("settings", ValueError, where="hub.toml", exit_code=ExitCode.USAGE):
        int("x")
    assert told.value.message == "invalid literal for int() with base 10: 'x'"
    assert (told.value.code, told.value.where, told.value.exit_code) == ("settings", "hub.toml", 2)


def test_a_reader_that_went_away_is_no_traceback():
    reading, writing = os.pipe()
    os.close(reading)
    asked = subprocess.run(
        (sys.executable, "-m", "venuehub", "--help"),
        cwd=ROOT,
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writing)
    assert asked.stderr == ""


@pytest.mark.parametrize(
    ("text", "where", "parts"),
    [
        ("/a/b.toml: not there. Check the path.", "", ("/a/b.toml", "not there", "Check the path.")),
        ("hub.toml: x is no setting", "/etc/hub.toml", ("/etc/hub.toml", "x is no setting", "")),
        ("/etc/hub.toml: is gone; write it", "/etc/hub.toml", ("/etc/hub.toml", "is gone", "write it")),
        ("--http x: write HOST:PORT", "", ("--http", "x cannot be used", "write HOST:PORT")),
        ("--card: no card; add it", "", ("--card", "no card", "add it")),
        ("reader-1: nobody knows it", "", ("", "reader-1: nobody knows it", "")),
    ],
)
def test_a_rooms_text_is_told_in_its_three_parts(text, where, parts):
    assert parted(text, where) == parts
