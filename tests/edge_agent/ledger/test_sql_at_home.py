"""The ledger's tables are known in one room: who wants to know how money is kept reads edge_agent/ledger."""

import ast
import re

from tests.support.tree import ROOT

SQL = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|CREATE|PRAGMA)\s[^.]*\b(FROM|INTO|SET|TABLE|_list)\b|\s*PRAGMA ")


def statements(source):
    """Return the lines of texts that are SQL."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and SQL.match(node.value)
    ]


def test_no_sql_outside_the_room_of_the_ledger():
    found = {
        str(file.relative_to(ROOT)): lines
        for file in (ROOT / "edge_agent").rglob("*.py")
        if "ledger" not in file.relative_to(ROOT).parts and (lines := statements(file.read_text(encoding="utf-8")))
    }
    assert found == {}


def test_sql_is_known_when_it_is_seen():
    assert statements('rows("SELECT 1 FROM meta")\n\nexecute("UPDATE meta SET value = ?")') == [1, 3]
    assert statements('"""SELECT of the card\'s application, AuthenticateEV2First."""') == []
