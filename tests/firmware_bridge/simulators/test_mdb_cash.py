"""The simulated changer and note reader behind a master's board, with the lines that public programs send."""

import pytest

from firmware_bridge.simulators.interface import ScriptError
from firmware_bridge.simulators.mdb_cash import MdbCashSimulator

POSITIONS = {1: 5, 2: 10, 3: 20, 9: 100, 10: 500}


class Host:
    """Asks the board, and lets time pass."""

    def __init__(self) -> None:
        self.board = MdbCashSimulator({number: value * 10 for number, value in POSITIONS.items()})
        self.now_ms = 0

    def ask(self, line: str) -> str:
        self.now_ms += 50
        return self.board.feed(f"{line}\n".encode(), now_ms=self.now_ms).decode().strip()

    def do(self, line: str) -> None:
        self.board.command(line.split(), now_ms=self.now_ms)
        self.board.tick(now_ms=self.now_ms)


def test_a_changer_is_set_up_and_takes_coins_as_a_public_program_does_it():
    host = Host()
    assert host.ask("R,08") == "p,NACK"  # no master yet
    assert host.ask("V").startswith("v,4.0.2.1,")
    assert host.ask("M,1") == "m,ACK"
    assert host.ask("R,0B") == "p,0B"
    assert host.ask("R,0B") == "p,ACK"
    assert host.ask("R,09") == "p,03115" + "60A02000005" + "0A14" + "00" * 13
    host.do("coin 1")
    assert host.board.status()["coins_given_back"] == 1
    assert host.ask("R,0C,FFFFFFFF") == "p,ACK"
    host.do("coin 1")
    assert host.ask("R,0B") == "p,5101"
    assert host.ask("R,0B") == "p,ACK"
    assert host.board.status()["coins"] == {"1": 1}


def test_a_note_waits_in_escrow_for_its_word():
    host = Host()
    host.ask("M,1")
    assert host.ask("R,33") == "p,06"
    host.ask("R,34,FFFFFFFF")
    host.do("note 1")
    assert host.ask("R,33") == "p,91"
    assert host.ask("R,35,01") == "p,ACK"
    assert host.ask("R,33") == "p,81"
    assert host.ask("R,36") == "p,0001"
    host.do("note 0")
    assert host.ask("R,33") == "p,90"
    assert host.ask("R,35,00") == "p,ACK"
    assert host.ask("R,33") == "p,A0"
    assert (host.board.status()["notes_in"], host.board.status()["notes_given_back"]) == (1, 1)


def test_a_note_that_nobody_decides_on_comes_back_and_power_takes_settings():
    host = Host()
    host.ask("M,1")
    host.ask("R,33")
    host.ask("R,34,FFFFFFFF")
    host.do("note 1")
    host.now_ms += 11_000
    assert host.ask("R,33") == "p,91A1"
    host.do("away notes 100ms")
    assert host.ask("R,33") == "p,NACK"
    host.now_ms += 100
    assert host.ask("R,33") == "p,06"
    host.do("note 1")
    assert host.board.status()["notes_given_back"] == 2
    host.do("board 10ms")
    assert host.ask("R,33") == "p,NACK"


def test_words_that_no_device_knows():
    host = Host()
    host.ask("M,1")
    assert [host.ask(line) for line in ("R,10", "R,zz", "R", "R,37,00", "X,1")] == ["p,NACK"] * 5


@pytest.mark.parametrize("line", ["coin 16", "note x", "jam", "away 5", "dance"])
def test_a_line_that_cannot_be_carried_out_says_why(line):
    with pytest.raises(ScriptError):
        MdbCashSimulator({1: 10}).command(line.split(), now_ms=0)
