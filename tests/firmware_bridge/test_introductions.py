"""How a bridge tells what its devices can do, and how it answers for its profiles."""

from device_profiles.loading import load_catalog
from firmware_bridge import introductions
from firmware_bridge.golden import Verdict
from firmware_bridge.introductions import answer_ms_of, capabilities_of, prepared
from payment_core.preparing import MAX_PROBLEM, MAX_PROBLEMS, Prepare
from payment_core.recovery import READ_BACKS

CATALOG = load_catalog()


def test_counted_commands_by_profile():
    assert capabilities_of(CATALOG["arcade-coin-line"]) == ("PulseCredit",)
    assert capabilities_of(CATALOG["pn532-uart"]) == ("Transceive",)
    assert capabilities_of(CATALOG["r503"]) == ("Verify", "enroll:finger")
    assert capabilities_of(CATALOG["hlk-fm225"]) == ("Verify", "enroll:face")
    assert capabilities_of(CATALOG["qibixx-vending"]) == ("ApproveVend", "read_back:vend_result", "unit:CNY")
    assert capabilities_of(CATALOG["hid-card-reader"]) == ()
    assert capabilities_of(CATALOG["cctalk-coin-acceptor"]) == ()
    for profile in CATALOG.values():
        told = capabilities_of(profile)
        assert ("Dispense" in told) == (profile.kind == "dispenser")
        assert ("read_back:hopper_status" in told) == (profile.kind == "dispenser" and profile.read_back == "counter")


def test_how_long_a_hub_waits_is_what_the_page_allows():
    assert answer_ms_of(CATALOG["qibixx-vending"]) == 125_000
    assert answer_ms_of(CATALOG["arcade-coin-line"]) == 0


def test_a_way_to_read_a_device_back_is_one_that_some_device_has():
    told = {said for profile in CATALOG.values() for said in capabilities_of(profile)}
    assert {said for said in told if said.startswith("read_back:")} == READ_BACKS


def test_a_dry_run_plays_what_is_asked_for_or_the_bridges_own():
    own = prepared(Prepare("q"), ["arcade-coin-line"], CATALOG)
    assert (own.outcome, own.cases, own.problems) == ("done", len(CATALOG["arcade-coin-line"].golden), ())
    asked = prepared(Prepare("q", profiles=("teleporter",)), ["arcade-coin-line"], CATALOG)
    assert (asked.outcome, asked.cases) == ("failed", 0)
    assert asked.problems == ("teleporter: this release does not have it",)


def test_problems_are_told_in_bounds(monkeypatch):
    async def many(profile) -> list[Verdict]:
        return [Verdict(profile.name, f"case {number}", "x" * 999) for number in range(99)]

    monkeypatch.setattr(introductions, "check_profile", many)
    answer = prepared(Prepare("q"), ["arcade-coin-line"], CATALOG)
    assert (answer.outcome, answer.cases) == ("failed", 99)
    assert len(answer.problems) == MAX_PROBLEMS
    assert {len(problem) for problem in answer.problems} == {MAX_PROBLEM}
    assert answer.problems[0].startswith("arcade-coin-line: case 0: xxx")
