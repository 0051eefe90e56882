"""`venuehub config price`: what something costs at a moment, why, and what is wrong with a list, said to a person."""

import json

import pytest

from tests.support.tree import ROOT
from venuehub import cli

PRICES, CALENDAR = str(ROOT / "examples/prices.toml"), str(ROOT / "examples/calendar.toml")


def ask(capsys, *words, code=0, machine="racer-1", at="2026-11-02 14:30"):
    assert cli.main(["config", "price", "--list", PRICES, "--machine", machine, "--at", at, *words, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_the_price_its_tax_rule_and_reasons(capsys):
    said = ask(capsys, "--zone", "racing")
    assert said == {
        "price": [{"minor": 300, "unit": "CNY"}],
        "quantity": 1,
        "credits": 1,
        "cash": 300,
        "tax_code": "ent",
        "tax_milli_percent": 6000,
        "tax": 17,
        "rule": 2,
        "why": "zone racing",
        "reasons": ["rule 2: zone racing", "before rule 1 (venue): it names the zone"],
        "time": {"business_date": 20261102, "weekday": 1, "minute": 870, "day": "workday", "bands": []},
        "list": {"version": 0, "unit": "CNY", "effective_at": None},
        "problems": [],
    }


@pytest.mark.parametrize(
    ("words", "at", "minor"),
    [
        ((), "2026-11-02 14:30", 200),
        (("--zone", "racing"), "2026-11-02 09:59", 150),
        (("--zone", "racing", "--quantity", "12"), "2026-11-02 14:30", 2_880),
        (("--zone", "racing"), "2026-10-10 14:30", 400),
        (("--zone", "racing", "--calendar", CALENDAR), "2026-10-10 14:30", 300),
        (("--zone", "racing", "--calendar", CALENDAR), "2026-10-01 14:30", 400),
        (("--zone", "racing", "--calendar", CALENDAR), "2026-10-04 05:59", 400),  # business date: the 3rd
        (("--zone", "racing", "--day-starts", "00:00"), "2026-11-02 05:59", 300),
        (("--zone", "racing", "--day-starts", "08:30"), "2026-11-02 08:29", 400),  # still Sunday's business
        (("--zone", "racing"), "2026-11-02T06:30:00+00:00", 300),  # 14:30 in Shanghai
        (("--zone", "racing"), "unknown", 300),
        (("--tier", "gold"), "2026-11-02 14:30", 200),
    ],
)
def test_a_price_by_place_time_and_quantity(capsys, words, at, minor):
    assert ask(capsys, *words, at=at)["price"][0]["minor"] == minor


def test_machines_of_a_group_and_dates(capsys):
    assert ask(capsys, machine="flight-2")["price"][0]["minor"] == 1_000
    assert ask(capsys, machine="flight-2", at="2026-08-31 14:30")["price"][0]["minor"] == 900
    assert ask(capsys, "--machine-group", "simulators", machine="flight-9")["price"][0]["minor"] == 1_000
    assert ask(capsys, "--tier", "gold", machine="flight-2")["price"][0]["minor"] == 800


def test_a_person_reads_the_price_first(capsys):
    words = ["config", "price", "--list", PRICES, "--machine", "r", "--zone", "racing", "--at", "2026-11-02 08:30"]
    assert cli.main(words) == 0
    assert capsys.readouterr().out.splitlines() == [
        "150 bonus or ¥1.50",
        "tax included: ¥0.08 (VAT, 6 %)",
        "rule 4: zone racing, band morning",
        "before rule 2 (zone racing): it names a band",
        "before rule 1 (venue): it names the zone",
    ]


@pytest.mark.parametrize(
    ("words", "where", "message", "hint"),
    [
        (("--at", "noon"), "--at", "'noon' is no date and time", "2026-10-01 14:30"),
        (("--timezone", "Mars/Base"), "--timezone", "'Mars/Base' is not known", "Asia/Shanghai"),
        (("--day-starts", "25:00"), "--day-starts", "'25:00' is no time of day", "06:00"),
        (("--quantity", "0"), "--quantity", "0 pieces cannot be priced", "choose 1 to 10000"),
        (("--list", "/none/prices.toml"), "/none/prices.toml", "there is no such file", "Check the path."),
        (("--calendar", "/none/c.toml"), "/none/c.toml", "there is no such file", "Check the path."),
        (
            ("--timezone", "Europe/Berlin", "--at", "2026-03-29 02:30"),
            "--at",
            "2026-03-29 02:30 does not come in Europe/Berlin",
            "springs forward",
        ),
    ],
)
def test_what_people_get_wrong_is_told_with_place_and_remedy(capsys, words, where, message, hint):
    error = ask(capsys, *words, code=2)["error"]
    assert (error["code"], error["where"], error["message"]) == ("settings", where, message)
    assert hint in error["hint"]


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (
            'unit = "CNY"\n[[rules]]\npirce = [[1, "CNY"]]',
            "rules number 1: pirce is not a setting",
            "Did you mean price?",
        ),
        ('unit = "CNY"\n[[rules]]\nprice = [["1", "CNY"]]', "price number 1: number 1", "write a whole number."),
        ('unit = "CNY"\n[[rules]]\nprice = [[1, "CNY"]]\ndays = ["holyday"]', "'holyday' is not known", "holiday?"),
        ('unit = "CNY"\n[[rules]]\nprice = [[1, "CNY"]]\nquantity = 0', "quantity is 1 to 10000 pieces", ""),
        ("unit = 5\nrules = []", "unit = 5", "write text in quotes."),
        ("rules = []", "unit is missing", "Add it."),
        ('unit = "CNY"\nrules = []\n[[bands]]\nname = "b"\nfrom_minute = 9\nto_minute = 9', "has no minute", ""),
        ("unit = ", "not TOML", "Correct that line."),
    ],
)
def test_a_list_that_cannot_be_read_names_file_key_and_remedy(capsys, tmp_path, text, message, hint):
    file = tmp_path / "prices.toml"
    file.write_text(text)
    error = ask(capsys, "--list", str(file), code=2)["error"]
    assert (error["code"], error["where"]) == ("settings", str(file))
    assert message in error["message"] + " " + error["hint"]
    assert hint in error["hint"]


