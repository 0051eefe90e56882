"""docs/wire lists the fields in order: the pages and the structs say the same."""

import re
from pathlib import Path
from typing import get_args

from cloud_sync.compression import WINDOW_LOG
from cloud_sync.protocol import batcher, envelope, messages
from cloud_sync.upload_sealing import BATCH_RECORDS
from payment_core import journal, telemetry
from payment_core.credential import ListRow

DOCS = Path(__file__).resolve().parents[3] / "docs" / "wire"
EHB1 = (DOCS / "ehb1.md").read_text()
ESM1 = re.sub(r"\s+", " ", (DOCS / "esm1.md").read_text())


def test_every_entry_type_is_listed_with_its_fields():
    for kind in journal.VERSIONS:
        number = kind.__struct_config__.tag
        fields = ", ".join(name for name in kind.__struct_fields__ if name not in {"version", "header"})
        assert f"| {number} | {kind.__name__} | {fields} |" in EHB1
    assert "The header is an array too: " + ", ".join(journal.Header.__struct_fields__) in EHB1


def test_every_record_of_telemetry_is_listed_with_its_fields():
    for kind in telemetry.VERSIONS:
        fields = ", ".join(name for name in kind.__struct_fields__ if name not in {"version", "at_ms"})
        assert f"| {kind.number()} | {kind.__name__} | {fields} |" in EHB1
    assert "`[" + ", ".join(telemetry.DaySum.__struct_fields__) + "]`" in EHB1


def test_every_message_body_is_listed_with_its_fields():
    for body in (messages.Receipt, messages.Document, messages.CredentialList):
        assert ", ".join(body.__struct_fields__) in ESM1
    assert "[" + ", ".join(ListRow.__struct_fields__).replace("class_", "class") + "]" in ESM1
    hello = ", ".join(messages.Hello.__struct_fields__).replace("versions", "versions [[name, version]]")
    assert hello in ESM1
    assert "[[" + ", ".join(messages.Grant.__struct_fields__) + "]]" in ESM1
    assert "[1, " + ", ".join(messages.LeaseRequest.__struct_fields__) + "]" in ESM1
    key = "[[" + ", ".join(messages.PeerKey.__struct_fields__) + "]]"
    assert ", ".join(messages.Trust.__struct_fields__) + " " + key in ESM1
    orders = (messages.Recall, messages.CloseOrder, messages.Elsewhere)
    for body in (*get_args(messages.AskBody), *get_args(messages.VoucherBody), *orders):
        assert f"[{body.__struct_config__.tag}, " + ", ".join(body.__struct_fields__) + "]" in ESM1


def test_the_pages_example_of_a_journal_is_one():
    lines = re.search(r"```\n(98[0-9a-f\n]+)```", EHB1).group(1).split("\n9a")
    records = [bytes.fromhex(text.replace("\n", "")) for text in (lines[0], "9a" + lines[1])]
    entries = batcher.read_entries(records, first_record=1, epoch=1)
    assert [type(entry) for entry in entries] == [journal.EpochOpened, journal.CoinBooked]
    assert entries[0] == journal.EpochOpened(1, entries[0].header, 1)


def test_the_page_says_the_limits():
    assert f"{batcher.BODY_BYTES:,} bytes" in EHB1
    assert f"{batcher.MAX_RECORD_BYTES:,} bytes" in EHB1
    assert f"{envelope.MAX_BATCH_BYTES:,} bytes" in EHB1
    assert f"batches of {BATCH_RECORDS}" in EHB1
    assert 1 << WINDOW_LOG == 256 * 1024
    for reason in (*get_args(envelope.RejectReason), *get_args(batcher.RefuseReason)):
        assert f"`{reason}`" in EHB1, reason
