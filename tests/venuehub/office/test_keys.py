"""`venuehub office keys`: rotated while hubs are away, killed at every step, listed, retired; all stays readable."""

import contextlib
import json

import pytest

from back_office.store import places, receive_keys
from back_office.worker import Worker
from cloud_sync import secret_files
from cloud_sync.identity import load_identity, load_office
from cloud_sync.protocol.envelope import key_id, parse_envelope
from cloud_sync.protocol.messages import Trust
from cloud_sync.sealing import HpkeOpener, receive_public
from edge_agent.ledger import outbox
from provisioning.receive_keys import changing_keys
from tests.support.posted_hub import WALL_MS, PostedHub
from venuehub.cli import main
from venuehub.office.keys import rotate
from venuehub.office.tools import open_office

pytestmark = pytest.mark.long
DAY_MS = 24 * 3_600_000
LATER_MS = 4_000_000_000_000
"""After whenever the office of these tests was made."""


@pytest.fixture
def folder(tmp_path, office_after):
    return office_after(
        tmp_path,
        'init --dir @/office --tenant "Star Arcade" --venue Hall',
        "enroll --dir @/office --hub @/hub-1 --name hall",
    )


@pytest.fixture
def run(capsys, folder):
    def call(*words):
        capsys.readouterr()
        code = main(["office", "keys", *[str(word) for word in words], "--dir", str(folder), "--json"])
        said = capsys.readouterr()
        return code, json.loads(said.out), said.err

    return call


def listed(run):
    code, said, _ = run("list")
    assert code == 0
    return said["keys"]


def sealed_to(hub):
    return [parse_envelope(batch).header.recipient_key.hex() for batch in hub.batches()]


def away_for_seven_days(folder, *, opener=None):
    """Rotate twice while nothing of a hub gets through, restart it between; then let it through. Return hub, keys."""
    with open_office(folder) as (store, keys):
        worker = Worker(store, keys, lambda: WALL_MS)
        if opener is not None:
            worker._receiver._opener = opener(keys)
        hub = PostedHub(folder.parent, load_identity(folder.parent / "hub-1"), worker)
        hub.connect()
        hub.passes = lambda leaf: leaf != "batch"  # a line that is only half there: the office is heard, and hears not
        made = [keys.receive_public]
        for day in range(3):
            if day:
                rotate(store, folder, by="ann", at_ms=LATER_MS + day * 3 * DAY_MS)
                made.append(load_office(folder).receive_public)
                hub.hear(worker.tick())
            hub.sell(3)
            hub.tick()
            hub.restart()
            hub.connect()
            hub.sell(2)
            hub.tick()
        hub.passes = lambda _leaf: True
        hub.connect()
        hub.tick()
        yield hub, made


def test_rotated_twice_in_a_partition_with_restarts_between_every_batch_is_booked(folder, run):
    for hub, made in away_for_seven_days(folder):
        ids = [key_id(public).hex() for public in made]
        assert [ids.index(one) for one in sealed_to(hub)] == [0, 0, 1, 1, 2, 2]
        assert outbox.read_cursor(hub.hall.store).batch_seq == 6
        hub.connect()  # what it has on its disk now it says in its next hello
    rows = listed(run)
    assert [(row["key"], row["in_use"], row["opens"]) for row in rows] == [
        (ids[2], True, True), (ids[1], False, True), (ids[0], False, True),
    ]  # fmt: skip
    assert [row["hubs"] for row in rows] == [[{"hub": "hall", "why": "seals"}], [], []]


def test_a_build_that_keeps_only_the_newest_key_is_caught(folder):
    def newest(keys):
        return HpkeOpener(keys.receive_privates[:1])

    for hub, _ in away_for_seven_days(folder, opener=newest):
        assert outbox.read_cursor(hub.hall.store).batch_seq < 6


def test_the_list_says_which_hub_still_seals_to_which(folder, run):
    with open_office(folder) as (store, keys):
        worker = Worker(store, keys, lambda: WALL_MS)
        hub = PostedHub(folder.parent, load_identity(folder.parent / "hub-1"), worker)
        hub.connect()
        hub.passes = lambda leaf: leaf != "batch"
        hub.sell(2)
        hub.tick()
        rotate(store, folder, by="ann", at_ms=LATER_MS)
        new, old = listed(run)
        assert (new["hubs"], old["hubs"]) == ([], [{"hub": "hall", "why": "seals"}])
        hub.hear(worker.tick())
        hub.connect()
        new, old = listed(run)
        assert new["hubs"] == [{"hub": "hall", "why": "seals"}]
        assert old["hubs"] == [{"hub": "hall", "why": "sealed"}]
        hub.passes = lambda _leaf: True
        hub.connect()
        assert [row["hubs"] for row in listed(run)] == [[{"hub": "hall", "why": "seals"}], []]


def test_a_closed_hub_needs_its_key_until_it_has_said_all(folder, run):
    with open_office(folder) as (store, keys):
        worker = Worker(store, keys, lambda: WALL_MS + hub.mono_ms)
        hub = PostedHub(folder.parent, load_identity(folder.parent / "hub-1"), worker)
        hub.connect()  # that it held nothing back then says nothing of later
        hub.passes = lambda _leaf: False
        hub.sell(2)
        hub.tick()
        with store.writing() as tx:
            (row,) = places.hubs(tx, keys.tenant_id)
            places.close(tx, keys.tenant_id, row.hub_id, now_ms=WALL_MS + hub.mono_ms)
        rotate(store, folder, by="ann", at_ms=LATER_MS)
        assert [row["hubs"] for row in listed(run)] == [[], [{"hub": "hall", "why": "closed"}]]
        hub.passes = lambda _leaf: True
        for _word in range(2):
            hub.connect()
            hub.tick()
        assert [row["hubs"] for row in listed(run)] == [[], []]


