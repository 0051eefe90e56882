"""The house rules that no linter knows (docs/house.md). Each test lists the offenders: file, line, what."""

import ast
import functools
import re
import tomllib
from pathlib import Path

import pytest

from tests.support.tree import ROOMS, ROOT, committed_files, imports, name, python_files, tree

PURE = ("payment_core", "firmware_bridge/wire", "cloud_sync/protocol")
PURE_MUST_NOT_IMPORT = {
    "asyncio", "io", "logging", "multiprocessing", "os", "pathlib", "random", "secrets", "select", "shutil", "signal",
    "socket", "sqlite3", "ssl", "subprocess", "sys", "tempfile", "threading", "time",
}  # fmt: skip
IMPURE_CALLS = {"now", "utcnow", "today", "uuid1", "uuid4", "uuid7", "urandom"}
IMPURE_BUILTINS = {"open", "print", "input"}

DOORS = {
    "serial": ("firmware_bridge/transports/serial_port.py",),
    "gpiozero": ("firmware_bridge/transports/gpio_lines.py",),
    "lgpio": ("firmware_bridge/transports/gpio_lines.py",),
    "nfc": ("firmware_bridge/drivers/nfc_reader.py",),
    "smartcard": ("firmware_bridge/drivers/pcsc_reader.py",),
    "aiomqtt": ("cloud_sync/mqtt_link.py",),
    "paho": ("cloud_sync/mqtt_link.py",),
    "backports": ("cloud_sync/compression.py",),
    "sqlalchemy": ("back_office/store/",),
    "alembic": ("back_office/store/",),
    "sqlite3": ("edge_agent/ledger/", "back_office/", "venuehub/"),
    "cryptography": (
        "cloud_sync/sealing.py",
        "cloud_sync/signing.py",
        "edge_agent/tap/token_proof.py",
        "provisioning/",
        "firmware_bridge/wire/aes.py",
    ),
}
GUEST_PAGES_MAY_IMPORT = ("payment_core", "cloud_sync.mqtt_link", "cloud_sync.ending", "edge_agent.terminal")

MONEY_CODE = (
    "payment_core",
    "edge_agent/till*.py",
    "edge_agent/desk",
    "edge_agent/office",
    "edge_agent/lan",
    "edge_agent/takings",
    "edge_agent/tap",
    "edge_agent/play",
    "edge_agent/step",
    "edge_agent/ledger",
    "back_office/ledger",
    "firmware_bridge/value_log*.py",
    "firmware_bridge/actuation_log*.py",
)
KEEPS_TIME = {"edge_agent/till_thread.py"}  # the pump around the till: seconds, no money
SUPERVISORS = re.compile(
    r"(/app\.py|^back_office/uplink\.py|^back_office/.*worker.*\.py|^firmware_bridge/station\.py|^firmware_bridge/drivers/nfc_watch\.py"
    r"|^edge_agent/till_thread\.py|^edge_agent/links/keeping\.py|^venuehub/cli\.py|^back_office/api/sending\.py)$"
)
BROAD = re.compile(r"Exception\b|except\s*:")
SOURCE_LINES = 350
TEST_LINES = 500
MARKS = ("TO" + "DO", "FIX" + "ME")
BARE_IGNORE = re.compile(r"#\s*type:\s*" + r"ignore(?!\[)")
NOT_TO_BE_NAMED = (
    "py" + "pi.org",
    "python" + "hosted.org",
    "npm" + "js.org",
    "npm" + "js.com/package",
    "deb." + "debian.org",
    "/wo" + "rk/",
    "../sha" + "red",
)


