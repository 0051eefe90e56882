"""Venues: another one is added, its hubs take its day from the office, and the cap of its hubs is set and audited."""

import json
import os

import pytest

from cloud_sync.identity import IdentityError, venue_day
from device_profiles.loading import SettingsError
from edge_agent.settings import read_settings
from tests.support.nobody import needs_root
from venuehub.cli import main

pytestmark = pytest.mark.long


@pytest.fixture
def run(capsys):
    def call(*words):
        code = main(["office", *[str(word) for word in words], "--json"])
        return code, json.loads(capsys.readouterr().out)

    return call


@pytest.fixture
def folder(tmp_path, office_after):
    words = 'init --dir @/office --tenant "Star" --venue Hall --timezone Europe/Berlin --day-begins 08:30'
    return office_after(tmp_path, words)


def settings_of(tmp_path, line=""):
    file = tmp_path / "hub.toml"
    file.write_text(f'identity = "hub-1"\nstate = "s"\n{line}\n[device_bus]\nhost = "h"\n')
    return read_settings(file)


def test_a_hub_takes_its_venues_day(folder, tmp_path, run):
    assert run("enroll", "--dir", folder, "--hub", tmp_path / "hub-1")[0] == 0
    found = settings_of(tmp_path)
    assert (found.timezone, found.cutoff_minute) == ("Europe/Berlin", 8 * 60 + 30)
    assert settings_of(tmp_path, 'timezone = "Europe/Berlin"').cutoff_minute == found.cutoff_minute
    for line in ('timezone = "Asia/Shanghai"', 'business_day_starts = "06:00"'):
        with pytest.raises(SettingsError, match="but the office closes this venue's days by"):
            settings_of(tmp_path, line)


def test_a_hub_of_an_older_office_says_its_day_itself(tmp_path):
    found = settings_of(tmp_path)
    assert (found.timezone, found.business_day_starts) == ("Asia/Shanghai", "06:00")
    assert settings_of(tmp_path, 'business_day_starts = "09:00"').cutoff_minute == 540
    (tmp_path / "hub-1").mkdir()
    (tmp_path / "hub-1" / "venue.json").write_text("{")
    with pytest.raises(SettingsError, match=r"venue\.json"):
        settings_of(tmp_path)


def test_a_second_venue_has_hubs_of_its_own(folder, tmp_path, run):
    assert run("venue", "add", "--dir", folder, "--name", "North", "--day-begins", "07:00", "--by", "ann")[0] == 0
    code, said = run("venue", "add", "--dir", folder, "--name", "North", "--by", "ann")
    assert (code, said["error"]["message"]) == (1, "there is a venue 'North' already")
    assert run("enroll", "--dir", folder, "--hub", tmp_path / "hub-1")[0] == 2, "which of the two?"
    assert run("enroll", "--dir", folder, "--hub", tmp_path / "hub-1", "--venue", "North")[0] == 0
    assert settings_of(tmp_path).business_day_starts == "07:00"
    assert run("hub", "list", "--dir", folder)[1]["hubs"][0]["venue"] == "North"


def test_the_cap_of_a_hub_is_set_by_somebody(folder, run):
    code, said = run("venue", "set", "--dir", folder, "--hub-lease-cap", 500, "--by", "ann", "--note", "small hall")
    assert (code, said) == (0, {"name": "Hall", "was": 2_000_000, "hub_lease_cap": 500})
    venues = run("venue", "list", "--dir", folder)[1]["venues"]
    assert [(one["name"], one["day_begins"], one["hub_lease_cap"]) for one in venues] == [("Hall", "08:30", 500)]
    assert "cap of a hub: 2000000 -> 500" in json.dumps(run("audit", "list", "--dir", folder)[1])


@pytest.mark.parametrize("time", ["25:00", "6", "06:00:30", "noon"])
def test_what_is_no_time_of_day_is_refused(folder, run, time):
    code, said = run("venue", "add", "--dir", folder, "--name", "X", "--by", "ann", "--day-begins", time)
    assert (code, said["error"]["where"]) == (2, "--day-begins")


@needs_root
def test_a_folder_that_another_user_may_not_look_into_is_told(tmp_path):
    (tmp_path / "hub-1").mkdir(mode=0o700)
    tmp_path.chmod(0o755)
    os.seteuid(65534)
    try:
        with pytest.raises(IdentityError, match=r"venue\.json: cannot be read"):
            venue_day(tmp_path / "hub-1")
    finally:
        os.seteuid(0)
