import os
import shutil
from pathlib import Path

import pytest

from firmware_bridge import actuation_log
from firmware_bridge.actuation_log import Act, ActuationLog, Answered, Running
from firmware_bridge.preallocated import LogFileError
from payment_core.commands import Command, Dispense, PulseCredit, Result, make_command

BOOT = "boot-a"
LINE = "racer-2"


def command(number: int, *, seq: int | None = None, boot: str = BOOT, ttl_ms: int = 1_000) -> Command:
    command_id = f"00000000-0000-7000-8000-{number:012d}"
    return make_command(
        PulseCredit(1), command_id=command_id, seq=number if seq is None else seq, boot_id=boot, ttl_ms=ttl_ms
    )


def ask(log: ActuationLog, wish: Command, *, waited_ms: int = 0) -> Act | Running | Answered:
    return log.admit(wish, device=LINE, arrived_ms=1_000, now_ms=1_000 + waited_ms)


def answer(log: ActuationLog, wish: Command, *, waited_ms: int = 0) -> tuple[str, int, str]:
    admission = ask(log, wish, waited_ms=waited_ms)
    assert isinstance(admission, Answered)
    assert admission.result.id == wish.id
    return admission.result.outcome, admission.result.amount, admission.result.reason


def finished(log: ActuationLog, number: int, outcome: str = "done", amount: int = 1, reason: str = "") -> None:
    assert ask(log, command(number)) == Act()
    log.finish(command(number).id, device=LINE, outcome=outcome, amount=amount, reason=reason)  # type: ignore[arg-type]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "actuation.log"


@pytest.fixture
def log(path: Path):
    log = ActuationLog(path, boot_id=BOOT)
    yield log
    log.close()


def test_a_command_acts_once_and_its_answer_is_kept(log):
    wish = command(1)
    assert ask(log, wish) == Act()
    assert ask(log, wish) == Running()
    assert ask(log, command(1, ttl_ms=0)) == Running()
    log.finish(wish.id, device=LINE, outcome="done", amount=3)
    assert answer(log, wish) == ("done", 3, "")
    assert answer(log, command(1, ttl_ms=0)) == ("done", 3, "")
    assert answer(log, command(1, boot="other")) == ("done", 3, "")
    assert log._marks == {LINE: 1}


# Row by row as in docs/decisions/0010-certainly-not-or-unknown.md.
@pytest.mark.parametrize(
    ("wish", "waited_ms", "expected", "mark"),
    [
        (command(6), 999, "act", 6),
        (command(6), 1_000, ("refused", 0, "too_late"), 6),
        (command(6, ttl_ms=-1), 0, ("refused", 0, "too_late"), 6),
        (command(6, ttl_ms=0), 0, ("refused", 0, "not_acted_on"), 6),
        (command(6, boot="older"), 0, ("refused", 0, "bridge_restarted"), 5),
        (command(6, boot="older", ttl_ms=0), 0, ("refused", 0, "bridge_restarted"), 5),
        (command(6, boot="never-heard-of"), 0, ("unknown", 0, "not_remembered"), 5),
        (command(4), 0, ("refused", 0, "overtaken"), 5),
        (command(4, ttl_ms=0), 0, ("refused", 0, "overtaken"), 5),
        (command(6, boot="", ttl_ms=0), 0, ("unknown", 0, "not_remembered"), 5),
        (command(5, boot="older", ttl_ms=0), 0, ("failed", 0, "jam"), 5),
        (command(5, seq=5), 0, ("failed", 0, "jam"), 5),
        (command(5, seq=9), 0, ("failed", 0, "jam"), 9),
    ],
)
def test_the_table_of_admissions(path, wish, waited_ms, expected, mark):
    ActuationLog(path, boot_id="older").close()
    log = ActuationLog(path, boot_id=BOOT)
    finished(log, 5, "failed", 0, "jam")
    admission = ask(log, wish, waited_ms=waited_ms)
    if expected == "act":
        assert admission == Act()
    else:
        assert admission == Answered(Result(id=wish.id, outcome=expected[0], amount=expected[1], reason=expected[2]))
    assert log._marks == {LINE: mark}
    log.close()


