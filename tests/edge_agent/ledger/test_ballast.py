"""The ballast is really there, goes overboard at once, and comes back only where there is room for it and more."""

import os
from types import SimpleNamespace

import pytest

from edge_agent.ledger import ballast as room
from edge_agent.ledger.ballast import BALLAST_BYTES, MARGIN_BYTES, Ballast


@pytest.fixture(name="ballast")
def ballast_fixture(tmp_path):
    return Ballast(tmp_path / "ballast")


def test_its_space_is_on_the_disk(ballast, tmp_path):
    assert not ballast.held
    assert ballast.hold()
    found = (tmp_path / "ballast").stat()
    assert found.st_size == BALLAST_BYTES <= found.st_blocks * 512


def test_a_file_with_a_hole_is_no_ballast(ballast, tmp_path):
    with (tmp_path / "ballast").open("wb") as file:
        file.truncate(BALLAST_BYTES)
    assert not ballast.held
    assert ballast.hold()


def test_overboard_twice_is_overboard(ballast, tmp_path):
    ballast.hold()
    ballast.release()
    ballast.release()
    assert not ballast.held
    assert list(tmp_path.iterdir()) == []


def test_it_is_not_made_where_nothing_would_be_left(ballast, monkeypatch):
    free = BALLAST_BYTES + MARGIN_BYTES - 1
    monkeypatch.setattr(room.os, "statvfs", lambda _path: SimpleNamespace(f_bavail=free, f_frsize=1))
    assert not ballast.hold()


def test_what_could_be_made_in_part_only_is_given_back(ballast, tmp_path, monkeypatch):
    def full(file, _offset, _length):
        os.write(file, b"some of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(room.os, "posix_fallocate", full)
    assert not ballast.hold()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_gone_is_no_fault(tmp_path):
    ballast = Ballast(tmp_path / "gone" / "ballast")
    assert not ballast.hold()
    ballast.release()
