"""Set-up: what the arguments mean, when an environment counts as ready, and what happens where something is missing."""

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from tests.support.tree import ROOT
from tools import bootstrap


@pytest.fixture(name="project")
def project_fixture(tmp_path):
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements/demo.txt").write_text("a==1 --hash=sha256:00\n")
    (tmp_path / "requirements/test.txt").write_text("a==1 --hash=sha256:00\nb==2 --hash=sha256:11\n")
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/python").symlink_to(sys.executable)
    return tmp_path


def leave_stamp(project, mode):
    (project / f".venv/venuehub-{mode}.stamp").write_text(bootstrap.stamp(project, mode))


def test_what_is_not_for_the_set_up_goes_to_the_demo_in_its_order():
    plan = bootstrap.parse(["demo", "--headless", "--wheelhouse", "/media/stick", "--seconds", "20", "--help"])
    assert plan == bootstrap.Plan(
        mode="demo", wheelhouse="/media/stick", rest=["--headless", "--seconds", "20", "--help"]
    )


@pytest.mark.parametrize(
    ("word", "size"), [((), "normal"), (("--quick",), "quick"), (("--full",), "full"), (("--scale",), "scale")]
)
def test_a_size_is_chosen_by_one_word(word, size):
    plan = bootstrap.parse(["test", *word, "--no-browser", "-k", "coin", "tests/payment_core"])
    assert plan == bootstrap.Plan(mode="test", size=size, browser=False, rest=["-k", "coin", "tests/payment_core"])


def test_quick_and_full_at_once_is_wrong_usage(capsys):
    with pytest.raises(SystemExit) as stopped:
        bootstrap.parse(["test", "--quick", "--full"])
    assert stopped.value.code == 2
    assert "not allowed with" in capsys.readouterr().err


def test_quick_runs_one_part_and_the_others_run_three():
    two, three = (["-n", workers, "--dist", "worksteal", "-m"] for workers in ("2", "3"))
    assert bootstrap.pytest_runs(bootstrap.parse(["test", "--quick"])) == [
        [*two[:-1], "-o", "tmp_path_retention_policy=failed", "-m", "not (long or slow or alone or browser or root)"],
    ]
    assert bootstrap.pytest_runs(bootstrap.parse(["test", "-x"])) == [
        [*two, "not (slow or alone or browser or root)", "-x"],
        [*three, "slow and not (alone or browser or root)", "-x"],
        ["-m", "alone or browser or root", "-x"],
    ]
    assert bootstrap.pytest_runs(bootstrap.parse(["test", "--no-browser"]))[2] == [
        "-m",
        "(alone or browser or root) and not browser",
    ]


