"""The commands for payment orders and paid slips: what they print, what they refuse, and with which exit code."""

import json

import pytest

from back_office.ledger import counter
from venuehub.cli import main

pytestmark = pytest.mark.long
CARD = "ntag213:04A1B2C3D4E580"


@pytest.fixture
def run(capsys):
    def call(*words):
        code = main([*[str(word) for word in words], "--json"])
        return code, json.loads(capsys.readouterr().out)

    return call


@pytest.fixture
def folder(tmp_path, office_after):
    return office_after(
        tmp_path,
        'init --dir @/office --tenant "Star Arcade" --venue Hall',
        f"card add --dir @/office --card {CARD}",
    )


@pytest.fixture
def order(folder, run):
    def call(verb, *words):
        return run("order", verb, "--dir", folder, *words)

    return call


def test_a_top_up_from_the_wish_to_the_refund(order):
    code, made = order("create", "--card", CARD, "--amount", 5_000)
    assert (code, made["state"], made["purpose"]) == (0, "pending", "top_up")
    assert made["code"].startswith("sandbox://pay/")
    assert order("pay", made["order_id"])[1]["state"] == "paid"
    part = order("refund", made["order_id"], "--amount", 2_000)[1]
    assert (part["state"], part["refunded"]) == ("paid", 2_000)
    assert order("refund", made["order_id"])[1]["state"] == "refunded"
    shown = order("show", made["order_id"])[1]
    assert [step["step"] for step in shown["steps"]][:2] == ["submit", "pay"]
    listed = order("list", "--state", "refunded")[1]
    assert [one["order_id"] for one in listed["orders"]] == [made["order_id"]]
    assert listed["sums"] == [{"state": "refunded", "unit": "CNY", "orders": 1, "paid": 5_000, "refunded": 5_000}]


@pytest.mark.parametrize("verb", ["refund", "reverse"])
def test_what_an_order_paid_goes_back_by_the_order_alone(order, run, folder, verb):
    made = order("create", "--card", CARD, "--amount", 5_000)[1]
    paid = order("pay", made["order_id"])[1]
    act = ("office", verb, "--dir", folder, "--channel", "sandbox", "--payment-id", paid["payment_id"])
    code, said = run(*act, "--amount", 2_000)
    assert (code, said["error"]["code"]) == (1, "refused")
    assert f"order refund --dir OFFICE {made['order_id']}" in said["error"]["hint"]
    assert run("office", "card", "show", "--dir", folder, "--card", CARD)[1]["balances"] == {"CNY": 5_000}
    assert order("refund", made["order_id"])[1]["refunded"] == 5_000


def test_a_build_whose_desk_pays_orders_back_in_the_books_only_is_caught(order, run, folder, monkeypatch):
    monkeypatch.setattr(counter, "_by_order", lambda _desk, _paid: None)
    made = order("create", "--card", CARD, "--amount", 5_000)[1]
    paid = order("pay", made["order_id"])[1]
    refund = ("office", "refund", "--dir", folder, "--channel", "sandbox", "--payment-id", paid["payment_id"])
    assert run(*refund)[0] == 0
    assert order("show", made["order_id"])[1]["refunded"] == 0  # the guest has it twice, or the channel never paid it
    assert order("refund", made["order_id"])[0] == 1


def test_an_order_is_closed_and_then_cannot_be_paid(order):
    made = order("create", "--card", CARD, "--amount", 100)[1]
    assert order("close", made["order_id"])[1]["state"] == "closed"
    code, said = order("pay", made["order_id"])
    assert (code, said["error"]["code"]) == (1, "refused")


@pytest.fixture
def hub(folder, run, tmp_path):
    """A hub with one lane."""
    assert run("office", "enroll", "--dir", folder, "--hub", tmp_path / "hub-1")[0] == 0
    lane = {"id": "racer-2", "machine": "m", "zone": "hall", "reader": "r", "output": "o"}
    (tmp_path / "devices.json").write_text(json.dumps({"lanes": [lane]}))
    document = ("office", "document", "set", "--dir", folder, "--hub", "hub-1", "devices", tmp_path / "devices.json")
    assert run(*document)[0] == 0
    return "hub-1"


def test_a_lane_that_no_hub_has_takes_nobodys_money(order, run, folder, hub):
    code, said = order("create", "--lane", "nolane", "--amount", 200)
    assert (code, said["error"]["where"], said["error"]["hint"]) == (2, "--lane", "the hubs have racer-2")
    assert order("list")[1]["orders"] == []
    run("office", "topup", "--dir", folder, "--card", CARD, "--amount", 1_000)
    slip = ("office", "slip", "issue", "--dir", folder, "--card", CARD)
    code, said = run(*slip, "--lane", "lane-9")
    assert (code, said["error"]["where"]) == (2, "--lane")
    assert run(*slip, "--lane", "racer-2", "--hub", hub)[0] == 0


