"""`venuehub load`: what is refused before anything is done, and where nobody answers."""

import asyncio
import json
import socket

import pytest

from venuehub.cli import main
from venuehub.demo.brokers import free_port
from venuehub.load import run as run_room
from venuehub.load.enrolment import enroll_many, found, seats_of
from venuehub.load.fleet import Fleet, FleetSettings
from venuehub.office.tools import open_office


@pytest.mark.parametrize(
    ("option", "value"),
    [("--minutes", "inf"), ("--minutes", "nan"), ("--minutes", "100000"), ("--outage", "inf"), ("--outage", "nan"),
     ("--plays-per-second", "inf")],
)  # fmt: skip
def test_what_is_no_number_to_count_to_is_refused(option, value, capsys):
    assert main(["load", option, value, "--json"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert (error["code"], error["where"]) == ("usage", option)


@pytest.fixture
def office(tmp_path):
    found(tmp_path, broker_hosts=("127.0.0.1",))
    return tmp_path


def loaded(office, port, capsys):
    code = main(["load", "--hubs", "1", "--broker", f"mqtt://127.0.0.1:{port}", "--office", str(office), "--json"])
    return code, json.loads(capsys.readouterr().out)["error"]


@pytest.mark.long
def test_a_broker_that_is_not_there_is_told_at_once_and_no_hub_is_enrolled(office, capsys):
    port = free_port()
    code, error = loaded(office, port, capsys)
    assert (code, error["code"], error["where"]) == (69, "broker_unreachable", f"127.0.0.1:{port}")
    assert "refused" in error["message"]
    assert "--broker" in error["hint"]
    assert not (office / "load").exists()


@pytest.mark.long
def test_an_office_without_its_authority_can_enroll_nobody(office, capsys):
    (office / "ca.pem").unlink()
    with socket.create_server(("127.0.0.1", 0)) as silence:
        code, error = loaded(office, silence.getsockname()[1], capsys)
    assert (code, error["where"]) == (4, str(office / "ca.pem"))


@pytest.mark.long
def test_an_office_that_answers_no_hub_is_told_and_no_guest_plays(office, capsys, monkeypatch):
    monkeypatch.setattr(run_room, "FIRST_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silence:
        port = silence.getsockname()[1]
        code, error = loaded(office, port, capsys)
    assert (code, error["code"], error["where"]) == (69, "office_silent", f"127.0.0.1:{port}")
    assert "venuehub office run" in error["hint"]


@pytest.mark.long
def test_hubs_that_are_not_back_in_time_are_wrong(office, tmp_path, monkeypatch):
    monkeypatch.setattr(run_room, "UP_S", 0.1)
    said = []
    with open_office(office) as (store, keys):
        hubs = enroll_many(store, keys, office=office, folder=tmp_path / "hubs", count=1, host="127.0.0.1", port=1)
    fleet = Fleet(FleetSettings(seats=seats_of(hubs, tmp_path / "hubs", host="127.0.0.1", port=1)))
    story = run_room._Run(None, None, None, said.append)
    assert asyncio.run(story._back(fleet, "the storm", 0.0)) is None
    assert story._not_back == said == ["1 hub had no answer 0.1 s after the storm"]


def test_what_hubs_threw_away_is_wrong():
    assert run_room.thrown_away({"uplink.rejected": 2, "uplink.frozen": 1, "uplink.dropped": 1}) == [
        "2 messages were refused by their hubs", "1 letter was dropped by its hub"
    ]  # fmt: skip
    assert not run_room.thrown_away({})
