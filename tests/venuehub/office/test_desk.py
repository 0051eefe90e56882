"""The desk's commands: what they print, what they refuse, and that each act is done once."""

import json

import pytest

from payment_core.journal import CashMoved
from venuehub.cli import main
from venuehub.office.desk import desk_of
from venuehub.office.tools import open_office

pytestmark = pytest.mark.long
CARD, NEW = "ntag213:04A1B2C3D4E580", "ntag213:04FFEEDDCCBB80"
STRANGER = "ntag213:04010203040580"
PRICES = 'unit = "CNY"\n[[rules]]\nprice = [[200, "CNY"]]\n'
TERMS = 'gift_rule = "pro_rata"\n[[steps]]\nunit = "CNY"\nat_least = 1000\ngives = "bonus"\namount = 200\n'


@pytest.fixture
def run(capsys):
    def call(*words):
        code = main(["office", *[str(word) for word in words], "--json"])
        return code, json.loads(capsys.readouterr().out)

    return call


@pytest.fixture
def folder(tmp_path, office_after):
    return office_after(
        tmp_path,
        'init --dir @/office --tenant "Star Arcade" --venue Hall',
        "enroll --dir @/office --hub @/hub-1 --name hall",
        f"card add --dir @/office --card {CARD}",
        "terms set --dir @/office @/terms.toml",
        f"topup --dir @/office --card {CARD} --amount 1000 --payment-id p1",
        files={"terms.toml": TERMS},
    )


def fill_drawer(folder, drawer, amount):
    """Book cash into a drawer, as a hub that was heard would have."""
    with open_office(folder) as (store, keys), store.writing() as tx:
        desk = desk_of(keys.tenant_id, tx)
        desk.append(lambda header: CashMoved(1, header, "nowhere", drawer, "CNY", amount, amount, "ann"))


def proven(run, folder):
    code, said = run("verify", "--dir", folder)
    assert (code, said["faults"]) == (0, [])


def test_a_refund_is_done_once(folder, run):
    refund = ("refund", "--dir", folder, "--payment-id", "p1", "--id", "r1")
    code, said = run(*refund, "--amount", 400)
    assert (code, said["amount"], said["again"]) == (0, 400, False)
    again = run(*refund, "--amount", 400)[1]
    assert (again["again"], again["amount"], again["back"]) == (True, 400, said["back"])
    code, said = run(*refund, "--amount", 500)
    assert (code, said["error"]["code"]) == (1, "refused")
    assert "r1 is booked" in said["error"]["message"]
    code, said = run("refund", "--dir", folder, "--payment-id", "p1", "--amount", 900)
    assert said["error"]["message"].startswith("¥9.00 cannot go back")
    assert "¥6.00" in said["error"]["message"]
    proven(run, folder)


def test_people_are_told_what_an_act_did(folder, capsys):
    def said(*words):
        assert main(["office", *words, "--dir", str(folder)]) == 0
        return capsys.readouterr().out

    refund = ("refund", "--payment-id", "p1", "--amount", "400", "--id", "r1")
    assert said(*refund).startswith("refunded ¥4.00, 80 bonus of its gift went back")
    assert "refunded ¥4.00, 80 bonus" in (again := said(*refund))
    assert "it was there already" in again
    assert said("expire") == "nothing has run out: no lot was ended\n"
    assert said("card", "replace", "--card", CARD, "--new", NEW).startswith("card replaced: life 2")
    topup = said("topup", "--card", NEW, "--amount", "1000", "--payment-id", "p9")
    assert topup.startswith("booked ¥10.00 as counter payment p9, 200 bonus given with it")


def test_a_chargeback_after_spending_is_owed_and_listed(folder, run):
    assert run("topup", "--dir", folder, "--card", CARD, "--amount", 1, "--payment-id", "p2", "--hub", "hall")[0] == 0
    assert run("leases", "--dir", folder)[1] == [
        {"hub": "hall", "unit": "CNY", "left": 1001},
        {"hub": "hall", "unit": "bonus", "left": 200},
    ]
    code, said = run("reverse", "--dir", folder, "--channel", "counter", "--payment-id", "p1")
    assert (code, said["amount"], said["owed"]) == (0, 1000, 1000)
    code, said = run("open", "--dir", folder)
    assert code == 0
    assert [(end["kind"], end["amount"], end["unit"]) for end in said] == [("receivable", 1000, "CNY")]
    assert said[0]["age_s"] >= 0
    assert run("topup", "--dir", folder, "--card", CARD, "--amount", 1500, "--payment-id", "p3")[0] == 0
    assert run("open", "--dir", folder) == (0, [])
    proven(run, folder)