def test_a_list_may_be_json(capsys, tmp_path):
    file = tmp_path / "prices.json"
    text = '{"version": 7, "unit": "VND", "rules": [{"price": [[20300, "VND"]]}], "cash": {"step": 500}'
    file.write_text(text + ', "effective_at": "2026-12-01T06:00:00+07:00"}')
    said = ask(capsys, "--list", str(file))
    assert (said["price"], said["cash"], said["list"]) == (
        [{"minor": 20_300, "unit": "VND"}],
        20_000,
        {"version": 7, "unit": "VND", "effective_at": "2026-12-01T06:00:00+07:00"},
    )
    assert cli.main(["config", "price", "--list", str(file), "--machine", "m", "--at", "unknown"]) == 0
    assert capsys.readouterr().out.splitlines()[:2] == ["₫20,300", "in cash: ₫20,000"]
    for broken in ("[1]", "{", "[" * 6_000, "\xff"):
        file.write_text(broken, encoding="latin-1")
        assert ask(capsys, "--list", str(file), code=2)["error"]["where"] == str(file)


def test_no_price_is_told_with_what_was_asked(capsys, tmp_path):
    file = tmp_path / "prices.toml"
    file.write_text('unit = "CNY"\n[[rules]]\nzone = "hall"\nprice = [[1, "CNY"]]')
    error = ask(capsys, "--list", str(file), "--zone", "bar", "--quantity", "3", code=1)["error"]
    assert (error["code"], error["message"]) == ("no_price", "no rule counts for machine racer-1, zone bar, quantity 3")
    assert error["hint"].startswith("add a rule")


ODD = """
unit = "CNY"
[[rules]]
price = [[1, "CNY"]]
[[rules]]
price = [[2, "CNY"]]
[[rules]]
band = "dya"
price = [[2, "CNY"]]
"""


def test_a_list_with_rules_that_never_count_is_told_of(capsys, tmp_path):
    file = tmp_path / "prices.toml"
    file.write_text(ODD)
    assert [problem["key"] for problem in ask(capsys, "--list", str(file))["problems"]] == ["rule 3", "rule 2"]
    assert cli.main(["config", "price", "--list", str(file), "--machine", "m", "--at", "unknown"]) == 0
    told = capsys.readouterr()
    assert told.out.splitlines()[0] == "¥0.01"
    assert told.err.splitlines()[1] == (
        f"{file}: rule 2: never counts: rule 1 (venue) counts whenever it would. "
        "Remedy: remove it, put it before, or name more in it"
    )
    assert cli.main(["config", "check", str(file)]) == 3
    assert "rule 3: names the band 'dya'" in capsys.readouterr().out
    assert cli.main(["config", "check", str(file), "--json"]) == 3
    said = json.loads(capsys.readouterr().out)
    assert (said["ok"], said["kind"], len(said["problems"])) == (False, "prices", 2)


def test_the_examples_are_right(capsys):
    for file in (PRICES, CALENDAR):
        assert cli.main(["config", "check", file]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"{CALENDAR}: ok as calendar settings"


def test_a_calendar_that_cannot_be_read_names_the_day(capsys, tmp_path):
    file = tmp_path / "calendar.toml"
    file.write_text('[days]\n2026-10-01 = "feast"')
    assert cli.main(["config", "check", str(file)]) == 2
    told = capsys.readouterr().err
    assert str(file) in told
    assert "days" in told


SITE = ROOT / "examples/site.toml"
ASKS = '[[rules]]\nmachine = "racer-2"\nasks = true\nprice = [[1000, "CNY"]]\n'


@pytest.mark.parametrize(
    ("rules", "vends", "said"),
    [
        ("", True, 'lane "racer-2": its machine names its prices, and rule 1 (venue) counts there: it sells nothing'),
        (ASKS, True, ""),
        (ASKS, False, "its machine names no prices, and rule 2 (machine racer-2) counts there: it sells nothing"),
        ("", False, ""),
    ],
)
def test_a_list_that_sells_nothing_at_a_lane_of_the_site_is_told(capsys, tmp_path, rules, vends, said):
    prices, site = tmp_path / "prices.toml", tmp_path / "site.toml"
    prices.write_text(f'unit = "CNY"\n[[rules]]\nprice = [[200, "CNY"]]\n{rules}', "utf-8")
    text = SITE.read_text("utf-8")
    if vends:
        text = text.replace('"arcade-coin-line"\npins = { coin = 17, ready = 27 }', '"qibixx-vending"\nport = "/dev/x"')
        text = text.replace("[device.pulse]\nwidth_ms = 60\n", "")
    site.write_text(text, "utf-8")
    assert cli.main(["config", "check", str(prices), "--site", str(site)]) == (3 if said else 0)
    assert said in capsys.readouterr().out


def test_a_site_goes_with_a_price_list_only(capsys):
    assert cli.main(["config", "check", CALENDAR, "--site", str(SITE)]) == 2
    assert "--site" in capsys.readouterr().err