class KilledError(BaseException):
    """The command ends here, with whatever is on the disk."""


@pytest.mark.parametrize("step", range(9))
def test_killed_at_each_step_the_next_one_goes_on_and_no_hub_hears_of_a_key_that_is_not_there(
    folder, monkeypatch, step
):
    with monkeypatch.context() as patch:
        left = [step]

        def dies(call):
            def then(*words, **more):
                if left[0] == 0:
                    raise KilledError
                left[0] -= 1
                return call(*words, **more)

            return then

        for name in ("fsync", "open"):
            patch.setattr(secret_files.os, name, dies(getattr(secret_files.os, name)))
        with open_office(folder) as (store, _), contextlib.suppress(KilledError):
            rotate(store, folder, by="ann", at_ms=LATER_MS)
    after_kill = told_and_there(folder)
    assert after_kill[0] <= after_kill[1]
    with open_office(folder) as (store, _):
        done = rotate(store, folder, by="ann", at_ms=LATER_MS)
    told, there = told_and_there(folder)
    assert told <= there
    assert (len(told), len(there)) in {(2, 2), (3, 3)}  # a third only where the second had been told already
    assert done.finished == (len(after_kill[1]) > max(len(after_kill[0]), 1))


def told_and_there(folder):
    """Return the keys that hubs were told, and those that the folder has."""
    with open_office(folder) as (store, keys), store.reading() as tx:
        told = {key.public for key in receive_keys.told(tx, keys.tenant_id)}
        return told, {receive_public(private) for private in keys.receive_privates}


def test_a_key_is_retired_late_or_by_a_person_who_is_told_whose_batches_it_costs(folder, run):
    old = listed(run)[0]["key"]
    assert run("retire", "--key", old)[0] == 1
    assert run("rotate", "--by", "ann")[1]["number"] == 2
    code, said, _ = run("retire", "--key", old)
    assert (code, "is kept 180 days" in said["error"]["message"]) == (1, True)
    assert len(load_office(folder).receive_privates) == 2
    code, said, err = run("retire", "--key", old, "--by", "ann", "--note", "leaked")
    assert (code, said["still_used_by"]) == (0, ["hall"])
    assert "hall" in err
    assert len(load_office(folder).receive_privates) == 1
    assert [row["opens"] for row in listed(run)] == [True, False]
    assert run("retire", "--key", "00" * 8)[0] == 1


def test_a_key_that_no_hub_needs_goes_by_itself_only_behind_180_days(folder, run):
    with open_office(folder) as (store, keys):
        with store.writing() as tx:
            for hub in places.hubs(tx, keys.tenant_id):
                places.close(tx, keys.tenant_id, hub.hub_id, now_ms=WALL_MS)
        rotate(store, folder, by="ann", at_ms=1)  # 1970: long ago
    new, old = listed(run)
    assert run("retire", "--key", new["key"])[0] == 1
    assert run("retire", "--key", old["key"])[:2] == (0, {"key": old["key"], "number": 1, "still_used_by": []})


def test_a_folder_of_the_release_before_is_read_and_rotated(folder, run):
    file = folder / "office.json"
    file.write_text(json.dumps({"tenant_id": json.loads(file.read_text())["tenant_id"], "receive_keys": 1}))
    file.chmod(0o600)
    assert run("rotate", "--by", "ann")[0] == 0
    assert len(load_office(folder).receive_privates) == 2
    assert not list(folder.glob("*.new"))


def test_books_restored_from_before_a_key_was_retired_send_no_hub_to_it(folder, run):
    assert run("rotate", "--by", "ann")[0] == 0
    copy = (folder / "office.sqlite").read_bytes()
    old = listed(run)[0]["key"]
    assert run("rotate", "--by", "ann")[0] == 0
    assert run("retire", "--key", old, "--by", "ann", "--note", "leaked")[0] == 0
    for log in folder.glob("office.sqlite-*"):
        log.unlink()
    (folder / "office.sqlite").write_bytes(copy)
    with open_office(folder) as (store, keys):
        hub = PostedHub(folder.parent, load_identity(folder.parent / "hub-1"), Worker(store, keys, lambda: WALL_MS))
        heard = []
        hub.on_body = heard.append
        hub.connect()
        hub.sell(2)
        hub.tick()
        assert [body.receive_key for body in heard if isinstance(body, Trust)] == [keys.receive_public]
        assert outbox.read_cursor(hub.hall.store).batch_seq == 1


def test_nobody_rotates_no_key(folder, run):
    for nobody in ([], ["--by", " "]):
        assert run("rotate", *nobody)[0] == 2
    assert len(load_office(folder).receive_privates) == 1


def test_the_list_names_the_files_and_retire_takes_its_number(folder, run, capsys):
    run("rotate", "--by", "ann")
    assert [(row["number"], row["file"]) for row in listed(run)] == [(2, "receive-1.key"), (1, "receive-0.key")]
    assert main(["office", "keys", "list", "--dir", str(folder)]) == 0
    head, newest, _ = capsys.readouterr().out.splitlines()
    assert head.split()[:5] == ["number", "key", "file", "days", "state"]
    assert newest.split()[2] == "receive-1.key"
    assert run("retire", "--key", "1", "--by", "ann", "--note", "leaked")[1]["number"] == 1
    assert not (folder / "receive-0.key").exists()
    assert [row["file"] for row in listed(run)] == ["receive-1.key", ""]


def test_two_at_once_are_refused(folder, run):
    with changing_keys(folder):
        code, said, _ = run("rotate", "--by", "ann")
    assert (code, said["error"]["code"]) == (4, "identity")