@functools.cache
def text_of(path: Path) -> str:
    """Return a file's text, or nothing where it is not text."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


def test_pure_places_import_nothing_that_acts():
    offenders = [
        f"{name(path)}:{line} imports {module}"
        for path in python_files(*PURE)
        for module, line in imports(path).items()
        if module.partition(".")[0] in PURE_MUST_NOT_IMPORT
    ]
    assert offenders == []


def test_pure_places_ask_no_clock_and_open_nothing():
    offenders = []
    for path in python_files(*PURE):
        for node in ast.walk(tree(path)):
            if not isinstance(node, ast.Call):
                continue
            called = node.func
            if isinstance(called, ast.Attribute) and called.attr in IMPURE_CALLS:
                offenders.append(f"{name(path)}:{node.lineno} calls .{called.attr}()")
            if isinstance(called, ast.Name) and called.id in IMPURE_CALLS | IMPURE_BUILTINS:
                offenders.append(f"{name(path)}:{node.lineno} calls {called.id}()")
    assert offenders == []


@pytest.mark.parametrize("library", DOORS)
def test_a_library_has_one_door(library):
    offenders = [
        f"{name(path)}:{line} imports {module}"
        for path in python_files(*ROOMS)
        if library in text_of(path)  # a tree costs a hundred times what a look at its text costs
        for module, line in imports(path).items()
        if module.partition(".")[0] == library and not name(path).startswith(DOORS[library])
    ]
    assert offenders == []


def test_guest_pages_know_the_device_bus_and_nothing_else_of_ours():
    offenders = [
        f"{name(path)}:{line} imports {module}"
        for path in python_files("edge_agent/terminal")
        for module, line in imports(path).items()
        if module.partition(".")[0] in ROOMS and not module.startswith(GUEST_PAGES_MAY_IMPORT)
    ]
    assert offenders == []


def test_every_room_has_a_door_plate_and_it_is_a_docstring_only():
    offenders = []
    for room in ROOMS:
        for folder in sorted({path.parent for path in python_files(room)}):
            plate = folder / "__init__.py"
            if "migrations" in folder.parts or "versions" in folder.parts:
                continue  # Alembic loads revisions by path; they are no package
            if not plate.is_file():
                offenders.append(f"{name(folder)} has no __init__.py")
            elif len(tree(plate).body) != 1 or not ast.get_docstring(tree(plate)):
                offenders.append(f"{name(plate)} is more or less than a docstring")
    assert offenders == []


@pytest.mark.parametrize(
    ("folders", "limit"),
    [((*ROOMS, "tools", "benchmarks", "examples"), SOURCE_LINES), (("tests",), TEST_LINES)],
    ids=["source", "tests"],
)
def test_no_file_is_longer_than_a_head_holds(folders, limit):
    lengths = {name(path): len(path.read_text(encoding="utf-8").splitlines()) for path in python_files(*folders)}
    assert {path: lines for path, lines in lengths.items() if lines > limit} == {}


def is_path_join(node: ast.BinOp) -> bool:
    """Tell `folder / "name"` from a division: pathlib is the one use of a slash in money code."""
    return isinstance(node.right, ast.JoinedStr) or (
        isinstance(node.right, ast.Constant) and isinstance(node.right.value, str)
    )


def test_no_float_touches_money():
    offenders = []
    for path in python_files(*MONEY_CODE):
        if name(path) in KEEPS_TIME:
            continue
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Constant) and isinstance(node.value, float):
                offenders.append(f"{name(path)}:{node.lineno} has the float {node.value}")
            if isinstance(node, ast.Name) and node.id == "float":
                offenders.append(f"{name(path)}:{node.lineno} names float")
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and not is_path_join(node):
                offenders.append(f"{name(path)}:{node.lineno} divides with /")
            if isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Div):
                offenders.append(f"{name(path)}:{node.lineno} divides with /=")
    assert offenders == []


def passes_on(handler: ast.ExceptHandler) -> bool:
    """Tell a clean-up that raises the same fault again from one that swallows it."""
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def test_every_fault_is_named_but_for_the_supervisors():
    offenders = []
    for path in python_files(*ROOMS, "tools"):
        if SUPERVISORS.search(name(path)) or not BROAD.search(text_of(path)):
            continue
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ExceptHandler) and not passes_on(node):
                caught = ast.unparse(node.type) if node.type else "everything"
                if re.search(r"\b(Exception|BaseException|everything)\b", caught):
                    offenders.append(f"{name(path)}:{node.lineno} catches {caught}")
    assert offenders == []


def test_no_type_is_ignored_without_its_code_and_no_work_is_left_as_a_note():
    offenders = [
        f"{name(path)}:{number}: {line.strip()}"
        for path in python_files(*ROOMS, "tests", "tools", "benchmarks", "examples")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if BARE_IGNORE.search(line) or any(mark in line for mark in MARKS)
    ]
    assert offenders == []


def test_tests_do_not_sleep_and_do_not_mock():
    offenders = []
    for path in python_files("tests"):
        if not re.search("sleep|mock", text_of(path)):
            continue
        offenders += [f"{name(path)}:{line} imports {m}" for m, line in imports(path).items() if m == "unittest.mock"]
        # A pause inside `while` is a look at a condition; tests/support/waiting.py has it ready made.
        polls = {id(inner) for loop in ast.walk(tree(path)) if isinstance(loop, ast.While) for inner in ast.walk(loop)}
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "time.sleep" and id(node) not in polls:
                offenders.append(f"{name(path)}:{node.lineno} sleeps")
    assert offenders == []


def test_no_committed_file_names_a_registry_or_the_place_it_was_written_at():
    offenders = [
        f"{name(path)} names {word}" for path in committed_files() for word in NOT_TO_BE_NAMED if word in text_of(path)
    ]
    assert offenders == []


def test_every_pinned_package_has_a_hash_and_no_address():
    for path in sorted((ROOT / "requirements").glob("*.txt")):
        text = path.read_text(encoding="utf-8")
        assert "://" not in text, path.name
        pins = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:]
        assert [pin.splitlines()[0] for pin in pins if "--hash=sha256:" not in pin] == []


def test_every_decision_says_why_what_and_at_what_cost():
    offenders = []
    for path in sorted((ROOT / "docs/decisions").glob("*.md")):
        headings = re.findall(r"^## (\w+)", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
        if headings[:3] != ["Context", "Decision", "Cost"] or not re.match(r"\d{4}-", path.name):
            offenders.append(name(path))
    assert offenders == []


def test_every_exception_from_the_linter_has_its_reason_beside_it():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    codes = re.findall(r'^    "[A-Z]+\d+",? *(#.*)?$', text, flags=re.MULTILINE)
    codes += re.findall(r'^    "(?:ANN|D)",? *(#.*)?$', text, flags=re.MULTILINE)
    assert len(codes) > 10
    assert all(codes)
    assert tomllib.loads(text)["tool"]["ruff"]["lint"]["select"] == ["ALL"]
