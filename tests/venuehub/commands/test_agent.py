"""`venuehub agent salvage`: with the machine's new identity in place, and never beside a hub that runs."""

import json
import shutil

import pytest

from cloud_sync.identity import OfficeKeys, save_identity
from edge_agent.ledger.reader import LedgerReader
from edge_agent.start.opening import Opened, Place, open_ledger
from payment_core.journal import decode_entry
from provisioning.identity import enroll_hub
from tests.support.sale_child import furnish
from venuehub.cli import main

KEYS = OfficeKeys(
    tenant_id=bytes(15) + b"\1", trust_seed=bytes([1]) * 32, sign_seed=bytes([2]) * 32,
    receive_privates=(bytes([3]) * 32,), pepper=bytes([4]) * 32,
)  # fmt: skip


@pytest.fixture
def config(tmp_path):
    """A hub whose ledger is damaged, and its settings; the identity is for epoch 1 still."""
    furnish(tmp_path / "state")
    Place(tmp_path / "state").note_damage("page 3 is not what was written")
    identify(tmp_path, epoch=1)
    path = tmp_path / "hub.toml"
    path.write_text('identity = "me"\nstate = "state"\n[device_bus]\nhost = "127.0.0.1"\n', encoding="utf-8")
    return path


def identify(folder, *, epoch):
    hub_id = bytes(15) + bytes([epoch])
    identity = enroll_hub(
        KEYS, hub_id=hub_id, venue_id=bytes(15) + b"\2", epoch=epoch, broker_host="127.0.0.1", broker_port=1883
    )
    shutil.rmtree(folder / "me", ignore_errors=True)
    save_identity(identity, folder / "me")


def run(config, *more):
    return main(["agent", "salvage", "--config", str(config), "--by", "ann", "--json", *more])


def test_it_says_where_the_old_files_are_and_a_hub_goes_on(config, capsys):
    identify(config.parent, epoch=2)
    assert run(config, "--unsent-stays") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["epoch"], told["previous_epoch"]) == (2, 1)
    assert "leases" in told["missing"]
    assert told["previous_seq"] == told["unsent"] > 1
    place = Place(config.parent / "state")
    opened = open_ledger(place, epoch=2)
    assert isinstance(opened, Opened)
    opened.mark.close()
    opened.store.close()
    reader = LedgerReader(place.ledger)
    first = decode_entry(reader.records(0, 1)[0])
    reader.close()
    assert (first.cause, list(first.missing)) == ("salvaged by ann", told["missing"])
    assert run(config, "--unsent-stays") == 1
    assert "not known to be damaged" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("epoch", "more", "word"), [(1, ["--unsent-stays"], "office hub replace"), (2, [], "without a receipt")]
)
def test_it_is_refused_before_the_machine_is_enrolled_anew_and_while_entries_wait(config, capsys, epoch, more, word):
    identify(config.parent, epoch=epoch)
    assert run(config, *more) == 1
    error = json.loads(capsys.readouterr().out)["error"]
    assert word in f"{error['message']} {error['hint']}"
    assert error["where"] == str(config.parent / "state" / "ledger.sqlite3")
    assert not (config.parent / "state" / "quarantine").exists()


def test_it_is_refused_beside_a_hub_that_runs(config, capsys):
    identify(config.parent, epoch=2)
    with Place(config.parent / "state").held_alone():
        assert run(config, "--unsent-stays") == 1
    error = json.loads(capsys.readouterr().out)["error"]
    assert "another program" in error["message"]
    assert error["where"].startswith(str(config.parent / "state"))


def test_a_file_that_cannot_be_read_is_named(config, capsys):
    identify(config.parent, epoch=2)
    note = config.parent / "state" / "salvage.json"
    note.mkdir()
    assert run(config) == 1
    assert json.loads(capsys.readouterr().out)["error"]["where"] == str(note)


def test_a_salvage_has_a_name(config, capsys):
    assert main(["agent", "salvage", "--config", str(config), "--by", "", "--json"]) == 1
    assert "--by" in capsys.readouterr().out
