"""Documents: read strictly, told with their key, kept under rising versions."""

import msgspec
import pytest

from back_office.fleet.documents import (
    DocumentError,
    before_and_with,
    effective_ms,
    fingerprint,
    keep_document,
    read_document,
)
from back_office.fleet.mail import Mail
from back_office.store import papers, places
from back_office.store.tables import DOCUMENTS
from back_office.store.transaction import insert_into
from cloud_sync.downlink import Downlink
from payment_core.policy import DevicesDocument, Lane, RiskDocument
from tests.back_office.world import HUB, KEYS, TENANT, leaves

DEVICES = """
[[lanes]]
id = "racer-2"
machine = "racer-2"
zone = "hall"
reader = "reader-1"
output = "coin-line-1"
"""


@pytest.fixture
def write(tmp_path):
    def put(name, text):
        file = tmp_path / name
        file.write_text(text, encoding="utf-8")
        return file

    return put


def test_toml_and_json(write):
    wanted = DevicesDocument(0, (Lane("racer-2", "racer-2", "hall", "reader-1", "coin-line-1"),))
    assert read_document("devices", write("d.toml", DEVICES)) == wanted
    assert read_document("risk", write("r.json", '{"version": 4, "hold_ms": 900}')) == RiskDocument(4, hold_ms=900)