def test_a_dead_hub_is_shown_and_then_closed(folder, run):
    assert run("topup", "--dir", folder, "--card", CARD, "--amount", 1, "--payment-id", "p2", "--hub", "hall")[0] == 0
    close = ("hub", "close", "--dir", folder, "--hub", "hall")
    code, said = run(*close)
    assert (code, said["cost"]["leases"], said["closed"]) == (0, {"CNY": 1001, "bonus": 200}, None)
    code, said = run(*close, "--yes")
    assert (code, said["error"]["where"]) == (2, "--by")
    code, said = run(*close, "--yes", "--by", "ann", "--note", "stolen")
    first = said["closed"]
    assert (code, first["leases"], first["vouchers"], first["authorizations"], first["again"]) == (0, 3, 0, 0, False)
    again = run(*close, "--yes", "--by", "ann", "--note", "stolen")[1]["closed"]
    assert again == {"closed_ms": first["closed_ms"], "again": True}
    assert run(*close)[1]["closed"] == again
    assert run("leases", "--dir", folder) == (0, [])
    code, said = run("hub", "reopen", "--dir", folder, "--hub", "hall", "--by", "ann", "--note", "it is back")
    assert (code, said["error"]["code"]) == (1, "refused")
    proven(run, folder)


def test_a_lost_card_keeps_its_balance(folder, run):
    replace = ("card", "replace", "--dir", folder, "--card", CARD, "--new", NEW, "--by", "ann")
    code, said = run(*replace)
    assert (code, said["amount"], said["again"]) == (0, 2, False)
    assert run(*replace)[1]["again"]
    assert run("card", "limits", "--dir", folder, "--card", NEW, "--day", 5000)[0] == 0
    code, said = run("topup", "--dir", folder, "--card", NEW, "--amount", 1, "--hub", "hall")
    assert (code, said["leased"]) == (0, 1001)
    code, said = run("card", "replace", "--dir", folder, "--card", NEW, "--new", CARD)
    assert (code, said["error"]["code"]) == (1, "refused")


def test_a_card_has_passes_and_limits_of_its_own(folder, run):
    rights = ("card", "rights", "--dir", folder, "--card", CARD)
    code, said = run(*rights, "--group", "racing", "--until", "2096-12-31T22:00", "--cool-down", 300)
    pass_ = {"group": "racing", "until_ms": 4_007_800_800_000, "cool_down_ms": 300_000}
    assert (code, said["rights"], said["list_version"]) == (0, [pass_], 2)
    assert run(*rights)[1] == said
    for words in (("--group", "racing"), ("--until", "2096-12-31"), ("--group", "racing", "--until", "soon"),
                  ("--group", "racing", "--until", "2096-12-31", "--end"),
                  ("--group", "racing", "--until", "2020-01-01")):  # fmt: skip
        assert run(*rights, *words)[0] == 2
    code, said = run(*rights, "--group", "racing", "--end")
    assert (code, said["rights"], said["list_version"]) == (0, [], 3)

    limits = ("card", "limits", "--dir", folder, "--card", CARD)
    code, said = run(*limits, "--day", 5000, "--zone", "hall", "--zone", "bar", "--venue", "Hall", "--step-up")
    assert (code, said["day_limit"], said["tap_limit"], said["step_up"]) == (0, 5_000, None, True)
    assert (said["zones"], len(said["venues"])) == (["hall", "bar"], 1)
    code, said = run(*limits, "--tap", 100, "--group", "student", "--no-step-up")
    assert (said["day_limit"], said["tap_limit"], said["step_up"], said["group"]) == (5_000, 100, False, "student")
    code, said = run(*limits, "--no-limits", "--tap", 200)
    assert (said["day_limit"], said["tap_limit"], said["zones"], said["venues"]) == (None, 200, [], [])
    assert (said["group"], said["list_version"]) == ("student", 6)
    assert run(*limits, "--venue", "Moon")[1]["error"]["code"] == "office"


