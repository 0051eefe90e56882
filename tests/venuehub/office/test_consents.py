"""`venuehub office consent`: who agreed, what is taken back, and what no module has proven to be deleted yet."""

import json

import pytest

from back_office.members.cards import parse_card
from back_office.members.consents import keep_consents
from back_office.store import people, places
from payment_core.journal import Actor, ConsentGiven, Header, TemplateDeleted, TemplateEnrolled, Tender, TimeQuality
from venuehub.cli import main
from venuehub.office.tools import open_office

pytestmark = pytest.mark.long
CARD = "ntag213:04A1B2C3D4E580"
HEADER = Header(1, 1_795_320_000_000, bytes(16), 1, TimeQuality.SYNCED, 20261122, Actor.STAFF, Tender.NONE)
CONSENT, FINGER = bytes([1]) * 16, bytes([2]) * 16


@pytest.fixture
def run(capsys):
    def call(*words):
        capsys.readouterr()
        code = main(["office", "consent", *[str(word) for word in words], "--json"])
        return code, json.loads(capsys.readouterr().out)

    return call


@pytest.fixture
def folder(tmp_path, office_after):
    return office_after(
        tmp_path,
        'init --dir @/office --tenant "Star Arcade" --venue Hall',
        "enroll --dir @/office --hub @/hub-1 --name hall",
        f"card add --dir @/office --card {CARD} --name W.",
    )


def hear(folder, account, *make):
    with open_office(folder) as (store, keys), store.writing() as tx:
        (hub,) = places.hubs(tx, keys.tenant_id)
        card_id = parse_card(CARD).credential_id(keys.pepper)
        entries = [one(card_id, account) for one in make]
        assert keep_consents(tx, keys.tenant_id, hub.hub_id, entries, now_ms=HEADER.wall_ms) == []


def agreed(card_id, account):
    return ConsentGiven(1, HEADER, CONSENT, account, card_id, "finger", "v1", "lin", "F-17", "mother")


def learned(card_id, account):
    return TemplateEnrolled(1, HEADER, CONSENT, FINGER, account, card_id, "finger", "finger-1", 7, 1, "lin")


def certified(_card_id, account):
    return TemplateDeleted(1, HEADER, CONSENT, FINGER, account, "finger-1", 7, 1)


def test_a_consent_from_the_desk_to_the_certificate(folder, run, capsys):
    account = account_of(folder)
    hear(folder, account, agreed, learned)
    code, said = run("show", "--dir", folder, "--card", CARD)
    assert (code, said["pending"]) == (0, 0)
    assert [(one["of"], one["guardian"], one["hub"]) for one in said["consents"]] == [("finger", "F-17", "hall")]
    assert run("withdraw", "--dir", folder, "--card", CARD, "--by", "ann") == (0, {"withdrawn": 1, "pending": 1})
    assert run("list", "--dir", folder)[1]["templates"][0]["state"] == "pending"
    assert main(["office", "consent", "list", "--dir", str(folder)]) == 0
    assert "TO BE DELETED" in capsys.readouterr().out
    hear(folder, account, certified)
    _, said = run("show", "--dir", folder, "--card", CARD)
    assert (said["pending"], said["templates"][0]["deleted_ms"]) == (0, HEADER.wall_ms)
    assert main(["office", "consent", "show", "--dir", str(folder), "--card", CARD]) == 0
    assert "deleted, proven by the module" in capsys.readouterr().out


def account_of(folder):
    with open_office(folder) as (store, keys), store.reading() as tx:
        return people.credential(tx, keys.tenant_id, parse_card(CARD).credential_id(keys.pepper)).account_id


def test_nobody_has_agreed_yet(folder, run, capsys):
    assert run("list", "--dir", folder) == (0, {"consents": [], "templates": [], "pending": 0})
    assert main(["office", "consent", "list", "--dir", str(folder)]) == 0
    assert "nobody has agreed" in capsys.readouterr().out
    assert run("withdraw", "--dir", folder, "--card", "ntag213:04A1B2C3D4E5FF", "--by", "ann")[0] == 1
    assert run("withdraw", "--dir", folder, "--card", CARD, "--by", " ")[0] == 2
