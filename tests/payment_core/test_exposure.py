"""The bound adds its four terms up, no hub is without one, and every entry type names what it can raise."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from payment_core import policy
from payment_core.exposure import TERMS, Exposure, HubTerms, Term, exposure, hub_terms, terms_of
from payment_core.journal import VERSIONS, Cause, Held, Voided
from payment_core.policy import LEASE_CAP, TOP_UP_CAP, Caps, RiskDocument

caps = st.integers(0, 10**9)
hubs = st.lists(st.builds(HubTerms, st.just("hall"), caps, caps, caps, caps), max_size=20)


def test_two_hubs_add_up():
    risk = RiskDocument(1, floor_per_hub=3_000, lease_cap=50_000, top_up_cap=20_000, doubt_cap_per_day=1_000)
    both = [hub_terms("hall", risk), hub_terms("ktv", risk)]
    assert exposure("CNY", both, rollbacks=2, days=7) == Exposure(
        unit="CNY", honest=20_000, floor_bound=6_000, rollback_bound=200_000, topup_bound=80_000, doubt_bound=14_000,
        hubs=tuple(both),
    )  # fmt: skip


def test_a_hub_that_names_no_cap_has_one_all_the_same():
    found = exposure("CNY", [hub_terms("hall", RiskDocument(1, top_up_cap=5)), hub_terms("ktv", RiskDocument(1))])
    assert (found.honest, found.floor_bound) == (0, 0)
    assert (found.rollback_bound, found.topup_bound) == (2 * LEASE_CAP, 5 + TOP_UP_CAP)


def caps_of(document):
    """Decode a document's caps; a build that takes "no cap" for an answer returns one without a bound."""
    return msgspec.json.decode(document, type=policy.Caps)


@pytest.mark.parametrize("document", [b'{"top_up_cap":null}', b'{"lease_cap":null}', b'{"top_up_cap":-1}'])
def test_a_document_that_says_there_is_no_cap_is_refused(document):
    with pytest.raises(msgspec.ValidationError):
        caps_of(document)
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"version":1,' + document[1:], type=RiskDocument)


def test_a_build_that_takes_no_cap_for_an_answer_is_caught(monkeypatch):
    class Loose(msgspec.Struct):
        top_up_cap: int | None = None

    monkeypatch.setattr(policy, "Caps", Loose)
    assert caps_of(b'{"top_up_cap":null}').top_up_cap is None


def test_x_h_is_the_whole_and_never_less_than_floors_and_doubts():
    caps = Caps(floor_per_hub=300, lease_cap=1_000, doubt_cap_per_day=200)
    assert (caps.leasable(), caps.leasable(400), caps.leasable(600), caps.per_rollback) == (500, 100, 0, 1_000)
    tight = Caps(floor_per_hub=900, lease_cap=1_000, doubt_cap_per_day=200)
    assert (tight.leasable(), tight.per_rollback) == (0, 1_100)
    assert (Caps().leasable(5), Caps().per_rollback) == (LEASE_CAP - 5, LEASE_CAP)
    assert (caps.at_most(700).lease_cap, caps.at_most(2_000).lease_cap, Caps().at_most(5).lease_cap) == (700, 1_000, 5)


def test_of_several_documents_the_highest_of_each_term_counts():
    first = Caps(floor_per_hub=300, lease_cap=1_000, top_up_cap=50, doubt_cap_per_day=200)
    second = Caps(floor_per_hub=100, lease_cap=2_000, top_up_cap=40, doubt_cap_per_day=400)
    assert terms_of("hall", [first, second]) == HubTerms("hall", 300, 2_000, 50, 400)
    assert terms_of("hall", [first, Caps(lease_cap=5)]) == HubTerms("hall", 300, 1_000, TOP_UP_CAP, 200)
    assert terms_of("hall", []) == HubTerms("hall", 0, LEASE_CAP, TOP_UP_CAP, 0)


@given(hubs, st.integers(0, 9), st.integers(1, 30))
def test_no_hub_lowers_the_bound(terms, rollbacks, days):
    one = exposure("CNY", terms, rollbacks=rollbacks, days=days)
    more = exposure("CNY", [*terms, HubTerms("new", 1, 2, 3, 4)], rollbacks=rollbacks, days=days)
    assert more.honest == one.honest + 1 + 4 * days
    assert more.rollback_bound == one.rollback_bound + 2 * rollbacks
    assert more.topup_bound == one.topup_bound + 3 * max(rollbacks, 1)


def test_what_guests_brought_in_is_lost_with_each_disk_and_with_a_hub_that_is_lost():
    hub = hub_terms("hall", RiskDocument(1, top_up_cap=1_000))
    found = [exposure("CNY", [hub, hub], rollbacks=rollbacks).topup_bound for rollbacks in (0, 1, 3)]
    assert found == [2_000, 2_000, 6_000]


def test_every_entry_type_names_the_terms_it_can_raise():
    assert set(TERMS) == set(VERSIONS)
    assert TERMS[Held] == {Term.FLOOR}
    assert Term.DOUBT in TERMS[Voided]
    assert Cause.POLICY in Cause
    assert set(Term) == set().union(*TERMS.values())
