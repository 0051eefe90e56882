"""The shipped files of the office's broker are what our own tools run it with."""

import shutil
import subprocess
import sys

import pytest

from tests.support.tree import ROOT
from venuehub.office.broker import office_access, office_broker

MOSQUITTO = ROOT / "systemd/mosquitto"


def test_the_shipped_files_are_what_our_tools_write():
    assert (MOSQUITTO / "venuehub-office.conf").read_text() == office_broker()
    assert (MOSQUITTO / "venuehub-office.acl").read_text() == office_access("TENANT-ID")


def test_the_office_page_shows_the_shipped_file():
    page = (ROOT / "docs/office.md").read_text()
    settings = [line for line in office_broker().splitlines() if line and not line.startswith("#")]
    assert [line for line in settings if line not in page] == []


DIAL = """
import socket
listening = socket.create_server(("127.0.0.1", 8883), backlog=200)
held = []
try:
    for _ in range(100):
        held.append(socket.create_connection(("127.0.0.1", 8883), timeout=5))
except ConnectionRefusedError:
    pass
print(len(held))
"""


@pytest.mark.root
def test_one_address_gets_64_connections():
    nft = shutil.which("nft", path="/usr/sbin:/sbin:/usr/bin")
    if nft is None:
        pytest.skip("program: nft is not installed")
    rules = ROOT / "systemd/nftables/venuehub-office.nft"
    script = f'ip link set lo up && {nft} -f "{rules}" && "{sys.executable}" -c "$DIAL"'
    done = subprocess.run(
        ["unshare", "--net", "sh", "-c", script], capture_output=True, text=True, timeout=60, check=True,
        env={"DIAL": DIAL, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
    )  # fmt: skip
    assert done.stdout.strip() == "64"
