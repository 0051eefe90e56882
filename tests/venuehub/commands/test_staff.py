"""`venuehub staff pin` prints a verifier, and never the PIN."""

import io
import json

import pytest

from payment_core.pin import is_right
from venuehub.cli import main


def test_it_prints_the_verifier_of_what_it_reads(capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("2580\n"))
    assert main(["staff", "pin", "lin", "--json"]) == 0
    said = capsys.readouterr()
    told = json.loads(said.out)
    assert told["id"] == "lin"
    assert is_right("2580", told["pin"])
    assert "2580" not in said.err


@pytest.mark.parametrize("typed", ["", "12", "7777", "abcd"])
def test_what_is_no_pin_is_refused(capsys, monkeypatch, typed):
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    assert main(["staff", "pin", "lin"]) == 2
    assert "4 to 12 digits" in capsys.readouterr().err
