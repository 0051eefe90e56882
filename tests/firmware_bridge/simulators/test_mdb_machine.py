"""The simulated vending machine: other people's hosts drive it with the lines of the maker's pages."""

import pytest

from firmware_bridge.simulators.interface import ScriptError
from firmware_bridge.simulators.mdb_machine import MdbMachineSimulator
from firmware_bridge.simulators.mdb_vmc import Shelf


class Host:
    """Says lines and collects what comes back; time passes as it is told."""

    def __init__(self, **making) -> None:
        self.machine = MdbMachineSimulator(**making)
        self.now_ms = 0

    def say(self, line: str = "", *, for_ms: int = 400) -> list[str]:
        heard = self.machine.feed(f"{line}\n".encode() if line else b"", now_ms=self.now_ms)
        for _ in range(for_ms):
            self.now_ms += 1
            heard += self.machine.tick(now_ms=self.now_ms)
        return [text for text in heard.decode().split("\r\n") if text]

    def do(self, line: str) -> list[str]:
        self.machine.command(line.split(), now_ms=self.now_ms)
        return self.say()

    def enabled(self, *settings: str) -> "Host":
        for setting in settings:
            assert self.say(f"C,SETCONF,{setting}") == ["c,SET,OK"]
        assert self.say("C,1") == ["c,STATUS,INACTIVE", "c,STATUS,INACTIVE", "c,STATUS,DISABLED", "c,STATUS,ENABLED"]
        return self


def test_the_session_of_the_makers_page_selection_first():
    host = Host().enabled("mdb-always-idle=1")
    assert host.say("V") == ["v,4.0.2.1,4d44423031323334"]
    assert host.do("choose 1") == ["c,STATUS,VEND,1.00,1"]
    assert host.say("C,VEND,1.00") == ["c,VEND,SUCCESS", "c,STATUS,IDLE", "c,STATUS,ENABLED"]
    assert host.machine.status()["delivered"] == 1


def test_the_session_of_the_makers_page_authorization_first():
    host = Host().enabled()
    assert host.do("choose 1") == []
    assert host.say("C,START,5.00") == ["c,STATUS,IDLE,5.00"]
    assert host.do("choose 2") == ["c,STATUS,VEND,1.50,2"]
    assert host.say("C,STOP") == ["c,STATUS,IDLE", "c,STATUS,ENABLED"]
    assert (host.machine.status()["denied"], host.machine.status()["delivered"]) == (1, 0)


def test_failures_cancels_and_words_out_of_turn():
    host = Host().enabled("mdb-always-idle=1")
    assert host.say("C,VEND,1.00") == ['c,ERR,"VEND -3"']
    assert host.say("C,STOP") == ['c,ERR,"STOP -3"']
    assert host.say("C,1") == ['c,ERR,"cashless is on"']
    assert host.say("C,FOO") == ['c,UNKNOWN,"FOO"']
    assert host.do("jam on") == []
    host.do("choose 1")
    assert host.say("C,VEND,1.00") == ["c,ERR,VEND 3", "c,STATUS,IDLE", "c,STATUS,ENABLED"]
    host.do("choose 1")
    assert host.say("C,VEND,x") == ['c,ERR,"VEND -2"']
    assert host.do("cancel") == ["c,ERR,VEND 1", "c,STATUS,IDLE", "c,STATUS,ENABLED"]
    assert host.do("cash 2") == ["c,CASHSALE,1.50,2"]


def test_power_reset_and_a_board_that_forgets():
    host = Host(shelf=Shelf(vend_ms=200)).enabled("mdb-always-idle=1")
    host.do("hold on")
    host.do("choose 1")
    assert host.say("C,VEND,1.00") == []
    host.machine.command(["deliver"], now_ms=host.now_ms)
    assert host.say()[0] == "c,VEND,SUCCESS"
    host.do("choose 1")
    host.say("C,VEND,1.00")
    assert host.do("reset") == ["c,ERR,VEND 5", "c,STATUS,INACTIVE", "c,STATUS,DISABLED", "c,STATUS,ENABLED"]
    host.machine.command(["power", "2s"], now_ms=host.now_ms)
    assert host.say(for_ms=1_500) == ["c,STATUS,INACTIVE"]
    assert host.say(for_ms=1_500)[-1] == "c,STATUS,ENABLED"
    assert host.do("board 10ms") == []
    assert host.say("C,START,1.00") == ['c,UNKNOWN,"C,START,1.00"']
    assert host.machine.status()["reader"] == "off"


def test_a_machine_that_misses_answers_gets_them_again():
    host = Host().enabled("mdb-always-idle=1")
    host.do("choose 1")
    host.do("miss 9")
    assert host.say("C,VEND,1.00", for_ms=900)[-1] == "c,STATUS,ENABLED"
    assert host.machine.status()["delivered"] == 1


@pytest.mark.parametrize("line", ["choose 0", "choose x", "jam", "power soon", "dance"])
def test_a_line_that_cannot_be_carried_out_says_why(line):
    with pytest.raises(ScriptError):
        MdbMachineSimulator().command(line.split(), now_ms=0)
