from pathlib import Path

import pytest
from msgspec.structs import replace

from device_profiles import checking
from device_profiles.golden_cases import Golden
from device_profiles.loading import CATALOG, load_profile
from device_profiles.schema import Acceptor, CoinPulses, Lines, Profile, Pulse, Reader, SerialLine, Tickets, Transport

PAGES = sorted(CATALOG.rglob("*.toml"))
COIN = Path("outputs/coin.toml")
CASES = (
    Golden(name="case 1", state="online"),
    Golden(name="case 2", state="online"),
    Golden(name="case 3", state="online", fault=True),
)
LINES = Lines(outputs=("coin",), inputs=("ready",), optional=("ready",))
GOOD = Profile(
    name="coin", version=1, title="t", kind="output", driver="coin_line", source="maker's manual v1.3, p. 14",
    transport=Transport(lines=LINES), pulse=Pulse(width_ms=50, gap_ms=50), simulator="game_machine", golden=CASES,
)  # fmt: skip
COINS = Profile(
    name="coin", version=1, title="t", kind="acceptor", driver="cctalk_acceptor", source="maker's manual v1.3, p. 14",
    transport=Transport(serial=SerialLine(baud=9600)), acceptor=Acceptor(unit="CNY", positions={1: 50}),
    simulator="cctalk_acceptor",
)  # fmt: skip


@pytest.mark.parametrize("rule", checking.RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_every_page_of_the_catalog_keeps_every_rule(rule, path):
    assert rule(load_profile(path), path) == ""


BROKEN = {
    checking.named_as_its_file: (GOOD, Path("outputs/other.toml"), "Give both one name"),
    checking.in_the_folder_of_its_kind: (GOOD, Path("readers/coin.toml"), "belongs into outputs/"),
    checking.one_transport: (
        replace(GOOD, transport=Transport(serial=SerialLine(baud=9600), lines=LINES)), COIN, "exactly one"),
    checking.table_of_its_kind: (replace(GOOD, pulse=None), COIN, "needs [pulse]"),
    checking.positions_can_be: (
        replace(COINS, acceptor=Acceptor(unit="CNY", positions={17: 1})), COIN, "positions.17: positions are numbered"),
    checking.pulses_are_seen: (replace(GOOD, pulse=Pulse(width_ms=50, gap_ms=19)), COIN, "pulse.gap_ms = 19"),
    checking.roles_are_told_apart: (
        replace(GOOD, transport=Transport(lines=Lines(outputs=("coin",), inputs=("coin",)))), COIN, "'coin' twice"),
    checking.coin_line_has_a_coin: (
        replace(GOOD, transport=Transport(lines=Lines(outputs=("credit",)))), COIN, "needs transport.lines.outputs"),
    checking.lines_are_those_of_the_table: (
        replace(GOOD, pulse=None, tickets=Tickets(), driver="tickets"), COIN, "outputs has to be ['run']"),
    checking.counter_has_somebody_who_reads_it: (replace(GOOD, read_back="counter"), COIN, "is for acceptors"),
    checking.evidence_is_named: (replace(GOOD, source="web"), COIN, "says too little"),
    checking.a_simulator_stands_in: (replace(GOOD, simulator=""), COIN, "simulator is missing"),
    checking.golden_cases_can_be_played: (
        replace(GOOD, golden=(Golden(name="a case"),)), COIN, "golden 'a case': nothing is expected"),
    checking.golden_cases_prove_something: (replace(GOOD, golden=CASES[1:]), COIN, "2 golden cases, too few"),
}  # fmt: skip


@pytest.mark.parametrize("rule", checking.RULES, ids=lambda rule: rule.__name__)
def test_every_rule_finds_its_breach(rule):
    profile, path, text = BROKEN[rule]
    assert text in rule(profile, path)
    assert any(text in line for line in checking.check_profile(profile, path))


def test_other_breaches():
    assert "does not belong" in checking.table_of_its_kind(replace(GOOD, reader=Reader(media=("ntag21x",))), COIN)
    assert "exactly one" in checking.one_transport(replace(GOOD, transport=Transport()), COIN)
    assert "is empty" in checking.positions_can_be(replace(COINS, acceptor=Acceptor(unit="CNY", positions={})), COIN)
    odd = replace(GOOD, transport=Transport(lines=Lines(outputs=("coin",), optional=("lamp",))))
    assert "names 'lamp'" in checking.roles_are_told_apart(odd, COIN)
    with_both = replace(COINS, pulse=Pulse(width_ms=50, gap_ms=50))
    assert "[pulse] does not belong" in checking.table_of_its_kind(with_both, COIN)
    assert checking.check_profile(GOOD, COIN) == []
    dispenser = replace(GOOD, pulse=None, tickets=Tickets(), driver="tickets")
    on_uart = replace(dispenser, transport=Transport(serial=SerialLine(baud=9600)))
    assert "needs transport.lines" in checking.lines_are_those_of_the_table(on_uart, COIN)
    without = replace(dispenser, transport=Transport(lines=Lines(outputs=("run",), inputs=("error",))))
    assert "['notch'] and may have ['error']" in checking.lines_are_those_of_the_table(without, COIN)
    six = replace(COINS.acceptor, pulses=CoinPulses(counting="lines"), positions={1: 10, 3: 50})
    mech = replace(COINS, acceptor=six, transport=Transport(lines=Lines(inputs=("coin1", "coin2"))))
    assert "['coin1', 'coin3']" in checking.lines_are_those_of_the_table(mech, COIN)
    on_serial = replace(GOOD, golden=(Golden(name="a case", sends=("00",)),))
    good_times_only = tuple(replace(case, fault=False) for case in CASES)
    assert "add one" in checking.golden_cases_prove_something(replace(GOOD, golden=good_times_only), COIN)
    assert "another transport" in checking.golden_cases_can_be_played(on_serial, COIN)
    twice = replace(GOOD, golden=(Golden(name="a case", state="online"), Golden(name="a case", state="online")))
    assert "are called 'a case'" in checking.golden_cases_can_be_played(twice, COIN)
