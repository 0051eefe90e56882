"""The ledger's records as the page has them: what the product books, the second reader books, and no more."""

import re

import msgpack
import pytest

from cloud_sync.protocol.batcher import read_entries
from payment_core.telemetry import known_facts
from tests.support import independent_entries as entries
from tests.support.tree import ROOT
from tests.vectors import make_independent_vectors as theirs

SAMPLES = {"i": 1, "I": None, "b": bytes(16), "B": None, "s": "a", "S": "b", "t": True, "c": 3, "o": 2, "q": 1, "a": 2}
SAMPLES |= {"p": [["CNY", 1, None, b""]], "l": [[bytes(16), 1, 2, None, "a", "b", 3]], "L": [b"", 1, 2], "m": ["x"]}
SAMPLES |= {"e": 3, "n": 1, "z": -1, "w": "a", "r": [[10, 2, "cash", "CNY", -1, 1]]}
ODD = [None, True, 0, -1, 4, 5, 7, 8, 128, 2**64 - 1, -(2**63), "", "a" * 32, b"", bytes(8), [], [1], ["a"], [[]]]
ODD += [[["CNY", 1]], [["CNY"]], [["CNY", 1, 2, b"", 1]], [b"", 1, 2, 3, "a", "b", 4], [b"", 1], [[b"", 1, 2]]]


def sample(kind):
    head = [1 if kind == 1 else 2, *(SAMPLES[letter] for letter in entries.HEAD.replace("-", "")[1:])]
    return [kind, 1, head, *(SAMPLES[letter] for letter in entries.ENTRIES[kind].replace("-", ""))]


def variants(kind):
    """Yield an entry with each field as something else, and cut at each place."""
    whole = sample(kind)
    head = whole[2]
    yield from (whole[:i] for i in range(3, len(whole) + 1))
    yield [*whole, None]
    yield from ([*whole[:i], odd, *whole[i + 1 :]] for i in range(len(whole)) for odd in ODD)
    yield from ([kind, 1, [*head[:i], odd, *head[i + 1 :]], *whole[3:]] for i in range(len(head)) for odd in ODD)
    yield from ([kind, 1, head[:i], *whole[3:]] for i in range(len(head)))


def both_say_of(record, seq):
    known = not isinstance(read_entries([record], first_record=seq, epoch=1), str)
    assert known == entries.is_bookable(record, seq=seq, epoch=1), record.hex()
    return known


def test_both_book_each_type_of_a_hub_and_not_one_field_more():
    for kind in entries.ENTRIES:
        seq = 1 if kind == 1 else 2
        assert both_say_of(msgpack.packb(sample(kind)), seq)
        assert not both_say_of(msgpack.packb([*sample(kind), None]), seq)
        assert not both_say_of(msgpack.packb(sample(kind)), seq + 1)


@pytest.mark.long
def test_both_book_the_same_forms_of_each_type():
    for kind in entries.ENTRIES:
        for variant in variants(kind):
            both_say_of(msgpack.packb(variant), 1 if kind == 1 else 2)


def facts():
    """Yield telemetry of each type: whole, cut, longer, and with each field as something else."""
    odd = [*ODD, 2**53 - 1, 2**53, "a" * 64, "a" * 65, "ü" * 64, [[10, 99, "a", "b", -(2**53) + 1, 0]]]
    odd += [[[10, 2, "a", "b", amount, 1]] for amount in (-(2**53), 2**53, None)]
    odd += [[[10, 2, "a", "b", 1, 1]] * many for many in (0, 1_024, 1_025)]
    for kind, form in entries.TELEMETRY.items():
        whole = [kind, 1, *(SAMPLES[letter] for letter in form.replace("-", ""))]
        yield from (whole[:i] for i in range(len(whole) + 1))
        yield [*whole, 0]
        yield from ([*whole[:i], each, *whole[i + 1 :]] for i in range(len(whole)) for each in odd)


@pytest.mark.long
def test_both_understand_the_same_telemetry():
    for fact in map(msgpack.packb, facts()):
        known, passed_over = known_facts([fact])
        assert entries.is_told(fact) == (len(known) == 1) == (passed_over == 0), fact.hex()


def test_the_product_understands_the_second_writers_telemetry():
    told = theirs.told(5)
    assert [entries.is_told(fact) for fact in told] == [True, True, True, True, False]
    known, passed_over = known_facts(told)
    assert (len(known), passed_over) == (4, 1)


NOT_CANONICAL = [
    "ca00000000",
    "d005",
    "d0fb",
    "cc01",
    "d40000",
    "80",
    "819000",
    "d6ff00000000",
    "d90161",
    "dc0000",
    "c1",
]


@pytest.mark.parametrize("last", NOT_CANONICAL)
def test_a_record_that_is_not_canonical_is_booked_by_neither(last):
    record = msgpack.packb(sample(10))
    assert both_say_of(record, 2)
    assert not both_say_of(record[:-1] + bytes.fromhex(last), 2)
    assert not both_say_of(record + bytes.fromhex(last), 2)


def test_the_pages_forms_are_those_of_the_second_reader():
    page = (ROOT / "docs" / "wire" / "ehb1.md").read_text(encoding="utf-8")
    assert " ".join(re.findall(r"\b\d+ [a-zA-Z]*-[a-zA-Z]*(?= |\n)", page.split("**Forms**")[1])) == entries.FORMS
    fields = dict(
        re.findall(r"^\| (\d+) \| [A-Z]\w+ \| (.+) \|$", page.split("## Telemetry", maxsplit=1)[0], re.MULTILINE)
    )
    for kind, form in entries.ENTRIES.items():
        assert len(form) - 1 == fields[str(kind)].count(",") + 1, kind
