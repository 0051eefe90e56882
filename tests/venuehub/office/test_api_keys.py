"""`venuehub office api-key`: made and shown once, listed without the secret, revoked; each act in the audit."""

import json

import pytest

from venuehub.cli import main

pytestmark = pytest.mark.long


@pytest.fixture
def run(capsys, tmp_path, office_after):
    folder = office_after(tmp_path, 'init --dir @/office --tenant "Star Arcade" --venue Hall')

    def call(*words):
        capsys.readouterr()
        code = main(["office", *words, "--dir", str(folder), "--json"])
        said = capsys.readouterr()
        return code, json.loads(said.out or said.err)

    return call


def made(run, name="export", *more):
    return run("api-key", "add", "--name", name, "--role", "reader", "--by", "ann", *more)


def test_a_key_is_shown_once_and_listed_without_its_secret(run):
    code, said = made(run, "export", "--venue", "Hall")
    assert (code, said["role"], said["venue"]) == (0, "reader", "Hall")
    assert said["key"].startswith(f"vh_{said['id']}_")
    _, listed = run("api-key", "list")
    assert [(one["id"], one["venue"], one["revoked_ms"]) for one in listed["keys"]] == [(said["id"], "Hall", None)]
    assert said["key"].rpartition("_")[2] not in json.dumps(listed)


def test_it_is_revoked_once_by_name_or_id_and_the_audit_says_who(run):
    made(run)
    code, second = made(run, "till")
    assert code == 0
    assert made(run, "till")[0] == 1
    assert run("api-key", "revoke", "--name", "export", "--by", "bob")[0] == 0
    assert run("api-key", "revoke", "--name", second["id"], "--by", "bob")[0] == 0
    code, said = run("api-key", "revoke", "--name", "export", "--by", "bob")
    assert (code, said["error"]["where"]) == (1, "--name")
    lines = run("audit", "list")[1]
    assert [(one["who"], one["what"]) for one in lines] == [
        ("bob", "api key till revoked"), ("bob", "api key export revoked"), ("ann", "api key till made: reader"),
        ("ann", "api key export made: reader"),
    ]  # fmt: skip


@pytest.mark.parametrize("words", [("--by", " "), ("--name", " "), ("--role", "owner"), ("--venue", "Nowhere")])
def test_what_makes_no_key_is_told(run, words):
    code, _said = run("api-key", "add", "--name", "export", "--role", "reader", "--by", "ann", *words)
    assert code in {1, 2}


def test_the_api_listens_on_other_addresses_only_behind_tls(run):
    code, said = run("run", "--api", "0.0.0.0:8081")
    assert (code, "--api-behind-tls" in json.dumps(said)) == (2, True)
