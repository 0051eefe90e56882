"""`venuehub card`: blanks become cards in stock, and the office knows where each one is."""

import json
import subprocess
import sys

import pytest

from tests.support.nfc_fields import ChipField
from tests.support.tree import ROOT
from tests.support.waiting import eventually
from venuehub.cli import main
from venuehub.commands import card as card_command
from venuehub.office import encoding_desk

pytestmark = pytest.mark.long
UID = "04DE5F1EACC040"
OTHER = "04DE5F1EACC041"
URL = "https://venue.example/t"
CARD = f"ntag424:{UID}"


@pytest.fixture
def folder(tmp_path, office_after):
    return office_after(tmp_path, 'init --dir @/office --tenant "Star Arcade" --venue Hall')


@pytest.fixture
def run(capsys):
    def call(*words):
        capsys.readouterr()
        code = main([*[str(word) for word in words], "--json"])
        return code, json.loads(capsys.readouterr().out)

    return call


@pytest.fixture
def lay(monkeypatch):
    """Lay cards on a reader that is open; the next one lies there when it is asked for."""
    cards: list[ChipField] = []

    class Reader:
        def __getattr__(self, name):
            return getattr(cards[0], name)

        def close(self):
            """Nothing is open."""

    monkeypatch.setattr(encoding_desk, "_opened", lambda _port, _reader: Reader())
    monkeypatch.setattr(card_command, "note", lambda _text: cards.pop(0))

    def put(*texts):
        cards[:] = [ChipField(text) for text in texts]
        return cards[0]

    return put


def encode_words(folder, *more):
    return ("card", "encode", "--office", folder, "--port", "tty", "--url", URL, "--wait", 1, *more)


def state(run, folder, card=CARD):
    return run("card", "show", "--office", folder, "--card", card)[1]["state"]


def test_a_blank_is_encoded_sold_played_lost_found_returned_and_scrapped(folder, run, lay):
    lay(f"blank424:{UID}")
    code, said = run(*encode_words(folder, "--by", "ada", "--note", "box 7"))
    assert (code, said["media"], len(said["in_stock"])) == (0, "ntag424", 1)
    assert state(run, folder) == "in_stock"
    assert run("card", "sell", "--office", folder, "--card", CARD)[1]["state"] == "sold"
    assert run("office", "card", "add", "--dir", folder, "--card", CARD)[0] == 0
    assert state(run, folder) == "live"
    assert run("office", "card", "status", "--dir", folder, "--card", CARD, "lost")[0] == 0
    assert state(run, folder) == "lost"
    for step, after in (("find", "live"), ("lose", "lost"), ("return", "returned"), ("scrap", "scrapped")):
        assert run("card", step, "--office", folder, "--card", CARD)[1]["state"] == after
    code, said = run("card", "sell", "--office", folder, "--card", CARD)
    assert (code, said["error"]["code"]) == (1, "refused")
    assert said["error"]["message"].startswith("this card is scrapped: sell is not possible")
    steps = run("card", "show", "--office", folder, "--card", CARD)[1]["steps"]
    assert [step["state"] for step in steps] == [
        "begun", "in_stock", "sold", "live", "live", "lost", "returned", "scrapped",
    ]  # fmt: skip
    assert (steps[1]["who"], steps[1]["note"]) == ("ada", "box 7")


def test_several_cards_are_encoded_one_after_the_other(folder, run, lay):
    lay(f"blank424:{UID}", f"blank424:{OTHER}")
    code, said = run(*encode_words(folder, "--count", 2))
    assert (code, len(set(said["in_stock"]))) == (0, 2)
    said = run("card", "list", "--office", folder)[1]
    assert (len(said["cards"]), said["counts"]["in_stock"]) == (2, 2)
    assert run("card", "list", "--office", folder, "--state", "sold")[1]["cards"] == []
    assert run("card", "list", "--office", folder, "--state", "burnt")[0] == 2


