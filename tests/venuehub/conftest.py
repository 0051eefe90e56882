"""Offices that are made once a session: each costs keys, certificates and every migration, and a copy costs nothing."""

import contextlib
import io
import shlex
import shutil

import pytest

from venuehub.cli import main


@pytest.fixture(scope="session")
def office_after(tmp_path_factory):
    """Return `make(folder, *steps, files={})`: the office that these commands leave in `folder`/office.

    A step is what follows `venuehub office` on a command line, where @ is the folder; `files` lie in it beforehand.
    """
    made = {}

    def make(folder, *steps, files=None):
        wanted = (steps, *(files or {}).items())
        if wanted not in made:
            made[wanted] = kept = tmp_path_factory.mktemp("office")
            for name, text in (files or {}).items():
                (kept / name).write_text(text)
            with contextlib.redirect_stdout(io.StringIO()):
                for step in steps:
                    assert main(["office", *shlex.split(step.replace("@", str(kept)))]) == 0, step
        shutil.copytree(made[wanted], folder, dirs_exist_ok=True)
        return folder / "office"

    return make
