"""What a lane's scanner reads: member codes are taps, other people's codes are turned away and never written down."""

import msgspec
import pytest

from edge_agent.ledger import office_facts
from edge_agent.messages import DocumentArrived, LeaseArrived, ListArrived, Log
from edge_agent.tap import taps
from payment_core.credential import ListRow
from payment_core.events import CodeScanned
from payment_core.facts import read_packed
from payment_core.identifiers import credential_id
from payment_core.journal import Held, TimeQuality
from payment_core.member_code import HOLD_MS, STEP_MS, step_of, write_code
from tests.support.hall import PEPPER, Hall, commands, devices_document, logged, the_view, views
from tests.support.ledger_truth import entries

HANDLE, SEED, GUEST = bytes(range(10)), bytes(range(16)), bytes(range(1, 17))
PAYER = "134567890123456789"
MERCHANT = (
    "00020101021229300012D156000000000510A93FO3230Q52044111530315654041.505802CN5914BEST TRANSPORT6007BEIJING63043E10"
)


@pytest.fixture
def hall(tmp_path):
    """Return a hall with a scanner at either lane and a guest whose phone makes codes."""
    hall = Hall(tmp_path / "l.db")
    devices = msgspec.json.decode(devices_document(2, version=2))
    for number, lane in enumerate(devices["lanes"], 1):
        lane["scanner"] = f"scanner-{number}"
    phone = credential_id(pepper=PEPPER, kind="member_code", raw_id=HANDLE)
    row = ListRow(phone, GUEST, "A", "active", 1, token_key=SEED)
    hall.step(
        DocumentArrived("devices", 2, msgspec.json.encode(devices)),
        ListArrived(1, full=False, base_version=0, rows=(row,)), LeaseArrived(GUEST, "CNY", 1, 10_000),
    )  # fmt: skip
    yield hall
    hall.store.close()


def scan(hall, text, lane=1, **more):
    return hall.step(hall.event(f"scanner-{lane}", CodeScanned(text), **more))


def code(hall, *, ahead=0, seed=SEED):
    return write_code(handle=HANDLE, seed=seed, count=step_of(hall.wall_ms) + ahead)


def outcome(effects):
    if any(command.ttl_ms for command in commands(effects)):
        return "sold"
    view = views(effects)[-1]
    return view.reason or view.state


def refusal(effects):
    said = [line.fields["reason"] for line in effects if isinstance(line, Log) and line.name == "tap.proof_refused"]
    return " ".join(said)


def test_a_member_code_is_a_tap_at_the_lane_of_its_scanner(hall):
    effects = scan(hall, code(hall))
    assert len(commands(effects)) == 1
    assert the_view(effects).state == "held"
    (held,) = [entry for entry in entries(hall.store) if isinstance(entry, Held)]
    assert (held.account_id, held.header.lane) == (GUEST, "lane-1")
    assert read_packed(held.facts).token_counter == step_of(hall.wall_ms)


def check_that_a_code_sells_once(hall):
    """One sale per code, here and at every lane of this hub, also after a crash."""
    shown = code(hall)
    assert outcome(scan(hall, shown)) == "sold"
    again = scan(hall, shown, lane=2)
    assert (outcome(again), refusal(again)) == ("card_not_proven", "counter_replayed")
    hall.restart()
    hall.wall_ms -= 30_000
    hall.step(*hall.arrivals())
    assert refusal(scan(hall, shown, lane=2)) == "counter_replayed"
    hall.pass_ms(HOLD_MS)
    assert outcome(scan(hall, code(hall))) == "sold"


def test_a_code_sells_once(hall):
    check_that_a_code_sells_once(hall)


def test_a_build_that_forgets_counts_is_caught(hall, monkeypatch):
    monkeypatch.setattr(office_facts, "take_token_counter", lambda _store, _card, _count: None)
    with pytest.raises(AssertionError):
        check_that_a_code_sells_once(hall)


def check_a_phone_held_still(hall):
    """A phone that is left at the scanner shows ten codes: one sale, whatever the venue says of bouncing cards."""
    came = []
    for _ in range(10):
        effects = scan(hall, code(hall))
        came.append(outcome(effects))
        hall.step(*(hall.answer(command, "done") for command in commands(effects)))
        hall.pass_ms(STEP_MS)
    assert came == ["sold", *["repeated"] * 9]
    hall.pass_ms(HOLD_MS)
    assert outcome(scan(hall, code(hall))) == "sold"


def test_a_phone_held_still_pays_once(hall):
    check_a_phone_held_still(hall)