def test_a_card_torn_away_is_begun_and_not_sold_until_the_next_run(folder, run, lay, monkeypatch):
    field, say, left = lay(f"blank424:{UID}"), ChipField.apdu, iter(range(12))
    monkeypatch.setattr(ChipField, "apdu", lambda self, apdu: say(self, apdu) if next(left, None) is not None else None)
    code, said = run(*encode_words(folder))
    assert (code, said["error"]["code"]) == (1, "card")
    assert "left" in said["error"]["message"]
    assert state(run, folder) == "begun"
    assert run("card", "sell", "--office", folder, "--card", CARD)[0] == 1
    assert run("office", "card", "add", "--dir", folder, "--card", CARD)[0] == 1
    monkeypatch.setattr(ChipField, "apdu", say)
    assert field is not None
    assert run(*encode_words(folder))[0] == 0
    assert state(run, folder) == "in_stock"


def test_ntag21x_tags_get_passwords(folder, run, lay):
    lay("ntag215:04A1B2C3D4E580")
    assert run("card", "encode", "--office", folder, "--port", "tty", "--media", "ntag21x")[0] == 0
    assert state(run, folder, "ntag213:04A1B2C3D4E580") == "in_stock"
    assert run("office", "card", "add", "--dir", folder, "--card", "ntag213:04A1B2C3D4E580")[0] == 0
    assert state(run, folder, "ntag213:04A1B2C3D4E580") == "live"


@pytest.mark.parametrize("card", ["payment:08010203", "classic1k:04A1B2C3", "ntag213:04A1B2C3D4E580"])
def test_what_is_no_blank_is_neither_written_nor_begun(folder, run, lay, card):
    field = lay(card)
    code, said = run(*encode_words(folder))
    assert (code, said["error"]["code"]) == (1, "card")
    assert field.sent == []
    assert run("card", "list", "--office", folder)[1]["cards"] == []


def test_what_is_asked_wrongly(folder, run, lay):
    lay("")
    assert run(*encode_words(folder))[0] == 5
    assert run("card", "encode", "--office", folder, "--port", "tty")[1]["error"]["where"] == "--url"
    assert run("card", "encode", "--office", folder, "--media", "ntag21x")[1]["error"]["where"] == "--port"
    assert run("card", "show", "--office", folder, "--card", CARD)[0] == 1
    assert run("card", "sell", "--office", folder, "--card", CARD, "--by", "")[0] == 2
    assert run("card", "sell", "--office", folder, "--card", CARD)[1]["error"]["code"] == "refused"


def test_a_lost_master_is_not_replaced_by_a_new_one(folder, run, lay):
    lay(f"blank424:{UID}")
    assert run(*encode_words(folder))[0] == 0
    (folder / "tokens.key").unlink()
    code, said = run(*encode_words(folder))
    assert (code, said["error"]["code"]) == (4, "identity")
    assert not (folder / "tokens.key").exists()


def test_a_lost_card_is_replaced_by_one_of_the_stock(folder, run, lay):
    lay(f"blank424:{UID}")
    assert run(*encode_words(folder))[0] == 0
    old = "ntag213:04A1B2C3D4E580"
    assert run("office", "card", "add", "--dir", folder, "--card", old)[0] == 0
    assert run("office", "card", "replace", "--dir", folder, "--card", old, "--new", CARD)[0] == 0
    assert state(run, folder) == "live"
    assert run("office", "card", "replace", "--dir", folder, "--card", old, "--new", f"ntag424:{OTHER}")[0] != 0


@pytest.mark.slow
def test_a_blank_on_a_simulated_reader_is_encoded_over_its_port(folder, run, tmp_path):
    link = tmp_path / "reader"
    words = ["emulate", "pn532-uart", "--link", str(link), "--card", f"blank424:{UID}"]
    with subprocess.Popen(
        [sys.executable, "-m", "venuehub", "device", *words], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    ) as simulator:
        try:
            eventually(link.is_symlink)
            code, said = run("card", "encode", "--office", folder, "--port", link, "--url", URL)
            assert (code, len(said["in_stock"])) == (0, 1)
            assert run("card", "encode", "--office", folder, "--port", link, "--url", URL)[0] == 0
        finally:
            simulator.kill()
    assert state(run, folder) == "in_stock"
