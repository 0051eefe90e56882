"""docs/api.md is true: its examples are asked of an office that runs as its first lines say."""

import contextlib
import io
import json
import re
import subprocess
import sys

import pytest

from tests.cloud_sync.broker import mosquitto
from tests.support.tree import ROOT
from venuehub.cli import main
from venuehub.demo.brokers import free_port

pytestmark = pytest.mark.slow
PAGE = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
EXAMPLES = [
    line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.replace("\\\n", "").splitlines()
]
PLAIN = "allow_anonymous true\n"


def venuehub(*words):
    told = io.StringIO()
    with contextlib.redirect_stdout(told):
        assert main(["office", *words, "--json"]) == 0
    return json.loads(told.getvalue())


@pytest.fixture
def running(tmp_path):
    """Run an office with one hub, one card with 10.00 and one operator's key; return where, the key and the hub."""
    folder, card = str(tmp_path / "office"), "ntag213:04A1B2C3D4E580"
    venuehub("init", "--dir", folder, "--tenant", "Star Arcade")
    hub = venuehub("enroll", "--dir", folder, "--hub", str(tmp_path / "hub-1"))["hub_id"]
    venuehub("card", "add", "--dir", folder, "--card", card)
    venuehub("topup", "--dir", folder, "--card", card, "--amount", "1000", "--payment-id", "p1")
    key = venuehub("api-key", "add", "--dir", folder, "--name", "page", "--role", "operator", "--by", "ann")["key"]
    port = free_port()
    command = [sys.executable, "-m", "venuehub", "office", "run", "--dir", folder, "--json"]
    with mosquitto(tmp_path, PLAIN) as (broker, _):
        address = ["--broker", f"mqtt://127.0.0.1:{broker}", "--api", f"127.0.0.1:{port}"]
        process = subprocess.Popen([*command, *address], stdout=subprocess.PIPE, text=True)
        assert json.loads(process.stdout.readline())["ready"]
        yield {"API": f"http://127.0.0.1:{port}/api/v1", "KEY": key, "HUB": hub}, folder
        process.terminate()
        assert process.wait(20) == 0
        process.stdout.close()


def asked(line, names):
    command = ["sh", "-c", f"{line} -w '%{{http_code}}'"]
    said = subprocess.run(command, env=names, capture_output=True, text=True, check=True).stdout
    return said[-3:], said[:-3]


def test_every_example_of_the_page_is_answered_and_a_revoked_key_ends(running):
    names, folder = running
    assert len(EXAMPLES) == 10
    for line in EXAMPLES:
        status, body = asked(line, names)
        assert status in {"200", "201"}, (line, body)
    venuehub("api-key", "revoke", "--dir", folder, "--name", "page", "--by", "ann")
    assert asked(EXAMPLES[0], names)[0] == "401"
