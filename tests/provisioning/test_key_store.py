"""The file backend keeps, warns, and never overwrites."""

import msgspec
import pytest

from cloud_sync.identity import IdentityError, load_identity, load_office
from provisioning.identity import enroll_hub, make_office
from provisioning.key_store import FileKeyStore

OFFICE = make_office(bytes(16))
HUB = enroll_hub(OFFICE, hub_id=bytes(16), venue_id=bytes(16), epoch=1, broker_host="b", broker_port=1)


def test_files_are_kept_and_the_person_is_warned(tmp_path):
    said = []
    FileKeyStore(tmp_path / "office", warn=said.append).keep_office(OFFICE)
    FileKeyStore(tmp_path / "hub", warn=said.append).keep_hub(HUB)
    assert load_office(tmp_path / "office") == msgspec.structs.replace(OFFICE, folder=tmp_path / "office")
    assert load_identity(tmp_path / "hub") == HUB
    assert [f"whoever copies {tmp_path / name} is this hub or this office" in said[number]
            for number, name in enumerate(("office", "hub"))] == [True, True]  # fmt: skip


def test_a_folder_with_keys_is_left_alone(tmp_path):
    store = FileKeyStore(tmp_path, warn=str)
    store.keep_hub(HUB)
    with pytest.raises(IdentityError, match="choose an empty folder"):
        store.keep_hub(HUB)
