"""The demo's button that makes a doubt, from outside: pressed on the office's page, settled at the hall's desk."""

import http.client
import json
import re
import signal
import subprocess
import sys
import uuid
from urllib.parse import urlsplit

import pytest

from tests.support.waiting import eventually

pytestmark = pytest.mark.slow
DEADLINE_S = 120
TRIES = 4
"""A machine may be faster than the plug; the button says so, and is pressed again."""


def post(address: str, body: str = "") -> str:
    at = urlsplit(address)
    link = http.client.HTTPConnection(at.netloc, timeout=DEADLINE_S)
    headers = {"Accept-Language": "en", "Origin": f"http://{at.netloc}"}
    try:
        link.request("POST", f"{at.path}?{at.query}", body, headers)
        return link.getresponse().read().decode()
    finally:
        link.close()


class Attendant:
    """Somebody at a desk: `person` is what the demo says of him, name and PIN."""

    def __init__(self, desk: str, person: str) -> None:
        self.desk = desk
        found = re.fullmatch(r"(\w+), PIN (\d+)", person)
        assert found is not None
        self.staff, self.pin = found.groups()

    def act(self, **act: object) -> dict[str, object]:
        wish = {"id": str(uuid.uuid4()), "staff": self.staff, "pin": self.pin, "act": act}
        return json.loads(post(f"{self.desk}/act?lang=en", json.dumps(wish)))

    def doubts(self) -> set[str]:
        listed = self.act(act="look", what="open")
        assert listed["outcome"] == "done", listed
        return set(re.findall(r'is-in_doubt" data-authorization="([0-9a-f-]+)"', str(listed["html"])))


def test_a_doubt_of_the_button_is_listed_at_the_desk_and_settled_there(tmp_path):
    folder, log = tmp_path / "kept", tmp_path / "said"
    demo = [sys.executable, "-m", "venuehub", "demo", "--headless", "--seconds", "120", "--keep", str(folder)]
    with log.open("w") as said, subprocess.Popen(demo, stdout=said, stderr=said) as running:
        try:
            eventually(lambda: "device_bus" in log.read_text(), DEADLINE_S)
            at = dict(re.findall(r"^  (\w+) +(\S.*)$", log.read_text(), flags=re.MULTILINE))
            answer = ""
            for _ in range(TRIES):
                answer = post(f"{at['office']}demo/doubt")
                if "settle it at" in answer:
                    break
            assert f"settle it at {at['desk']} as" in answer
            attendant = Attendant(at["desk"], at["desk_person"])
            (doubt,) = attendant.doubts()
            settled = attendant.act(act="settle_doubt", authorization=doubt, delivered=False, note="stood still")
            assert settled["outcome"] == "done", settled
            assert attendant.doubts() == set()
        finally:
            running.send_signal(signal.SIGINT)
            running.wait(DEADLINE_S)
    assert "Traceback" not in log.read_text()