def test_a_play_is_an_order_of_its_own_account(order, run, folder, hub):
    assert hub
    made = order("create", "--lane", "racer-2", "--amount", 200)[1]
    assert (made["purpose"], made["account_id"]) == ("play", made["order_id"].replace("-", ""))
    assert order("pay", made["order_id"])[1]["state"] == "paid"
    (slip,) = run("office", "slip", "list", "--dir", folder)[1]["slips"]
    assert (slip["slip_id"], slip["state"], slip["lane"]) == (made["order_id"], "outstanding", "racer-2")


def test_the_same_id_is_the_same_order(order):
    made = order("create", "--card", CARD, "--amount", 100)[1]
    assert order("create", "--card", CARD, "--amount", 100, "--id", made["order_id"])[1] == made
    code, said = order("create", "--card", CARD, "--amount", 101, "--id", made["order_id"])
    assert (code, said["error"]["code"]) == (1, "refused")


@pytest.mark.parametrize(
    ("words", "code", "where"),
    [
        (("create", "--amount", 5), 2, "--card"),
        (("create", "--card", CARD, "--lane", "l", "--amount", 5), 2, "--card"),
        (("create", "--card", CARD, "--amount", 5, "--unit", "ZZZ"), 2, "--unit"),
        (("create", "--card", CARD, "--amount", 5, "--id", "o1"), 2, "--id"),
        (("create", "--lane", "racer-2", "--amount", 5), 2, "--lane"),
        (("show", "no-id"), 2, "ORDER"),
        (("list", "--state", "gone"), 2, "--state"),
        (("refund", "019399a0-c0de-7000-8000-000000000007"), 1, ""),
        (("close", "019399a0-c0de-7000-8000-000000000007"), 1, ""),
    ],
)
def test_what_makes_no_sense_is_told(order, words, code, where, folder):
    found, said = order(*words)
    assert (found, said["error"]["where"]) == (code, where or str(folder))
    assert said["error"]["hint"]


def test_a_slip_is_issued_listed_and_stays_while_a_hub_may_have_it(folder, run, tmp_path):
    assert run("office", "enroll", "--dir", folder, "--hub", tmp_path / "hub-1")[0] == 0
    run("office", "topup", "--dir", folder, "--card", CARD, "--amount", 1_000)
    code, slip = run("office", "slip", "issue", "--dir", folder, "--card", CARD, "--amount", 600)
    assert (code, slip["text"][:4], slip["amount"]) == (0, "VH1:", 600)
    (listed,) = run("office", "slip", "list", "--dir", folder)[1]["slips"]
    assert (listed["state"], listed["waits_for"]) == ("outstanding", ["hub-1"])
    assert run("office", "slip", "return", "--dir", folder)[1] == {"returned": []}
    code, said = run("office", "slip", "issue", "--dir", folder, "--card", CARD, "--amount", 600)
    assert (code, said["error"]["code"]) == (1, "refused")


def test_people_read_lines(folder, capsys, run):
    run("office", "topup", "--dir", folder, "--card", CARD, "--amount", 1_000)
    for words in (
        ("office", "slip", "issue", "--dir", folder, "--card", CARD, "--amount", "500"),
        ("office", "slip", "list", "--dir", folder),
        ("office", "slip", "return", "--dir", folder),
        ("order", "create", "--dir", folder, "--card", CARD, "--amount", "500"),
        ("order", "list", "--dir", folder),
    ):
        assert main([str(word) for word in words]) == 0
    said = capsys.readouterr().out
    for words in ("VH1:", "outstanding", "0 slips returned", "pay with: sandbox://", "top_up", "¥5.00", "pending"):
        assert words in said


@pytest.mark.slow
def test_the_sandbox_storms_and_both_books_agree(run):
    code, said = run("order", "run-sandbox", "--seed", 7, "--orders", 12)
    assert (code, said["ok"], said["faults"]) == (0, True, [])
    assert said["channel_has"] == said["credited"]
    assert run("order", "run-sandbox", "--seed", 7, "--orders", 12)[1] == said
    calm = run("order", "run-sandbox", "--seed", 7, "--orders", 6, "--calm")[1]
    assert calm["ok"]
    assert "pending/mispay" not in calm["rows"]