def test_what_a_phone_has_of_a_changed_or_blocked_card_is_told(folder, capsys):
    def told(*words):
        assert main(["office", *words, "--dir", str(folder), "--card", CARD]) == 0
        return capsys.readouterr().err

    told("card", "phone", "--url", "https://venue.example")
    assert told("card", "limits", "--tap", "100") == "the same from now on: phone\n"
    assert told("card", "status", "blocked").startswith("still in use, by the same account: phone; `card phone --end`")
    assert told("card", "status", "active") == ""


def opening(folder, tmp_path, run, rows, *signers):
    (tmp_path / "old.csv").write_text("card,unit,amount,source\n" + rows)
    words = [word for name in signers for word in ("--signer", f"{name}={tmp_path / name}.key")]
    return run("opening", "--dir", folder, "--csv", tmp_path / "old.csv", *words)


def test_old_balances_are_taken_over_by_two_people_and_once(folder, tmp_path, run):
    for name in ("ann", "bo"):
        code, made = run("signing-key", "--out", tmp_path / f"{name}.key")
        assert code == 0
        pinned = run("signer", "add", "--dir", folder, "--name", name, "--key", made["public"], "--by", "carol")
        assert (pinned[0], pinned[1]["name"], pinned[1]["venue"]) == (0, name, None)
    row = f"{CARD},CNY,800,old/17\n"
    assert opening(folder, tmp_path, run, row, "ann", "bo") == (0, {"booked": 1, "again": 0})
    assert opening(folder, tmp_path, run, row, "ann", "bo") == (0, {"booked": 0, "again": 1})
    code, said = opening(folder, tmp_path, run, f"{CARD},CNY,5,old/18\n{CARD},CNY,801,old/17\n", "ann", "bo")
    assert (code, said["error"]["where"]) == (1, f"{tmp_path / 'old.csv'}: line 3: card {CARD}")
    code, said = opening(folder, tmp_path, run, f"{CARD},CNY,5,old/19\n", "ann")
    assert (code, "two different people" in said["error"]["message"]) == (1, True)
    for row, words in (
        (f"{STRANGER},CNY,5,old/20", "not in the list"), ("foo,CNY,5,old/21", "is not a card"),
        (f"{CARD},CNY,5.00,old/22", "'5.00' is no amount"), (f"{CARD},CNZ,5,old/23", "'CNZ' is no unit"),
    ):  # fmt: skip
        code, said = opening(folder, tmp_path, run, f"{CARD},CNY,5,old/24\n{row}\n", "ann", "bo")
        card = row.partition(",")[0]
        assert (code, said["error"]["where"]) == (2, f"{tmp_path / 'old.csv'}: line 3: card {card}")
        assert words in said["error"]["message"]
    row = f"{CARD},CNY,800,old/17\n"
    marked = b"\xef\xbb\xbfcard,unit,amount,source\n" + row.encode()
    (tmp_path / "marked.csv").write_bytes(marked)
    keys = [f"--signer={name}={tmp_path / name}.key" for name in ("ann", "bo")]
    code, said = run("opening", "--dir", folder, "--csv", tmp_path / "marked.csv", *keys)
    assert (code, said) == (0, {"booked": 0, "again": 1})
    code, said = opening(folder, tmp_path, run, row, "ann", "nobody")
    assert (code, said["error"]["where"]) == (2, "--signer")
    assert run("signer", "remove", "--dir", folder, "--name", "bo", "--by", "carol") == (0, {"removed": "bo"})
    code, said = opening(folder, tmp_path, run, f"{CARD},CNY,5,old/25\n", "ann", "bo")
    assert (code, "carol removed it" in said["error"]["message"]) == (1, True)
    proven(run, folder)


def test_books_that_were_restored_are_said_to_be(folder, run):
    assert run("restored", "--dir", folder) == (0, {"declared": False, "to_be_heard": []})
    said = run("restored", "--dir", folder, "--by", "ann", "--note", "disk died")
    assert said == (0, {"declared": True, "to_be_heard": []}), "a hub that was never heard knows nothing better"
    assert run("restored", "--dir", folder, "--by", "ann")[0] == 2
    assert run("restored", "--dir", folder, "--note", "disk died")[1]["error"]["where"] == "--by"