def test_quick_files_lie_in_memory_where_there_is_room_and_programs_may_run(tmp_path, monkeypatch):
    def memory(room=bootstrap.MEMORY_FREE, flags=0):
        found = SimpleNamespace(f_bavail=room // 4096, f_frsize=4096, f_flag=flags)
        monkeypatch.setattr(bootstrap.os, "statvfs", lambda _folder: found)
        monkeypatch.setattr(bootstrap.os, "ST_NOEXEC", 8, raising=False)
        return bootstrap.memory_folder(tmp_path)

    assert bootstrap.memory_folder(tmp_path / "none") is None
    assert memory() == str(tmp_path)
    assert memory(room=bootstrap.MEMORY_FREE - 4096) is None
    assert memory(flags=8) is None


def test_scale_is_a_run_of_its_own_and_a_demo_of_its_own():
    assert bootstrap.pytest_runs(bootstrap.parse(["test", "--scale", "-x"])) == [["-m", "scale", "tests/scale", "-x"]]
    plan = bootstrap.parse(["demo", "--scale", "--hubs", "16"])
    assert plan == bootstrap.Plan(mode="scale", rest=["--scale", "--hubs", "16"])


def test_all_of_the_full_size_has_scale_behind_it():
    """What is left out of it by arguments is left out of scale too."""
    full, scale = bootstrap.sizes_of(bootstrap.parse(["test", "--full", "--no-browser"]))
    assert (full.size, len(bootstrap.pytest_runs(full))) == ("full", 3)
    assert bootstrap.pytest_runs(scale) == [["-m", "scale", "tests/scale"]]
    for words in (["--full", "-x"], ["--quick"], ["--scale"], []):
        plan = bootstrap.parse(["test", *words])
        assert bootstrap.sizes_of(plan) == [plan]


def test_the_packages_of_scale_serve_the_demo_and_not_the_tests(project):
    (project / "requirements/scale.txt").write_text("c==1 --hash=sha256:22\n")
    leave_stamp(project, "scale")
    assert bootstrap.is_ready(project, "scale")
    assert bootstrap.is_ready(project, "demo")
    assert not bootstrap.is_ready(project, "test")


def test_an_environment_without_a_stamp_is_not_ready(project):
    assert not bootstrap.is_ready(project, "demo")


def test_a_stamp_makes_it_ready_until_the_pins_change(project):
    leave_stamp(project, "demo")
    assert bootstrap.is_ready(project, "demo")
    assert not bootstrap.is_ready(project, "test")
    (project / "requirements/demo.txt").write_text("a==2 --hash=sha256:22\n")
    assert not bootstrap.is_ready(project, "demo")


def test_the_test_environment_serves_the_demo(project):
    leave_stamp(project, "test")
    assert bootstrap.is_ready(project, "demo")


def test_an_environment_that_was_moved_or_whose_python_is_gone_is_not_ready(project, tmp_path_factory):
    leave_stamp(project, "demo")
    elsewhere = tmp_path_factory.mktemp("moved") / "project"
    project.rename(elsewhere)
    assert not bootstrap.is_ready(elsewhere, "demo")
    leave_stamp(elsewhere, "demo")
    assert bootstrap.is_ready(elsewhere, "demo")
    (elsewhere / ".venv/bin/python").unlink()
    assert not bootstrap.is_ready(elsewhere, "demo")


def test_where_no_way_leads_to_a_venv_the_remedy_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nowhere/python3")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(bootstrap.SetUpError, match="apt-get install python3-venv"):
        bootstrap.make_venv(tmp_path / ".venv")


@pytest.mark.slow
def test_where_venv_fails_uv_makes_it(tmp_path, monkeypatch):
    programs = tmp_path / "bin"
    programs.mkdir()
    uv = programs / "uv"
    uv.write_text(
        f'#!/bin/sh\nfor last; do :; done\nmkdir -p "$last/bin" && ln -s {sys.executable} "$last/bin/python"\n'
    )
    uv.chmod(0o755)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    bootstrap.make_venv(tmp_path / ".venv")
    assert (tmp_path / ".venv/bin/python").is_symlink()


@pytest.mark.slow
def test_an_unsatisfiable_pin_is_told_and_leaves_no_stamp(project, monkeypatch, capfd):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    (project / ".venv/bin/python").unlink()
    (project / ".venv/bin/python").symlink_to(ROOT / ".venv/bin/python")
    (project / "requirements/demo.txt").write_text(f"venuehub-no-such-thing==1 --hash=sha256:{'0' * 64}\n")
    with pytest.raises(bootstrap.SetUpError, match="--wheelhouse DIR"):
        bootstrap.install(project, bootstrap.Plan(mode="demo"))
    assert not bootstrap.is_ready(project, "demo")
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("launcher", ["demo", "test"])
def test_without_a_python_the_launcher_says_what_to_install(launcher, tmp_path):
    (tmp_path / "dirname").symlink_to("/usr/bin/dirname")
    asked = subprocess.run(
        ("/bin/sh", str(ROOT / launcher)), env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert asked.returncode == 69
    assert "apt-get install python3" in asked.stderr
    assert asked.stdout == ""


def test_an_old_python_is_passed_over_for_a_newer_one(tmp_path):
    (tmp_path / "dirname").symlink_to("/usr/bin/dirname")
    old, new = tmp_path / "python3", tmp_path / "python3.11"
    old.write_text("#!/bin/sh\nexit 1\n")
    new.write_text('#!/bin/sh\n[ "$1" = -c ] && exit 0\necho "new $@"\n')
    for file in (old, new):
        file.chmod(0o755)
    asked = subprocess.run(
        ("/bin/sh", str(ROOT / "test"), "--quick"),
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert asked.stdout.split() == ["new", "-I", f"{ROOT}/tools/bootstrap.py", "test", "--quick"]


@pytest.mark.parametrize("launcher", ["demo", "test", ".ci/run", "tools/pin.sh"])
def test_launchers_can_be_started(launcher):
    assert os.access(ROOT / launcher, os.X_OK)