def test_a_build_that_takes_each_code_of_a_held_phone_is_caught(hall, monkeypatch):
    monkeypatch.setattr(taps, "HOLD_MS", 0)
    with pytest.raises(AssertionError):
        check_a_phone_held_still(hall)


def test_the_same_guest_may_play_at_two_lanes_with_two_codes(hall):
    assert outcome(scan(hall, code(hall))) == "sold"
    hall.pass_ms(STEP_MS)
    assert outcome(scan(hall, code(hall), lane=2)) == "sold"


@pytest.mark.parametrize(
    ("ahead", "seed", "reason"),
    [(0, bytes(16), "wrong_mac"), (-4, SEED, "code_time"), (4, SEED, "code_time"), (10**6, SEED, "code_time")],
)
def test_a_false_or_stale_code_is_refused(hall, ahead, seed, reason):
    effects = scan(hall, code(hall, ahead=ahead, seed=seed))
    assert (outcome(effects), refusal(effects)) == ("card_not_proven", reason)


def test_a_hub_without_the_time_goes_by_the_count(hall):
    true_ms = hall.wall_ms
    hall.quality, hall.wall_ms = TimeQuality.NONE, 1_000
    first = write_code(handle=HANDLE, seed=SEED, count=step_of(true_ms) + 360)  # an hour later, says the phone
    assert outcome(scan(hall, first)) == "sold"
    assert refusal(scan(hall, first, lane=2)) == "counter_replayed"
    early = write_code(handle=HANDLE, seed=SEED, count=step_of(true_ms) - 4)
    assert refusal(scan(hall, early, lane=2)) == "counter_replayed"
    far = write_code(handle=HANDLE, seed=SEED, count=step_of(true_ms) + 10**6)
    assert refusal(scan(hall, far, lane=2)) == "code_time"


def test_the_same_event_again_is_answered_again_and_sells_nothing(hall):
    shown = code(hall)
    scan(hall, shown, seq=7)
    effects = scan(hall, shown, seq=7)
    assert (commands(effects), the_view(effects).state) == ([], "held")


def test_a_code_that_comes_late_is_dropped(hall):
    assert logged(scan(hall, code(hall), age_ms=2_001)) == ["tap.stale"]
    assert logged(scan(hall, PAYER, age_ms=2_001)) == ["code.stale"]


def test_a_blocked_phone_is_refused_like_a_card(hall):
    phone = credential_id(pepper=PEPPER, kind="member_code", raw_id=HANDLE)
    row = ListRow(phone, GUEST, "A", "lost", 2, token_key=SEED)
    hall.step(ListArrived(2, full=False, base_version=1, rows=(row,)))
    assert outcome(scan(hall, code(hall))) == "card_lost"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (PAYER, "payer_code"), ("286123456789012345", "payer_code"), ("30" + "1" * 22, "payer_code"),
        (MERCHANT, "merchant_code"), ("4710000000000", "slip_unreadable"),
    ],
)  # fmt: skip
def test_a_code_of_somebody_else_is_turned_away_with_a_word(hall, text, reason):
    effects = scan(hall, text)
    assert (commands(effects), the_view(effects).state, the_view(effects).reason) == ([], "declined", reason)


@pytest.mark.parametrize("text", [PAYER, f" {PAYER}", "286123456789012345", "30" + "1" * 22])
def test_nothing_of_a_payer_code_is_written_shown_or_said(hall, text):
    effects = [*scan(hall, text), *scan(hall, text, age_ms=2_001), *scan(hall, text, lane=2)]
    said = b"".join(msgspec.json.encode(effect) for effect in effects if not isinstance(effect, bytes))
    hall.store.close()
    kept = b"".join(file.read_bytes() for file in hall.path.parent.glob(f"{hall.path.name}*"))
    hall.restart()
    for part in (text.strip(), text.strip()[2:14], text.strip()[-12:]):
        assert part.encode() not in said
        assert part.encode() not in kept
    assert views(effects)


def test_where_cash_goes_on_an_account_a_code_that_is_old_or_false_shows_no_balance(hall):
    devices = msgspec.json.decode(devices_document(2, version=3))
    devices["lanes"][0] |= {"scanner": "scanner-1", "takes": "account"}
    hall.step(DocumentArrived("devices", 3, msgspec.json.encode(devices)))
    shown = code(hall)
    assert the_view(scan(hall, shown)).balance_before == 10_000
    for text in (shown, code(hall, ahead=1, seed=bytes(16))):
        view = the_view(scan(hall, text))
        assert (view.reason, view.balance_before) == ("card_not_proven", None)