@pytest.mark.parametrize(
    ("name", "file", "text", "said"),
    [
        (
            "device",
            "d.toml",
            DEVICES,
            "there is no document 'device': choose one of calendar, devices, prices, risk, staff",
        ),
        ("devices", "d.toml", DEVICES.replace("zone", "zome"), r"d\.toml: as document 'devices': .*zome"),
        ("devices", "d.toml", "[[lanes]", r"d\.toml: as document 'devices'"),
        (
            "risk",
            "r.json",
            '{"hold_ms": "soon"}',
            r"r\.json: as document 'risk': hold_ms = 'soon': write a whole number",
        ),
        ("risk", "r.json", "[1]", r"r\.json: as document 'risk'"),
        ("risk", "r.json", "[" * 6_000, r"r\.json: as document 'risk': .*not a table in JSON"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(write, name, file, text, said):
    with pytest.raises(DocumentError, match=said):
        read_document(name, write(file, text))


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(DocumentError, match=r"none\.toml: as document 'risk': there is no such file"):
        read_document("risk", tmp_path / "none.toml")


def test_a_calendar_is_kept_with_days_that_a_hub_can_read(office, write):
    calendar = read_document("calendar", write("c.toml", '[days]\n2026-10-01 = "holiday"'))
    with office.store.writing() as tx:
        kept = keep_document(tx, TENANT, HUB, "calendar", calendar, now_ms=1)
    assert b'"days":{"2026-10-01":"holiday"}' in kept.body


def test_versions_rise_and_the_content_says_them(office):
    def keep(content):
        with office.store.writing() as tx:
            return keep_document(tx, TENANT, HUB, "risk", content, now_ms=1)

    first = keep(RiskDocument(0, hold_ms=900))
    assert (first.version, b'"version":1' in first.body) == (1, True)
    assert keep(RiskDocument(0, hold_ms=900)) == first
    assert keep(RiskDocument(7, hold_ms=901)).version == 2
    back = keep(RiskDocument(0, hold_ms=900))
    assert (back.version, b'"version":3' in back.body) == (3, True)
    assert len(fingerprint(back.body)) == 32
    with office.store.reading() as tx:
        assert {held.name: held.version for held in papers.documents(tx, TENANT, HUB)}["risk"] == 3


PRICES = 'unit = "CNY"\neffective_at = {}\n[[rules]]\nprice = [[{}, "CNY"]]'


@pytest.mark.parametrize(
    ("when", "ms"),
    [("2026-12-01T06:00:00+08:00", 1_796_076_000_000), ("2026-11-30T22:00:00Z", 1_796_076_000_000)],
)
def test_a_document_says_from_when_on_it_counts(office, write, when, ms):
    content = read_document("prices", write("p.toml", PRICES.format(when, 200)))
    with office.store.writing() as tx:
        kept = keep_document(tx, TENANT, HUB, "prices", content, now_ms=1)
    assert effective_ms(kept.body) == ms
    assert effective_ms(b'{"version": 3}') == 0


def test_a_moment_without_an_offset_is_refused(write):
    with pytest.raises(DocumentError, match=r"effective_at = 2026-12-01T06:00:00: write it with its offset from UTC"):
        read_document("prices", write("p.toml", PRICES.format("2026-12-01T06:00:00", 200)))


@pytest.mark.parametrize(
    ("days", "stand"),
    [
        ([0], [1]),
        ([0, 0], [2]),
        ([0, 2], [1, 2]),
        ([0, 2, 1], [1, 3]),  # the third overtakes the second
        ([0, 1, 2], [1, 2, 3]),
        ([0, 2, 0], [3]),
        ([1, 1], [2]),
    ],
)
def test_what_counts_until_the_newest_does_goes_before_it(days, stand):
    versions = [
        papers.Document(HUB, "prices", number, b'{"effective_at":"2026-12-%02dT06:00:00Z"}' % day if day else b"{}", 0)
        for number, day in enumerate(days, start=1)
    ]
    assert [version.version for version in before_and_with(versions)] == stand


def test_a_hub_that_was_away_gets_what_counts_until_the_newest_does(office, write):
    moments = ("2026-01-01T06:00:00Z", "2026-12-02T06:00:00Z", "2026-12-01T06:00:00Z", "2026-12-03T06:00:00Z")
    for minor, when in enumerate(moments, start=1):
        content = read_document("prices", write("p.toml", PRICES.format(when, minor)))
        with office.store.writing() as tx:
            keep_document(tx, TENANT, HUB, "prices", content, now_ms=1)
    identity = office.hub.identity
    with office.store.reading() as tx:
        hub = next(hub for hub in places.hubs(tx, TENANT) if hub.hub_id == HUB)
        letters = [letter for letter in Mail(KEYS).documents(tx, hub, have={}) if letter.topic.endswith("/prices")]
        assert len(list(Mail(KEYS).documents(tx, hub, have={"prices": 4, "trust": 99}))) == 0
    downlink = Downlink(hub_id=HUB, tenant_id=TENANT, opener=identity.opener, trust=identity.trust, versions={})
    got = []
    for letter in letters:
        (event,) = downlink.on_message(letter.topic, letter.payload)
        downlink.in_effect(event.body.name, event.body.version)
        got.append((event.body.version, event.body.effective_at_ms))
    assert got == [(1, 1_767_247_200_000), (3, 1_796_104_800_000), (4, 1_796_277_600_000)]
    assert letters[-1].retain


def test_a_document_that_is_kept_by_a_clock_that_was_set_back_is_told(office):
    office.worker.on_message(*office.hub.hello())
    for number, now_ms in enumerate((office.now_ms, office.now_ms - 90_000, office.now_ms - 90_000), start=1):
        with office.store.writing() as tx:
            keep_document(tx, TENANT, HUB, "risk", RiskDocument(0, hold_ms=number), now_ms=now_ms)
        assert leaves(office.worker.tick()) == ["document/risk"]
        assert office.worker.tick() == []


def test_a_build_that_believes_that_clock_is_caught(office, monkeypatch):
    monkeypatch.setattr(papers, "add_document", add_as_it_says)
    with pytest.raises(AssertionError):
        test_a_document_that_is_kept_by_a_clock_that_was_set_back_is_told(office)


def add_as_it_says(tx, tenant_id, document):
    row = {"tenant_id": tenant_id, **msgspec.structs.asdict(document)}
    tx.execute(insert_into(DOCUMENTS), [row])
