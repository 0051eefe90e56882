import os

import pytest

from firmware_bridge.preallocated import LogFileError, open_preallocated, read_at, write_at


def test_a_new_file_is_whole_and_zero_and_a_short_one_is_filled(tmp_path):
    path = tmp_path / "a.log"
    descriptor = open_preallocated(path, size_bytes=1_000)
    assert read_at(descriptor, offset=0, length=2_000) == bytes(1_000)
    write_at(descriptor, b"abc", offset=10)
    os.close(descriptor)
    os.truncate(path, 12)
    descriptor = open_preallocated(path, size_bytes=1_000)
    assert read_at(descriptor, offset=10, length=4) == b"ab\0\0"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.log"]
    os.close(descriptor)


def test_a_full_disk_and_a_second_user_are_named(tmp_path):
    full = tmp_path / "full.log"
    full.touch()
    with pytest.raises(LogFileError, match="there is no room for"):
        open_preallocated(full, size_bytes=1 << 62)
    path = tmp_path / "a.log"
    descriptor = open_preallocated(path, size_bytes=10)
    with pytest.raises(LogFileError, match="used by another bridge"):
        open_preallocated(path, size_bytes=10)
    os.close(descriptor)