def test_signers_are_listed_and_odd_ones_refused(folder, run):
    key = "5b" * 32
    add = ("signer", "add", "--dir", folder, "--name", "ann", "--key")
    assert run(*add, key, "--by", "carol", "--venue", "Hall")[1]["venue"] == "Hall"
    code, said = run("signer", "list", "--dir", folder)
    assert (code, [(row["name"], row["key"], row["venue"], row["until_ms"]) for row in said["signers"]]) == (
        0, [("ann", key, "Hall", None)],
    )  # fmt: skip
    assert run(*add, key, "--by", "carol")[0] == 1
    for odd in (("zz", "--by", "carol"), ("00" * 32, "--by", "carol"), (key, "--by", "ann"), (key, "--by", "")):
        assert run(*add, *odd)[0] == 2
    assert run("signer", "remove", "--dir", folder, "--name", "bo", "--by", "carol")[0] == 1


def test_files_that_do_not_fit_are_told(folder, tmp_path, run):
    (tmp_path / "bad.toml").write_text("gift_rule = 'all of it'\n")
    code, said = run("terms", "set", "--dir", folder, tmp_path / "bad.toml")
    assert (code, "gift_rule" in said["error"]["message"]) == (2, True)
    (tmp_path / "ann.key").write_text("00" * 32)
    code, said = run(
        "opening", "--dir", folder, "--csv", tmp_path / "bad.toml", "--signer", f"ann={tmp_path / 'ann.key'}"
    )
    assert (code, said["error"]["hint"]) == (2, "its first line is: card,unit,amount,source")
    assert run("signing-key", "--out", tmp_path / "ann.key")[0] == 2


def test_nothing_to_write_off_and_nothing_to_end(folder, run):
    wish = ("write-off", "--dir", folder, "--hub", "hall", "--amount", 1, "--by", "ann")
    account = run("card", "show", "--dir", folder, "--card", CARD)[1]["account_id"]
    assert run(*wish, "--account", account)[1]["error"]["code"] == "refused"
    assert run(*wish, "--account", "00" * 16)[1]["error"]["message"] == f"there is no account {'00' * 16}"
    assert run(*wish, "--account", "nobody")[0] == 2
    assert run("expire", "--dir", folder)[1]["again"]


def test_cash_is_moved_once_and_what_is_missing_has_a_name(folder, run, capsys):
    fill_drawer(folder, "desk-1", 1_200)
    move = ("move-cash", "--dir", folder, "--from", "desk-1", "--booked", 500, "--by", "ann", "--id", "m1")
    code, said = run(*move, "--counted", 490)
    assert (code, said["amount"], said["short"], said["again"]) == (0, 490, 10, False)
    assert run(*move, "--counted", 490)[1]["again"]
    assert run(*move)[1]["error"]["code"] == "refused"
    assert main(["office", *[str(word) for word in move[:-1]], "m2"]) == 0
    assert capsys.readouterr().out.startswith("moved ¥5.00 (entry ")
    for drawer in ("no drawer", "desk-7"):
        code, said = run(*move[:4], drawer, *move[5:])
        assert (code, said["error"]["where"]) == (2, "--from")
    assert run(*move, "--to", "desk-7")[1]["error"]["where"] == "--to"
    code, said = run(*move[:-1], "m3", "--counted", 510)
    assert (code, said["error"]["message"]) == (1, "¥5.00 cannot leave desk-1: ¥2.00 are there by the books")
    small = (*move[:5], "--booked", 10, "--by", "ann", "--counted", 99_999_999)
    code, said = run(*small)
    assert (code, said["error"]["where"]) == (2, "--counted")
    assert run(*small, "--yes")[1]["short"] == 10 - 99_999_999
    proven(run, folder)


def test_who_decided_what_is_listed(folder, run, capsys):
    assert run("hub", "close", "--dir", folder, "--hub", "hall", "--yes", "--by", "ann", "--note", "stolen")[0] == 0
    (line,) = run("audit", "list", "--dir", folder)[1]
    assert (line["who"], line["what"], line["about"], line["note"]) == ("ann", "hub closed", "hub hall", "stolen")
    assert main(["office", "audit", "list", "--dir", str(folder)]) == 0
    assert "  ann  hub closed, hub hall: stolen\n1 line\n" in capsys.readouterr().out


@pytest.mark.parametrize("by", ["", " "])
def test_no_loss_is_decided_by_nobody(folder, run, by):
    wishes = (
        ("write-off", "--hub", "hall", "--amount", 1, "--account", "00" * 16, "--by", by),
        ("hub", "close", "--hub", "hall", "--yes", "--by", by, "--note", "stolen"),
        ("hub", "drain", "--hub", "hall", "--by", by, "--why", "moved"),
        ("restored", "--by", by, "--note", "disk died"),
        ("move-cash", "--from", "desk-1", "--booked", 1, "--by", by),
    )
    for words in wishes:
        code, said = run(*words, "--dir", folder)
        assert (code, said["error"]["where"]) == (2, "--by"), words
    assert run("hub", "close", "--dir", folder, "--hub", "hall", "--yes", "--by", "ann", "--note", by)[0] == 2
    assert run("audit", "list", "--dir", folder) == (0, [])


