"""Identity folders: whole, private, never overwritten, and errors that name file and remedy."""

import json
import stat

import msgspec
import pytest

from cloud_sync.identity import IdentityError, load_identity, load_office, save_identity, save_office
from tests.cloud_sync.world import HUB, OFFICE, hub_identity

IDENTITY = hub_identity()


def test_a_hub_saves_and_loads(tmp_path):
    save_identity(IDENTITY, tmp_path / "hub")
    assert load_identity(tmp_path / "hub") == IDENTITY


def test_an_office_saves_and_loads_with_all_its_receive_keys(tmp_path):
    keys = OFFICE.__class__(
        tenant_id=OFFICE.tenant_id,
        trust_seed=OFFICE.trust_seed,
        sign_seed=OFFICE.sign_seed,
        receive_privates=(bytes([8]) * 32, bytes([3]) * 32),
        pepper=OFFICE.pepper,
    )
    save_office(keys, tmp_path / "office")
    folder = tmp_path / "office"
    assert load_office(folder) == msgspec.structs.replace(keys, folder=folder)


def test_only_the_owner_may_read_and_no_secret_is_in_the_public_file(tmp_path):
    save_identity(IDENTITY, tmp_path / "hub")
    assert stat.S_IMODE((tmp_path / "hub").stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "hub").iterdir()}
    assert modes == dict.fromkeys(("identity.json", "sign.key", "receive.key", "pepper.key"), 0o600)
    public = (tmp_path / "hub" / "identity.json").read_text()
    assert json.loads(public)["hub_id"] == "019399a0-0000-7000-8000-000000000001"
    for secret in (IDENTITY.sign_seed, IDENTITY.receive_private, IDENTITY.pepper):
        assert secret.hex() not in public
        assert secret.hex() not in repr(IDENTITY)


def test_keys_are_never_overwritten(tmp_path):
    save_identity(IDENTITY, tmp_path)
    with pytest.raises(IdentityError, match="keys are never overwritten"):
        save_identity(hub_identity(HUB, seed=50), tmp_path)
    assert load_identity(tmp_path) == IDENTITY


def break_json(folder):
    (folder / "identity.json").write_text("{")


def break_text(folder):
    (folder / "identity.json").write_bytes(b'{"hub_id": "\xff"}')


def nest_too_deep(folder):
    (folder / "identity.json").write_text('{"epohc": ' * 100_000)


def break_id(folder):
    text = (folder / "identity.json").read_text()
    (folder / "identity.json").write_text(text.replace("019399a0-", "019399A0-"))


def add_setting(folder):
    text = (folder / "identity.json").read_text()
    (folder / "identity.json").write_text(text.replace('"epoch"', '"epohc": 1, "epoch"'))


def weaken_key(folder):
    text = (folder / "identity.json").read_text()
    (folder / "identity.json").write_text(text.replace(IDENTITY.office_trust.hex(), "00" * 32))


def remove_key(folder):
    (folder / "sign.key").unlink()


def shorten_key(folder):
    (folder / "sign.key").write_bytes(b"short")


def open_key(folder):
    (folder / "sign.key").chmod(0o644)


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (break_json, "identity.json: .*venuehub office enroll"),
        (break_text, "identity.json: .*venuehub office enroll"),
        (nest_too_deep, "identity.json: .*venuehub office enroll"),
        (break_id, "identity.json: not a UUID in lower case"),
        (add_setting, "epohc"),
        (weaken_key, "an office key is missing or proves nothing"),
        (remove_key, "sign.key: cannot be read"),
        (shorten_key, "sign.key: a key has 32 bytes, this file has 5"),
        (open_key, "sign.key: others may read this key; chmod 600"),
    ],
)
def test_what_is_wrong_is_named_with_its_remedy(tmp_path, harm, says):
    save_identity(IDENTITY, tmp_path)
    harm(tmp_path)
    with pytest.raises(IdentityError, match=says):
        load_identity(tmp_path)


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(IdentityError, match="enroll the hub"):
        load_identity(tmp_path / "nowhere")
    with pytest.raises(IdentityError, match="venuehub office init"):
        load_office(tmp_path / "nowhere")
