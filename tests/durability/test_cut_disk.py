"""DUR-4: the power goes while a real ext4 is written to; the next boot finds everything that was acknowledged.

The disk is an image file that is copied in one instant while the till sells; the copy is mounted and judged.
"""

import random
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from tests.support.disks import CutDisk, cut_disk
from tests.support.sale_child import furnish
from tests.support.sale_judge import broken_promises_after
from tests.support.sale_runs import words
from tests.support.sizes import count
from tests.support.tree import ROOT
from tests.support.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.root]
CUTS = 300
CUTS_OF_ONE_LEDGER = 5
LINES = (1, 1_500)
"""How much further the till is at the next cut: from the very next step to a few checkpoints."""
SYNCHRONOUS = "synchronous-normal"


class Seller:
    """A till that sells as fast as it can; `said` grows by itself."""

    def __init__(self, folder: Path, run: int, mutant: str) -> None:
        self.said: list[str] = []
        self._process = subprocess.Popen(words(folder, run, 0, mutant), cwd=ROOT, stdout=subprocess.PIPE, text=True)
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.said.append(line.strip())

    def until(self, lines: int) -> None:
        eventually(lambda: len(self.said) >= lines or self._process.poll() is not None)
        assert self._process.poll() is None, self.said[-3:]

    def end(self) -> None:
        self._process.kill()
        self._process.wait(10)
        self._listener.join(10)
        assert self._process.stdout is not None
        self._process.stdout.close()


def cut_while_selling(disk: CutDisk, name: str, cuts: int, dice: random.Random, mutant: str) -> list[str]:
    """Cut the power several times while one ledger is written; return what the next boots did not find."""
    seller, taken, lines = Seller(disk.place / name, 1, mutant), [], 0
    try:
        for _ in range(cuts):
            lines += dice.randint(*LINES)
            seller.until(lines)
            said = list(seller.said)
            taken.append((disk.cut(), said))
    finally:
        seller.end()
    broken = []
    for cut, said in taken:
        with disk.after(cut) as place:
            broken += broken_promises_after(place / name, said, run=1)
    return broken


def cut_again_and_again(folder: Path, cuts: int, *, mutant: str = "") -> list[str]:
    dice, broken = random.Random(4), []
    with cut_disk(folder) as disk:
        for first in range(0, cuts, CUTS_OF_ONE_LEDGER):
            name = f"ledger-{first}"
            furnish(disk.place / name)
            subprocess.run(["sync", "-f", disk.place], check=True)
            broken += cut_while_selling(disk, name, min(CUTS_OF_ONE_LEDGER, cuts - first), dice, mutant)
            shutil.rmtree(disk.place / name)
            if broken:
                return [f"cuts from {first}: {promise}" for promise in broken]
    return []


def test_no_power_cut_on_a_real_disk_loses_what_was_acknowledged(tmp_path):
    assert cut_again_and_again(tmp_path, count(CUTS)) == []


def test_a_build_that_does_not_sync_each_commit_is_caught(tmp_path):
    broken = cut_again_and_again(tmp_path, 30, mutant=SYNCHRONOUS)
    assert any("was acknowledged, the journal ends at" in promise for promise in broken), broken
