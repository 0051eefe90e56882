"""`venuehub office travel`: the rule for cards at two places is read strictly, by names, and shown as it counts."""

import json

import pytest

from tests.support.tree import ROOT
from venuehub.cli import main

pytestmark = pytest.mark.long


@pytest.fixture
def run(capsys):
    def call(*words):
        code = main(["office", "travel", *[str(word) for word in words], "--json"])
        return code, json.loads(capsys.readouterr().out)

    return call


@pytest.fixture
def folder(tmp_path, office_after):
    return office_after(
        tmp_path,
        'init --dir @/office --tenant "Star Arcade" --venue Hall',
        "enroll --dir @/office --hub @/hall --name hall",
        "enroll --dir @/office --hub @/ktv --name ktv",
    )


def test_the_example_is_the_default_and_a_version_is_kept_once(folder, run):
    assert run("show", "--dir", folder)[1]["version"] == 0
    before = run("show", "--dir", folder)[1]
    assert run("set", "--dir", folder, ROOT / "examples/travel.toml") == (0, {"version": 1})
    assert run("set", "--dir", folder, ROOT / "examples/travel.toml") == (0, {"version": 1})
    assert run("show", "--dir", folder)[1] == before | {"version": 1}


def test_ways_are_named_as_people_name_them(folder, tmp_path, run, capsys):
    file = tmp_path / "travel.json"
    file.write_text('{"in_venue_minutes": 2, "ways": [{"one": "hall", "other": "ktv", "minutes": 3}]}')
    assert run("set", "--dir", folder, file)[0] == 0
    (way,) = run("show", "--dir", folder)[1]["ways"]
    assert (len(bytes.fromhex(way["one"])), way["minutes"]) == (16, 3)
    assert main(["office", "travel", "show", "--dir", str(folder)]) == 0
    assert "hall to ktv: 3 minutes\n" in capsys.readouterr().out
    file.write_text(json.dumps({"ways": [way]}))
    assert run("set", "--dir", folder, file) == (0, {"version": 2})


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ('{"ways": [{"one": "hall", "other": "attic", "minutes": 3}]}', "'attic'"),
        ('{"in_venue_minutes": -1}', "0 to 1440 minutes"),
        ('{"in_venue_minute": 1}', "in_venue_minute"),
        ("[", "not a table in JSON"),
    ],
)
def test_what_cannot_be_is_named(folder, tmp_path, run, text, wrong):
    file = tmp_path / "travel.json"
    file.write_text(text)
    code, said = run("set", "--dir", folder, file)
    assert (code, said["error"]["where"]) == (2, str(file))
    assert wrong in said["error"]["message"]


def test_a_file_that_cannot_be_read_is_told_in_plain_words(folder, tmp_path, run):
    (tmp_path / "binary.toml").write_bytes(b"\x80\xff")
    for name, wrong in (("nope.toml", "there is no such file"), ("binary.toml", "byte 0 is not UTF-8")):
        code, said = run("set", "--dir", folder, tmp_path / name)
        assert (code, said["error"]["message"], said["error"]["where"]) == (2, wrong, str(tmp_path / name))
        assert said["error"]["hint"]
