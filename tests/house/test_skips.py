"""In CI a skip that nobody accepted is a failure, wherever in a test or file it happens."""

import os
import re
import subprocess
import sys

import pytest

from tests.support.tree import ROOT

pytestmark = pytest.mark.slow
CASES = """
import pytest

def test_runs():
    pass

def test_on_another_machine():
    pytest.skip("hardware: no PN532 on /dev/ttyAMA0")

def test_given_up():
    pytest.skip("it was late")

@pytest.mark.skipif(True, reason="not today")
def test_marked():
    pass

@pytest.mark.xfail(reason="known")
def test_known():
    assert False
"""


def outcome(folder, *options):
    """Run pytest over a folder with our conftest and return its closing line as numbers."""
    command = (
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "tests.conftest",
        "-p",
        "no:cacheprovider",
        *options,
        str(folder),
    )
    environment = {key: value for key, value in os.environ.items() if key != "CI"}
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    return ended, {
        word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|skipped|xfailed|error)", ended.stdout)
    }


def test_at_home_skips_are_skips(tmp_path):
    (tmp_path / "test_cases.py").write_text(CASES)
    ended, numbers = outcome(tmp_path)
    assert (ended.returncode, numbers) == (0, {"passed": 1, "skipped": 3, "xfailed": 1})


def test_in_ci_only_accepted_skips_are_skips(tmp_path):
    (tmp_path / "test_cases.py").write_text(CASES)
    ended, numbers = outcome(tmp_path, "--strict-skips")
    assert (ended.returncode, numbers) == (1, {"passed": 1, "failed": 1, "error": 1, "skipped": 1, "xfailed": 1})
    assert "not an accepted skip (tests/support/allowed_skips.py): Skipped: it was late" in ended.stdout


@pytest.mark.parametrize(
    ("reason", "code"), [("it was late", 2), ("hardware: no reader", 5)], ids=["refused", "accepted"]
)
def test_in_ci_a_file_that_skips_itself_is_judged_too(tmp_path, reason, code):
    (tmp_path / "test_whole.py").write_text(f"import pytest\npytest.skip({reason!r}, allow_module_level=True)\n")
    ended, _ = outcome(tmp_path, "--strict-skips")
    assert ended.returncode == code
