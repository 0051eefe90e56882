"""Cards out of use reach every hall at once, stay so until the office lifts it knowingly, and are never evicted."""

import msgspec
import pytest

from cloud_sync.protocol.peers import PeerBlocked, PeerCard, PeerHeard, PeerRightUsed
from edge_agent.ledger import cache
from edge_agent.messages import BatchSealed, ReceiptTaken
from edge_agent.peer_messages import FromPeer, LanLink
from edge_agent.step.draft import Draft, Spot
from edge_agent.tap import blocks
from edge_agent.till import Till
from payment_core.credential import ListRow, Right
from payment_core.journal import Actor, CardSold, CredentialBlocked, ListConflict, Tender
from tests.support.hall import account_of, credential_of, the_view, views
from tests.support.lan import Lan, hub_id_of, journal_of
from tests.support.ledger_truth import faults_of


class DeskTill(Till):
    """A till with a desk beside it: what staff do is called by the next step."""

    act = None

    def _pass_time(self, draft: Draft) -> None:
        act, self.act = self.act, None
        if act is not None:
            act(draft)
        super()._pass_time(draft)


@pytest.fixture
def lan(tmp_path):
    lan = Lan(tmp_path, halls=3, tills=[DeskTill] * 3)
    yield lan
    for hall in lan.halls:
        assert faults_of(hall.store) == []
    lan.close()


def do(lan, n, act):
    lan.hall(n).till.act = act
    return lan.step(n)


def block(lan, card, *, at=1, status="lost"):
    return do(
        lan, at, lambda draft: blocks.block(draft, credential_id=credential_of(card), status=status, staff="ada")
    )


def blocked_in(lan, card):
    return [
        [entry.heard_from for entry in journal_of(hall) if isinstance(entry, CredentialBlocked)]
        for hall in lan.halls
        if credential_of(card)
    ]


def refused(lan, card, at):
    effects = [*lan.step(at, lan.hall(at).tap(card)), *lan.run()]
    return [view.reason for view in views(effects) if view.state == "declined"]


def test_a_block_is_in_every_hall_at_once_and_said_no_more(lan):
    lan.enroll("card-7", 1_000)
    block(lan, "card-7")
    lan.run()
    assert blocked_in(lan, "card-7") == [[None], [hub_id_of(1)], [hub_id_of(1)]]
    for at in (1, 2, 3):
        assert refused(lan, "card-7", at) == ["card_lost"]
    lan.wait(10_000)
    assert not lan.wire
    assert lan.hall(1).store.rows("SELECT * FROM peer_news") == []


def test_a_hall_that_was_away_hears_of_it_when_it_is_back_also_after_restarts(lan):
    lan.enroll("card-7", 1_000)
    lan.step(3, LanLink(up=False))
    block(lan, "card-7")
    while lan.wire:
        if lan.wire[0][1] == 3:
            lan.wire.popleft()
        else:
            lan.deliver_one()
    lan.restart(1)
    lan.run()
    lan.restart(3)
    lan.run()
    lan.wait(1_000)
    lan.run()
    assert refused(lan, "card-7", 3) == ["card_lost"]
    assert lan.hall(1).store.rows("SELECT * FROM peer_news") == []


def test_a_card_that_waits_for_its_money_is_refused_when_the_block_comes_first(lan):
    lan.enroll("card-7", 1_000)
    lan.step(2, lan.hall(2).tap("card-7"))
    lan.step(2, FromPeer(hub_id_of(3), 0, PeerBlocked(5, credential_of("card-7"), account_of("card-7"), "lost")))
    shown = views(lan.run())
    assert [view.reason for view in shown if view.state == "declined"] == ["card_lost"]


def test_a_list_that_knows_nothing_of_a_block_lifts_none_and_the_conflict_is_told(lan):
    hall = lan.hall(1)
    lan.enroll("card-7", 1_000)
    block(lan, "card-7")
    lan.step(1, hall.member("card-7", version=2))
    assert refused(lan, "card-7", 1) == ["card_lost"]
    (conflict,) = [entry for entry in journal_of(hall) if isinstance(entry, ListConflict)]
    assert (conflict.list_status, conflict.known_status) == ("active", "lost")
    lan.step(1, hall.member("card-7", version=9))
    assert refused(lan, "card-7", 1) == ["card_lost"]


