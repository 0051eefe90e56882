import pytest

from firmware_bridge.identities import Identities
from firmware_bridge.preallocated import LogFileError


def test_the_first_number_that_is_seen_is_kept_and_a_named_one_goes_before_it(tmp_path):
    file = tmp_path / "identities.json"
    known = Identities(file, named={})
    assert known.expected("coins") == ""
    known.seen("coins", "17")
    known.seen("reader", "x" * 99)
    again = Identities(file, named={"reader": "18"})
    assert (again.expected("coins"), again.expected("reader"), again.expected("other")) == ("17", "18", "")
    assert Identities(file, named={}).expected("reader") == "x" * 64
    again.seen("coins", "19")
    assert Identities(file, named={"coins": ""}).expected("coins") == "19"


def test_a_device_that_a_person_replaced_is_known_as_such_until_it_was_seen(tmp_path):
    known = Identities(tmp_path / "identities.json", named={"coins": "18", "new": "1"})
    assert not known.replaced("new")
    known.seen("coins", "17")
    assert known.replaced("coins")
    known.seen("coins", "18")
    assert not known.replaced("coins")
    assert not Identities(tmp_path / "identities.json", named={}).replaced("coins")


def test_a_file_that_cannot_be_read_is_named_with_its_remedy(tmp_path):
    (tmp_path / "identities.json").write_text("{broken")
    with pytest.raises(LogFileError, match=r"identities.json: cannot be read .*remove it"):
        Identities(tmp_path / "identities.json", named={})