def test_a_refused_number_never_acts_again(log):
    assert answer(log, command(7, ttl_ms=0)) == ("refused", 0, "not_acted_on")
    assert answer(log, command(7)) == ("refused", 0, "not_acted_on")
    assert answer(log, command(8, seq=7)) == ("refused", 0, "overtaken")


def test_a_restart_makes_a_start_without_an_end_unknown(path):
    log = ActuationLog(path, boot_id=BOOT)
    finished(log, 1)
    ask(log, command(2))
    log.close()
    log = ActuationLog(path, boot_id="next")
    assert answer(log, command(1)) == ("done", 1, "")
    assert answer(log, command(2)) == ("unknown", 0, "interrupted")
    assert answer(log, command(3)) == ("refused", 0, "bridge_restarted")
    assert log._marks == {LINE: 2}
    log.settle(command(2).id, device=LINE, amount=1)
    assert answer(log, command(2)) == ("done", 1, "")
    with pytest.raises(LogFileError, match="never started"):
        log.finish(command(2).id, device=LINE, outcome="done")
    log.close()


def test_a_lost_file_never_says_that_it_certainly_did_not_act(path):
    log = ActuationLog(path, boot_id=BOOT)
    finished(log, 1)
    log.close()
    path.unlink()
    log = ActuationLog(path, boot_id="next")
    assert answer(log, command(1)) == ("unknown", 0, "not_remembered")
    log.close()


@pytest.mark.parametrize("end", [None, "unknown", "done"])
def test_what_was_begun_and_has_left_the_ring_is_never_said_not_to_have_been(path, monkeypatch, end):
    monkeypatch.setattr(actuation_log, "SLOTS", 64)
    monkeypatch.setattr(actuation_log, "QUARTER", 16)
    log = ActuationLog(path, boot_id=BOOT)
    assert ask(log, command(1)) == Act()
    if end is not None:
        log.finish(command(1).id, device=LINE, outcome=end)
    for number in range(2, 66):
        finished(log, number)
    if end is not None:
        assert answer(log, command(1, ttl_ms=0)) == ("unknown", 0, "not_remembered")
    log.close()
    for boot in ("next", "next but one"):
        log = ActuationLog(path, boot_id=boot)
        for asked in (command(1), command(1, ttl_ms=0), command(1, boot="", ttl_ms=0)):
            assert answer(log, asked) == ("unknown", 0, "not_remembered")
        log.close()


def test_a_train_that_the_ring_has_overtaken_still_runs_and_ends(path, monkeypatch):
    monkeypatch.setattr(actuation_log, "SLOTS", 64)
    monkeypatch.setattr(actuation_log, "QUARTER", 16)
    log = ActuationLog(path, boot_id=BOOT)
    assert ask(log, command(1)) == Act()
    for number in range(2, 66):
        finished(log, number)
    assert ask(log, command(1, ttl_ms=0)) == Running()
    log.finish(command(1).id, device=LINE, outcome="done", amount=1)
    assert answer(log, command(1, ttl_ms=0)) == ("done", 1, "")
    log.close()


def test_the_mark_of_a_quiet_device_outlives_the_ring(path, monkeypatch):
    monkeypatch.setattr(actuation_log, "SLOTS", 64)
    monkeypatch.setattr(actuation_log, "QUARTER", 16)
    log = ActuationLog(path, boot_id=BOOT)
    assert log.admit(command(77), device="quiet", arrived_ms=0, now_ms=0) == Act()
    log.finish(command(77).id, device="quiet", outcome="done", amount=1)
    for number in range(1, 203):
        finished(log, number)
        assert len(log._records) <= 64
    assert answer(log, command(202)) == ("done", 1, "")
    assert answer(log, command(2)) == ("unknown", 0, "not_remembered")
    log.close()
    log = ActuationLog(path, boot_id="next")
    assert log._marks == {"quiet": 77, LINE: 202}
    late = log.admit(command(77, boot="next"), device="quiet", arrived_ms=0, now_ms=0)
    assert isinstance(late, Answered)
    assert late.result.outcome == "refused"
    log.close()


def torn_states(path: Path, log: ActuationLog, step) -> list[tuple[int, bytes]]:
    """Return the place and all prefixes of what `step` writes: every moment a kill or power cut can hit."""
    before = path.read_bytes()
    step(log)
    after = path.read_bytes()
    changed = [at for at in range(0, len(after), 128) if before[at : at + 128] != after[at : at + 128]]
    assert len(changed) == 1, "one record per step"
    at = changed[0]
    return [(at, after[at : at + cut] + before[at + cut : at + 128]) for cut in range(129)]