def test_a_list_that_blocked_it_too_takes_over_and_may_lift_it(lan):
    hall = lan.hall(1)
    lan.enroll("card-7", 1_000)
    block(lan, "card-7")
    lan.step(1, hall.member("card-7", status="blocked", version=2))
    assert not cache.ids(hall.store)
    lan.step(1, hall.member("card-7", version=3))
    assert the_view(lan.step(1, hall.tap("card-7"))).state == "held"


def test_a_block_the_office_has_booked_and_lifted_between_two_lists_is_lifted(lan):
    hall = lan.hall(1)
    lan.enroll("card-7", 1_000)
    block(lan, "card-7")
    last = journal_of(hall)[-1].header.seq
    lan.step(1, BatchSealed(1, 1, last, bytes(32), b"s"))
    lan.step(1, ReceiptTaken(1, last))
    lan.step(1, hall.member("card-7", version=3))
    assert the_view(lan.step(1, hall.tap("card-7"))).state == "held"


def test_a_card_nobody_knows_can_be_blocked_and_is_then_known_as_such(lan):
    block(lan, "card-9", at=2, status="blocked")
    lan.run()
    lan.step(1, lan.hall(1).member("card-9"))
    assert refused(lan, "card-9", 1) == ["card_blocked"]


def test_a_card_sold_offline_is_known_in_every_hall(lan):
    row = ListRow(credential_of("card-9"), account_of("card-9"), "C", "active", 0)

    def sell(draft):
        header = draft.header(Spot(Actor.STAFF, Tender.CASH))
        draft.journal(CardSold(1, header, row.credential_id, row.account_id, "C", "ntag21x", "CNY", 0, "bar", "ada"))
        blocks.tell_card(draft, row, seq=header.seq)

    do(lan, 1, sell)
    lan.run()
    lan.step(1, lan.hall(1).lease("card-9", 500))
    lan.step(3, lan.hall(3).tap("card-9"))
    assert [view.state for view in views(lan.run())][-1] == "held"
    assert lan.hall(1).store.rows("SELECT * FROM peer_news") == []


def test_no_block_is_evicted_and_the_oldest_other_card_is(lan, monkeypatch):
    monkeypatch.setattr(cache, "CACHE_ROWS", 10)
    block(lan, "card-0")
    for n in range(1, 15):
        news = PeerCard(n, ListRow(credential_of(f"card-{n}"), account_of(f"card-{n}"), "C", "active", 0))
        lan.step(1, FromPeer(hub_id_of(2), 0, news))
    kept = {row[0] for row in lan.hall(1).store.rows("SELECT credential_id FROM cache")}
    assert len(kept) == 10
    assert credential_of("card-0") in kept
    assert credential_of("card-14") in kept


def test_a_neighbours_nonsense_is_not_taken(lan):
    effects = lan.step(1, FromPeer(hub_id_of(2), 0, PeerBlocked(1, b"short", None, "lost")))
    assert not [effect for effect in effects if isinstance(getattr(effect, "body", None), PeerHeard)]
    lan.step(1, FromPeer(hub_id_of(2), 0, PeerCard(1, ListRow(b"short", b"", "C", "active", 0))))
    assert not cache.ids(lan.hall(1).store)


def test_the_later_use_of_a_pass_counts_and_none_lies_in_the_future(lan):
    hall = lan.hall(1)
    for at_ms in (hall.wall_ms - 500, hall.wall_ms - 900, hall.wall_ms + 10**9):
        lan.step(1, FromPeer(hub_id_of(2), 0, PeerRightUsed(account_of("card-7"), "pass:racers", at_ms, "lane-9")))
    assert hall.store.rows("SELECT at_ms FROM right_uses") == [(hall.wall_ms,)]


def test_a_pass_is_in_use_elsewhere_for_as_long_as_the_slowest_machine_here_may_take(lan):
    hall = lan.hall(1)
    born = hall.born(2)
    slow = msgspec.structs.replace(born, birth=msgspec.structs.replace(born.birth, answer_ms=120_000))
    lan.step(1, hall.member("card-7", rights=(Right("", 2**50),)), slow)
    lan.step(1, FromPeer(hub_id_of(2), 0, PeerRightUsed(account_of("card-7"), "pass:", hall.wall_ms, "lane-9")))
    hall.pass_ms(119_999)
    assert refused(lan, "card-7", 1) == ["pass_in_use"]
    hall.pass_ms(1)
    assert refused(lan, "card-7", 1) == []


