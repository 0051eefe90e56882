"""Every token has keys of its own, made from a master that lies in the office's folder alone."""

import pytest

from cloud_sync.identity import IdentityError
from provisioning.token_keys import TokenKeys, diversified, load_token_keys, make_token_keys

UID = bytes.fromhex("04782E21801D80")


def test_the_makers_example():
    """NXP AN10922, "AES-128 key diversification"."""
    master, label = bytes.fromhex("00112233445566778899AABBCCDDEEFF"), bytes.fromhex("3042F54E585020416275")
    assert diversified(master, UID, label).hex().upper() == "A8DD63A3B89D54B37CA802473FDA9175"


def test_no_two_keys_are_the_same():
    keys = TokenKeys(bytes(32))
    uids = [b"\x04" + number.to_bytes(6, "big") for number in range(200)]
    made = [key for uid in uids for key in keys.ntag424(uid)]
    assert len(set(made)) == len(made) == 1_000
    assert len({keys.ntag21x(uid).password + keys.ntag21x(uid).pack for uid in uids}) == 200
    assert TokenKeys(bytes(31) + b"\x01").ntag424(UID) != keys.ntag424(UID)
    assert (len(keys.ntag21x(UID).password), len(keys.ntag21x(UID).pack)) == (4, 2)
    assert repr(keys.ntag21x(UID)) == "Password()"


@pytest.mark.parametrize(("uid", "label"), [(UID[:4], bytes(10)), (UID, bytes(8)), (UID, bytes(25))])
def test_what_the_rule_does_not_cover_is_refused(uid, label):
    with pytest.raises(ValueError, match="7 bytes and labels of 9 to 24"):
        diversified(bytes(32), uid, label)


def test_the_master_is_made_once_and_is_its_owners(tmp_path):
    with pytest.raises(IdentityError, match=r"tokens\.key"):
        load_token_keys(tmp_path)
    made = make_token_keys(tmp_path)
    assert (tmp_path / "tokens.key").stat().st_mode & 0o077 == 0
    assert make_token_keys(tmp_path).ntag424(UID) == load_token_keys(tmp_path).ntag424(UID) == made.ntag424(UID)