@pytest.mark.slow
@pytest.mark.parametrize("step", ["start", "end"])
def test_cut_anywhere_a_command_is_never_forgotten_nor_doubled(tmp_path, path, step):
    log = ActuationLog(path, boot_id=BOOT)
    finished(log, 1)
    if step == "end":
        ask(log, command(2))
    shutil.copy(path, tmp_path / "cut.log")
    action = {
        "start": lambda log: ask(log, command(2)),
        "end": lambda log: log.finish(command(2).id, device=LINE, outcome="done", amount=1),
    }[step]
    allowed = {
        "start": {("refused", 0, "bridge_restarted"), ("unknown", 0, "interrupted")},
        "end": {("unknown", 0, "interrupted"), ("done", 1, "")},
    }[step]
    states = torn_states(path, log, action)
    log.close()
    seen = set()
    clean = (tmp_path / "cut.log").read_bytes()
    for at, record in states:
        cut = tmp_path / "cut.log"
        with cut.open("r+b") as file:
            file.write(clean)
            file.seek(at)
            file.write(record)
        reopened = ActuationLog(cut, boot_id="next")
        assert answer(reopened, command(1)) == ("done", 1, "")
        seen.add(answer(reopened, command(2)))
        reopened.close()
    assert seen == allowed


def test_a_shortened_file_opens_and_says_unknown(path):
    log = ActuationLog(path, boot_id=BOOT)
    finished(log, 1)
    log.close()
    for length in (0, 1, 100, actuation_log.RING_AT, actuation_log.RING_AT + 64):
        os.truncate(path, length)
        log = ActuationLog(path, boot_id="next")
        assert answer(log, command(1)) == ("unknown", 0, "not_remembered")
        log.close()


def test_two_bridges_on_one_log_a_bad_folder_and_too_many_devices_are_refused(log, path, tmp_path, monkeypatch):
    with pytest.raises(LogFileError, match="used by another bridge"):
        ActuationLog(path, boot_id="b")
    with pytest.raises(LogFileError, match="Check the disk"):
        ActuationLog(path / "a.log", boot_id="b")
    monkeypatch.setattr(actuation_log, "MAX_DEVICES", 1)
    ask(log, command(1))
    with pytest.raises(LogFileError, match="needs a new state_dir"):
        log.admit(command(2), device="second", arrived_ms=0, now_ms=0)


def test_a_long_reason_is_cut_at_a_character(log):
    finished(log, 1, "failed", 0, "钱" * 30)
    assert answer(log, command(1)) == ("failed", 0, "钱" * 18)


def test_the_last_begun_and_not_ended_can_be_asked_about_and_only_some_are_kept(path, monkeypatch):
    log = ActuationLog(path, boot_id=BOOT)
    monkeypatch.setattr(actuation_log, "OPEN_LIMIT", 2)
    for number in (1, 2, 3):
        wish = make_command(Dispense(5), command_id=f"id-{number}", seq=number, boot_id=BOOT, ttl_ms=9)
        assert ask(log, wish) == Act()
    log.sync()
    log.close()
    after = ActuationLog(path, boot_id="boot-b")
    assert after.unfinished("another") == ()
    assert [command.id for command in after.unfinished(LINE)] == ["id-2", "id-3"], "the first had no room any more"
    assert after.amend("id-3", device=LINE, outcome="done", amount=5)
    assert not after.amend("id-3", device=LINE, outcome="failed")
    assert [command.id for command in after.unfinished(LINE)] == ["id-2"]
    assert after.amend("id-2", device=LINE, outcome="unknown", amount=1, reason="cannot_tell")
    assert after.unfinished(LINE) == ()
    assert not after.amend("never", device=LINE, outcome="done")
    after.close()


def test_an_id_too_long_for_a_record_stays_unknown(path):
    log = ActuationLog(path, boot_id=BOOT)
    assert ask(log, make_command(Dispense(5), command_id="x" * 60, seq=1, boot_id=BOOT, ttl_ms=9)) == Act()
    log.sync()
    log.close()
    after = ActuationLog(path, boot_id="boot-b")
    assert after.unfinished(LINE) == ()
    after.close()