def test_a_neighbours_letter_that_comes_again_blocks_nothing_that_the_office_has_lifted(lan):
    hall = lan.hall(1)
    lan.enroll("card-7", 1_000)
    letters = [
        FromPeer(hub_id_of(2), 0, PeerBlocked(number, credential_of("card-7"), account_of("card-7"), "lost"))
        for number in (7, 9, 8)
    ]
    for place, letter in enumerate(letters, start=1):
        lan.step(1, letter)
        assert refused(lan, "card-7", 1) == ["card_lost"], "a later one may overtake it"
        lan.step(1, hall.member("card-7", status="blocked", version=2 * place))
        lan.step(1, hall.member("card-7", version=2 * place + 1))
        lan.wait(2_000)
    for letter in letters:
        effects = lan.step(1, letter)
        assert [effect.body for effect in effects if isinstance(getattr(effect, "body", None), PeerHeard)]
    assert the_view(lan.step(1, hall.tap("card-7"))).state == "held"


def test_a_neighbour_that_blocks_cards_nobody_knows_fills_no_disk(lan, monkeypatch):
    monkeypatch.setattr(blocks, "STRANGERS", 3)
    lan.enroll("card-7")
    for number in range(1, 9):
        lan.step(1, FromPeer(hub_id_of(2), 0, PeerBlocked(number, credential_of(f"none-{number}"), None, "lost")))
    assert lan.hall(1).store.rows("SELECT count(*) FROM cache") == [(3,)]
    lan.step(1, FromPeer(hub_id_of(2), 0, PeerBlocked(20, credential_of("card-7"), None, "lost")))
    assert refused(lan, "card-7", 1) == ["card_lost"]


def rows_of_a_liar(lan, letters):
    """Hear a neighbour block one known card under ever new numbers, or many under one; return the rows kept."""
    lan.enroll("card-7")
    for number, card in letters:
        lan.step(1, FromPeer(hub_id_of(2), 0, PeerBlocked(number, credential_of(card), account_of("card-7"), "lost")))
    return lan.hall(1).store.rows("SELECT count(*) FROM news_taken")[0][0]


NEW_NUMBERS = [(number, "card-7") for number in range(1, 60)]
ONE_NUMBER = [(5, f"card-{n}") for n in range(60)]


@pytest.mark.parametrize("letters", [NEW_NUMBERS, NEW_NUMBERS[::-1], ONE_NUMBER])
def test_what_was_heard_of_a_neighbour_fills_no_disk(lan, monkeypatch, letters):
    monkeypatch.setattr(blocks, "NEWS_KEPT", 20)
    assert rows_of_a_liar(lan, letters) == 20
    assert refused(lan, "card-7", 1) == ["card_lost"]


@pytest.mark.parametrize("letters", [NEW_NUMBERS, ONE_NUMBER])
def test_a_build_that_remembers_every_letter_is_caught(lan, monkeypatch, letters):
    monkeypatch.setattr(blocks, "NEWS_KEPT", 20)
    monkeypatch.setattr(cache, "forget_old_news", lambda _store, _hub, **_keep: None)
    assert rows_of_a_liar(lan, letters) > 20


def test_the_newest_letters_of_a_neighbour_are_still_known(lan, monkeypatch):
    monkeypatch.setattr(blocks, "NEWS_KEPT", 20)
    rows_of_a_liar(lan, NEW_NUMBERS)
    for version in (2, 3):
        lan.step(1, lan.hall(1).member("card-7", status="blocked" if version == 2 else "active", version=version))
    lan.step(1, FromPeer(hub_id_of(2), 0, PeerBlocked(50, credential_of("card-7"), account_of("card-7"), "lost")))
    assert cache.card(lan.hall(1).store, credential_of("card-7")).status == "active"


def test_no_neighbour_hands_out_a_further_card_for_money_that_lies_here(lan):
    lan.enroll("victim", 1_000)
    row = ListRow(credential_of("blank"), account_of("victim"), "C", "active", 0)
    card = FromPeer(hub_id_of(2), 0, PeerCard(1, row))
    lan.step(1, card)
    assert the_view(lan.step(1, lan.hall(1).tap("blank"))).reason == "unknown_card"
    block(lan, "victim", at=2)
    lan.run()
    lan.step(1, card)
    assert the_view(lan.step(1, lan.hall(1).tap("blank", 2))).state == "held", "a replacement"
