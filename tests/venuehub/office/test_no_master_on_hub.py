"""TOK-3: a hub's folder, its ledger and its bus hold the keys of listed tokens, and nothing they were made from."""

import contextlib
import os
import shutil

import pytest

from back_office.members.cards import add_card, parse_card
from back_office.members.stock import CardStep, Doer, take_from_stock, take_step
from back_office.settings import database_file
from back_office.store import people
from back_office.store.engine import open_store, sqlite_url
from back_office.store.people import GuestAccount
from cloud_sync.identity import load_office
from edge_agent.messages import Answered, Born, ListArrived
from firmware_bridge.drivers.nfc_relay import order_of, relay
from payment_core.bus import Birth, encode
from payment_core.commands import Result, command_body
from payment_core.credential import ListRow
from payment_core.events import CredentialPresented
from payment_core.identifiers import credential_id
from provisioning.token_keys import TokenKeys, diversified, load_token_keys, make_token_keys
from tests.support.hall import PEPPER, Hall, commands, the_command
from tests.support.nfc_fields import ChipField
from tests.support.tokens import shown_url
from venuehub.office.encoding import encode_ntag424

UID = bytes.fromhex("04DE5F1EACC040")
OTHER = bytes.fromhex("04DE5F1EACC041")


@pytest.fixture
def venue(tmp_path, office_after):
    office_after(tmp_path, "init --dir @/office --tenant T --venue Hall", "enroll --dir @/office --hub @/hub")
    return tmp_path


def encoded(office) -> ChipField:
    """Encode two cards of an office, give the first an account, and return it as it lies on a reader."""
    keys, tokens = load_office(office), make_token_keys(office)
    field = ChipField(f"blank424:{UID.hex()}")
    encode_ntag424(field, field.look(attempts=1), tokens.ntag424(UID), url="https://v.example/t", dice=os.urandom)
    with contextlib.closing(open_store(sqlite_url(database_file(office)))) as store, store.writing() as tx:
        for uid in (UID, OTHER):
            card, doer = parse_card(f"ntag424:{uid.hex()}"), Doer("ada", 1)
            for step, key in ((CardStep.BEGIN, b""), (CardStep.FINISH, tokens.ntag424(uid)[1])):
                card_id = card.credential_id(keys.pepper)
                take_step(tx, keys.tenant_id, card_id, step, doer, media="ntag424", token_key=key)
        card = take_from_stock(tx, keys.tenant_id, parse_card(f"ntag424:{UID.hex()}"), doer, pepper=keys.pepper)
        account = GuestAccount(account_id=bytes(16), created_ms=1)
        add_card(tx, keys.tenant_id, card, pepper=keys.pepper, account=account)
    return field


def list_of(office) -> list[ListRow]:
    with contextlib.closing(open_store(sqlite_url(database_file(office)))) as store, store.reading() as tx:
        return people.list_rows(tx, load_office(office).tenant_id)


def played(venue, field: ChipField) -> bytes:
    """List the office's cards at a hub in the enrolled folder and play; return all its files, and all that it said."""
    hall = Hall(venue / "hub" / "ledger.db", risk={"challenge_over": 0, "floor_per_credential": 200,
                                                   "floor_per_hub": 400})  # fmt: skip
    (row,) = list_of(venue / "office")
    known = ListRow(credential_id(pepper=PEPPER, kind="ntag424", raw_id=UID), row.account_id, row.class_, row.status, 1,
                    token_key=row.token_key)  # fmt: skip
    hall.step(ListArrived(1, full=True, base_version=0, rows=(known,)))
    hall.step(Born("reader-1", Birth("pn532-uart", 1, "boot-1", "bridge-1", capabilities=("Transceive",))))
    tap = CredentialPresented("ntag424", UID.hex().upper(), "A", ndef=shown_url(field))
    said, held, effects = [], None, hall.step(hall.event("reader-1", tap))
    while the_command(effects).kind == "Transceive":
        command = the_command(effects)
        answer, held = relay(field, order_of(command.id, command_body(command)), held=held)
        result = Result(command.id, answer.outcome, answers=answer.answers)
        said += [encode(command), encode(result)]
        effects = hall.step(Answered("reader-1", result))
        for _wait in range(5):
            effects = effects if commands(effects) else hall.wait(100)
    hall.store.close()
    assert len(said) == 4
    files = [path.read_bytes() for path in sorted((venue / "hub").iterdir())]
    return b"\n".join([*files, *said])


def forbidden(office) -> list[bytes]:
    """Return what no hub may have: the master, and every key but those that the list tells."""
    tokens = load_token_keys(office)
    listed = {row.token_key for row in list_of(office)}
    made = {key for uid in (UID, OTHER) for key in tokens.ntag424(uid)}
    passwords = {tokens.ntag21x(uid).password + tokens.ntag21x(uid).pack for uid in (UID, OTHER)}
    return [(office / "tokens.key").read_bytes(), *sorted(made - listed), *sorted(passwords)]


def check_the_hub(venue, *, then=lambda _venue: None) -> None:
    field = encoded(venue / "office")
    then(venue)
    dump = played(venue, field)
    (listed,) = (row.token_key for row in list_of(venue / "office"))
    assert listed in dump  # or this looks in the wrong place
    for secret in forbidden(venue / "office"):
        assert secret not in dump
        assert secret.hex().encode() not in dump.lower()
    assert len(forbidden(venue / "office")) == 1 + 9 + 2


def test_a_hub_holds_the_listed_tokens_key_and_no_other(venue):
    check_the_hub(venue)


def test_a_build_that_gives_hubs_the_master_is_caught(venue):
    with pytest.raises(AssertionError):
        check_the_hub(venue, then=lambda at: shutil.copy(at / "office" / "tokens.key", at / "hub" / "tokens.key"))


def test_a_build_that_lists_the_cards_own_master_is_caught(venue, monkeypatch):
    monkeypatch.setattr(TokenKeys, "ntag424", lambda tokens, uid: (diversified(tokens._master, uid, bytes(12)),) * 5)
    with pytest.raises(AssertionError):
        check_the_hub(venue)
