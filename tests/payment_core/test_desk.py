"""What staff ask for: every act goes over the bus and back, its name is its tag, and nonsense is refused."""

import tomllib
from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from payment_core.bus import decode, encode
from payment_core.desk import ACT_NAMES, OWN_TEXT, Act, ActName, DeskRequest, Look, ReplaceCard, SellCard, TopUp
from payment_core.errors import MalformedMessageError
from payment_core.staff_policy import Person, Quota, Role, StaffDocument, TopUpGift
from tests.support.tree import ROOT

ID = "0198a000-0000-7000-8000-000000000001"
CARD = "0" * 32
_FIELDS = {
    "authorization": st.just(ID), "credential": st.just(CARD), "old": st.just(CARD), "new": st.just("1" * 32),
    "delivered": st.booleans(), "note": st.text(max_size=200), "amount": st.integers(1, 10**9),
    "place": st.just("drawer-1"), "lane": st.just("lane-1"), "box": st.just("racer-1"), "what": st.just("open"),
    "counted": st.integers(0, 10**9), "of": st.sampled_from(["finger", "face"]), "text": st.just("v1"),
    "device": st.just("finger-1"), "machine": st.just("racer-1"), "value": st.integers(0, 10**9),
}  # fmt: skip


def acts(kind):
    wanted = {field.name for field in msgspec.structs.fields(kind) if field.required}
    return st.builds(kind, **{name: each for name, each in _FIELDS.items() if name in wanted})


@given(st.one_of([acts(kind) for kind in get_args(Act)]))
def test_every_act_goes_over_the_bus_and_back(act):
    request = DeskRequest(ID, "lin", act, "2580")
    assert decode("request", encode(request)) == request


def test_an_act_has_one_name():
    assert tuple(ACT_NAMES.values()) == get_args(ActName)


@pytest.mark.parametrize(
    "act",
    [
        TopUp(CARD, 0, "drawer-1"), TopUp(CARD, -1, "drawer-1"), TopUp("0" * 31, 1, "drawer-1"), TopUp(CARD, 1, "No"),
        TopUp(CARD, 2**53, "drawer-1"), SellCard(CARD, "drawer-1", media="m" * 33),
        ReplaceCard(CARD, CARD, media="m" * 33), Look("card", credential="x"), Look("machine", machine="a b"),
    ],
)  # fmt: skip
def test_nonsense_is_refused(act):
    with pytest.raises(MalformedMessageError, match="request"):
        decode("request", encode(DeskRequest(ID, "lin", act)))


def test_an_unknown_field_or_act_is_refused():
    for act in ('{"act": "look", "what": "open", "more": 1}', '{"act": "give"}'):
        with pytest.raises(MalformedMessageError):
            decode("request", f'{{"id": "{ID}", "staff": "lin", "act": {act}}}'.encode())


def test_what_a_role_does_not_name_is_not_allowed():
    lin, eve = Person("lin", "attendant"), Person("eve", "nobody")
    document = StaffDocument(1, roles=(Role("attendant", {"refund": Quota(count=3)}),), people=(lin, eve))
    assert document.quota(lin, "refund") == Quota(count=3)
    assert document.quota(lin, "top_up") is None
    assert document.quota(eve, "refund") is None
    assert (document.person("lin"), document.person("x")) == (lin, None)


def test_the_highest_gift_that_fits_counts():
    small, big = TopUpGift(100, "bonus", 5), TopUpGift(1_000, "bonus", 80)
    document = StaffDocument(1, gifts=(big, small))
    assert [document.gift_of(amount) for amount in (99, 100, 999, 1_000)] == [None, small, small, big]


def test_the_document_in_the_handbook_is_one():
    page = (ROOT / "docs" / "attendant.md").read_text(encoding="utf-8")
    example = page.partition("```toml\n")[2].partition("```")[0]
    document = msgspec.convert(tomllib.loads(example), StaffDocument)
    assert document.quota(document.people[0], "refund") == Quota(amount=50_000)
    assert [name for name in get_args(ActName) if f"`{name}`" not in page] == []


def test_a_text_of_the_venue_is_not_numbered_as_the_pages_own():
    document = {"version": 1, "consent_text": {"version": OWN_TEXT, "texts": {"en": "We keep no picture."}}}
    with pytest.raises(msgspec.ValidationError, match="of its own"):
        msgspec.convert(document, StaffDocument)
    document["consent_text"]["version"] = "v2"
    assert msgspec.convert(document, StaffDocument).consent_text is not None
