"""Programs never import each other, so two of them keep the same small file: it stays the same code."""

import ast

import pytest

from tests.support.tree import ROOT


def code(path):
    """Return a module's code without its docstrings."""
    parsed = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    for node in ast.walk(parsed):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [line for line in node.body if not _is_text(line)]
    return ast.unparse(parsed)


def _is_text(line):
    return isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant) and isinstance(line.value.value, str)


@pytest.mark.parametrize("name", ["guard.py", "static_files.py"])
def test_the_guest_pages_and_the_console_have_the_same_code(name):
    assert code(f"edge_agent/terminal/{name}") == code(f"back_office/console/{name}")