def test_what_went_back_is_on_the_guests_page_and_sums_are_money(folder, capsys):
    def said(*words):
        assert main(["office", *words, "--dir", str(folder)]) == 0
        return capsys.readouterr().out

    said("refund", "--payment-id", "p1", "--amount", "400")
    assert "payment p1 of counter: ¥10.00, ¥4.00 of it went back" in said("card", "show", "--card", CARD)
    said("topup", "--card", CARD, "--amount", "500", "--payment-id", "p2", "--hub", "hall")
    assert "¥11.00\n" in said("leases")
    said("reverse", "--channel", "counter", "--payment-id", "p2")
    line = said("open").splitlines()[0]
    assert " UTC  " in line
    assert "0 min  receivable" in line
    assert "¥5.00" in line


def test_values_that_cannot_be_right_are_told(folder, run, tmp_path, capsys):
    lane = {"id": "racer-1", "machine": "m", "zone": "hall", "reader": "r", "output": "o"}
    (tmp_path / "devices.json").write_text(json.dumps({"lanes": [lane]}))
    assert run("document", "set", "--dir", folder, "--hub", "hall", "devices", tmp_path / "devices.json")[0] == 0
    code, said = run("card", "limits", "--dir", folder, "--card", CARD, "--zone", "nowhere")
    assert (code, said["error"]["where"], said["error"]["hint"]) == (2, "--zone", "known are hall")
    (tmp_path / "prices.toml").write_text(PRICES)
    assert run("document", "set", "--dir", folder, "--hub", "hall", "prices", tmp_path / "prices.toml")[0] == 0
    topup = ("topup", "--dir", folder, "--card", CARD, "--amount", 100)
    code, said = run(*topup, "--unit", "JPY")
    assert (code, said["error"]["where"], "CNY" in said["error"]["hint"]) == (2, "--unit", True)
    assert run("card", "status", "--dir", folder, "--card", CARD, "lost")[0] == 0
    assert run(*topup)[1]["card_status"] == "lost"
    assert main(["office", *map(str, topup)]) == 0
    assert "the card is lost" in capsys.readouterr().out


def test_a_key_that_nobody_pinned_names_the_command_that_pins(folder, run, tmp_path):
    (tmp_path / "old.csv").write_text(f"card,unit,amount,source\n{CARD},CNY,100,old:1\n")
    for name in ("ann", "bo"):
        assert run("signing-key", "--out", tmp_path / f"{name}.key")[0] == 0
    keys = [word for name in ("ann", "bo") for word in ("--signer", f"{name}={tmp_path / name}.key")]
    code, said = run("opening", "--dir", folder, "--csv", tmp_path / "old.csv", *keys)
    assert (code, "office signer add" in said["error"]["hint"]) == (1, True)


def test_the_audit_is_proven_with_what_was_kept_of_it_outside(folder, run, tmp_path, capsys):
    anchors = tmp_path / "anchors.txt"
    assert run("hub", "close", "--dir", folder, "--hub", "hall", "--yes", "--by", "ann", "--note", "stolen")[0] == 0
    assert main(["office", "audit", "anchor", "--dir", str(folder)]) == 0
    anchors.write_text(capsys.readouterr().out)
    verify = ("audit", "verify", "--dir", folder, "--anchor", anchors)
    code, said = run(*verify)
    assert (code, said["ok"], said["lines"], said["anchors"], said["first_bad"]) == (0, True, 1, 1, None)
    assert run("audit", "anchor", "--dir", folder)[1]["hash"] == said["hash"]
    anchors.write_text(anchors.read_text().replace(" 1 ", " 2 "))
    code, said = run(*verify)
    assert (code, said["first_bad"]) == (1, 2)
    assert main(["office", *map(str, verify)]) == 1
    assert capsys.readouterr().out.startswith("NOT ok: line 2: it is missing")
    anchors.write_text("nonsense\n")
    code, said = run(*verify)
    assert (code, said["error"]["code"], said["error"]["where"]) == (2, "anchor", str(anchors))
