"""Disks of their own for a test: image files on loop devices, small ones to fill, and one whose power can be cut."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

MIB = 1 << 20
GROUND_MIB = 512


def _run(*words: str | Path) -> None:
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"{words}: {done.stderr}"


def require_disks(*tools: str) -> None:
    """Skip where no disk can be made: only root may mount, and a container may not even then."""
    if os.geteuid() != 0:
        pytest.skip("hardware: a disk of its own can only be mounted by root")
    for tool in ("losetup", "mkfs.ext4", *tools):
        if shutil.which(tool, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin") is None:
            pytest.skip(f"hardware: {tool} is not installed here")
    if not Path("/dev/loop-control").exists():
        pytest.skip("hardware: no loop devices here")


@contextlib.contextmanager
def mounted(image: Path, place: Path, *options: str) -> Iterator[Path]:
    """Mount an image file; umount lazily, for a killed program may still be letting go of it."""
    place.mkdir(parents=True, exist_ok=True)
    _run("mount", "-o", ",".join(("loop", *options)), image, place)
    try:
        yield place
    finally:
        _run("umount", "-l", place)


def make_ext4(image: Path, mib: int) -> None:
    """Make an image with an empty ext4, all of it for anybody, with blocks of 4 KiB as on a card.

    A small disk would get smaller ones, and SQLite's shared memory would then meet holes when the disk is full.
    """
    with image.open("wb") as file:
        file.truncate(mib * MIB)
    _run("mkfs.ext4", "-q", "-F", "-m", "0", "-b", "4096", image)


@contextlib.contextmanager
def small_ext4(folder: Path, mib: int) -> Iterator[Path]:
    """A small ext4, mounted at FOLDER/disk."""
    require_disks()
    image = folder / "disk.img"
    make_ext4(image, mib)
    with mounted(image, folder / "disk", "noatime") as place:
        yield place


class CutDisk:
    """An ext4 whose image lies on a file system that can copy a file in one instant: that is a power cut."""

    def __init__(self, ground: Path) -> None:
        self._ground = ground
        self.image = ground / "disk.img"
        self.place = ground.with_name("disk")
        self._cuts = 0

    def cut(self) -> Path:
        """Return the image as a power cut in this instant leaves it."""
        self._cuts += 1
        copy = self._ground / f"cut-{self._cuts}.img"
        _run("cp", "--reflink=always", self.image, copy)
        return copy

    @contextlib.contextmanager
    def after(self, cut: Path) -> Iterator[Path]:
        """Mount what a cut left, as the next boot does: the journal is replayed."""
        with mounted(cut, self._ground.with_name("after"), "noatime") as place:
            yield place
        cut.unlink()


@contextlib.contextmanager
def cut_disk(folder: Path, mib: int = 48) -> Iterator[CutDisk]:
    """An ext4 to be cut: on an XFS, for that copies by reference, whatever this machine's own disk is."""
    require_disks("mkfs.xfs")
    ground_image = folder / "ground.img"
    with ground_image.open("wb") as file:
        file.truncate(GROUND_MIB * MIB)
    _run("mkfs.xfs", "-q", "-f", "-m", "reflink=1", ground_image)
    with mounted(ground_image, folder / "ground") as ground:
        disk = CutDisk(ground)
        make_ext4(disk.image, mib)
        with mounted(disk.image, disk.place, "noatime"):
            yield disk
