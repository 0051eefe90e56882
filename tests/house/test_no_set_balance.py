"""OPS-3: no route, command or SQL sets a balance: money moves by typed entries, and booking writes their lines."""

import ast
import re
from pathlib import Path

import pytest
import typer

from tests.support.tree import ROOT
from venuehub import cli

PROGRAMS = ("back_office", "venuehub", "provisioning", "cloud_sync")
KEPT = {
    "balances": {"back_office/store/books.py"}, "postings": {"back_office/store/books.py"},
    "days": {"back_office/store/books.py"}, "accounts": {"back_office/store/books.py"},
    "takings": {"back_office/store/takings.py"}, "late_entries": {"back_office/store/takings.py"},
    "entries": {"back_office/store/chains.py"}, "closings": {"back_office/store/closings.py"},
}  # fmt: skip
"""What stands for money, and the one file that writes each."""
WRITERS = {
    "add_postings": {"back_office/ledger/booking.py"}, "move_balances": {"back_office/ledger/booking.py"},
    "move_days": {"back_office/ledger/booking.py"}, "add_entries": {"back_office/ledger/booking.py"},
    "move_takings": {"back_office/ledger/takings.py"}, "add_late": {"back_office/ledger/takings.py"},
}  # fmt: skip
"""Functions that write them, and who may call each."""
STATEMENTS = frozenset({"insert", "update", "delete", "insert_into", "add_rows", "add_up"})
IN_WORDS = re.compile(r"\b(?:INSERT\s+INTO|REPLACE\s+INTO|UPDATE|DELETE\s+FROM)\s+(\w+)", re.IGNORECASE)
ROUTES = frozenset({"get", "post", "put", "patch", "delete", "route", "Route", "add_route", "add_api_route"})
SET_WORDS = re.compile(r"balance|adjust|set[-_/]?(?:purse|amount|money)", re.IGNORECASE)


def sources():
    return {
        path.relative_to(ROOT).as_posix(): path.read_text()
        for program in PROGRAMS
        for path in (ROOT / program).rglob("*.py")
        if "migrations" not in path.parts
    }


def named(node):
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def found_in(files):
    """Return what in these sources writes money elsewhere than where it is kept, as (file, what)."""
    found = []
    for file, text in files.items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                tables = {name.lower() for name in IN_WORDS.findall(node.value)}
                found += [(file, name) for name in tables & KEPT.keys() if file not in KEPT[name]]
            elif isinstance(node, ast.Call):
                called, names = named(node.func), {named(argument).lower() for argument in node.args}
                if called in STATEMENTS:
                    found += [(file, name) for name in names & KEPT.keys() if file not in KEPT[name]]
                if called in WRITERS and file not in WRITERS[called]:
                    found.append((file, called))
                texts = [one.value for one in node.args if isinstance(one, ast.Constant) and isinstance(one.value, str)]
                if called in ROUTES and any(text.startswith("/") and SET_WORDS.search(text) for text in texts):
                    found.append((file, texts[0]))
    return found


def commands(group, path=()):
    """Yield the words of every command with its options."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), [option for one in command.params for option in one.opts]


@pytest.mark.long
def test_only_booking_writes_what_entries_say():
    assert found_in(sources()) == []


def test_no_command_sets_a_balance():
    every = list(commands(typer.main.get_command(cli.build(cli.command_names()))))
    assert len(every) > 40
    assert [words for words, options in every if SET_WORDS.search(" ".join((*words, *options)))] == []


@pytest.mark.parametrize(
    "text",
    [
        "def f(tx): tx.execute(sa.update(BALANCES).values(amount=5))",
        "def f(tx): tx.execute(insert_into(POSTINGS), [{}])",
        "Q = sa.text('UPDATE balances SET amount = 5')",
        "Q = 'delete from entries where seq = 1'",
        "def f(tx): books.move_balances(tx, b'', {(1, 'CNY'): 5}, {})",
        "@api.put('/accounts/{id}/balance')\ndef f(): pass",
        "ROUTES = [Route('/accounts/adjust', f)]",
    ],
)
def test_a_build_that_could_set_one_is_found_out(text):
    assert found_in({"back_office/members/cards.py": text})


def test_where_money_is_kept_is_where_the_scan_believes():
    for files in (*KEPT.values(), *WRITERS.values()):
        assert all((ROOT / file).is_file() for file in files)
    assert not found_in({file: Path(ROOT / file).read_text() for files in KEPT.values() for file in files})
