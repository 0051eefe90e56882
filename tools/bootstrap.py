"""Set-up behind `./demo` and `./test`: a virtual environment, the pinned packages, a broker; then the program itself.

Standard library only, because it runs before anything is installed. What it says goes to stderr: stdout belongs to the
program it starts.
"""

import argparse
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Literal, NoReturn

ROOT: Final = Path(__file__).resolve().parent.parent
EXIT_UNAVAILABLE: Final = 69
EXIT_INTERRUPTED: Final = 130
PYTEST_NOTHING_COLLECTED: Final = 5
INSTALL_VENV_HINT: Final = "install it first: apt-get install python3-venv   (or: pip install uv)"
ALONE_PART: Final = "alone or browser or root"
COMPUTING: Final = ("-n", "2", "--dist", "worksteal")
WAITING: Final = ("-n", "3", "--dist", "worksteal")
"""Workers for two cores: tests of programs wait for them most of the time."""
FORGETFUL: Final = ("-o", "tmp_path_retention_policy=failed")
"""Only what failed leaves its files: they lie in memory."""
MEMORY: Final = Path("/dev/shm")  # noqa: S108 - a file system, and mkdtemp makes the names
MEMORY_FREE: Final = 1024 * 1024 * 1024
"""Bytes that must be free there: containers give 64 MiB, which one test can fill."""

Mode = Literal["demo", "scale", "test"]
HOLDERS: Final[dict[Mode, tuple[Mode, ...]]] = {
    "demo": ("demo", "scale", "test"),
    "scale": ("scale", "test"),
    "test": ("test",),
}
"""Which sets of packages contain what a mode needs."""


class SetUpError(Exception):
    """Something is missing that only a person can provide; the text says what and how."""


@dataclass(frozen=True)
class Plan:
    """What the person at the keyboard asked for."""

    mode: Mode
    size: str = "normal"
    browser: bool = True
    wheelhouse: str = ""
    rest: list[str] = field(default_factory=list)


def say(text: str) -> None:
    """Tell the person what happens."""
    print(f"set-up: {text}", file=sys.stderr, flush=True)


def parse(arguments: Sequence[str]) -> Plan:
    """Return the plan; arguments that are not ours go to `venuehub demo` or to pytest, in their order."""
    mode: Mode = "test" if arguments[0] == "test" else "demo"
    parser = argparse.ArgumentParser(
        prog=f"./{mode}",
        allow_abbrev=False,
        add_help=mode == "test",
        description="Lint, types, import contracts and tests. Other arguments go to pytest.",
    )
    parser.add_argument("--wheelhouse", default="", metavar="DIR", help="install from this folder, without the network")
    if mode == "test":
        sizes = parser.add_mutually_exclusive_group()
        sizes.add_argument("--quick", action="store_const", const="quick", dest="size", help="quick part, under 60 s")
        sizes.add_argument("--full", action="store_const", const="full", dest="size", help="full counts, under 75 min")
        sizes.add_argument(
            "--scale", action="store_const", const="scale", dest="size",
            help="only databases, brokers and workers in numbers, killed while they work",
        )  # fmt: skip
        parser.add_argument("--no-browser", action="store_false", dest="browser", help="leave out tests in Chromium")
        parser.set_defaults(size="normal")
    known, rest = parser.parse_known_args(arguments[1:])
    if mode == "demo":
        mode = "scale" if "--scale" in rest else "demo"
        return Plan(mode=mode, wheelhouse=known.wheelhouse, rest=rest)
    return Plan(mode=mode, size=known.size, browser=known.browser, wheelhouse=known.wheelhouse, rest=rest)


# ------------------------------------------------------------------------------------------------------ environment


def stamp(root: Path, mode: Mode) -> str:
    """Return what must be unchanged for an environment to be used again; its place counts, the install is editable."""
    digest = hashlib.sha256(str(root).encode())
    for name in (f"requirements/{mode}.txt", "pyproject.toml"):
        digest.update((root / name).read_bytes())
    return digest.hexdigest()


def is_ready(root: Path, mode: Mode) -> bool:
    """Return whether the environment holds what `mode` needs; the test set contains the demo set."""
    if not os.access(root / ".venv/bin/python", os.X_OK):
        return False
    for holder in HOLDERS[mode]:
        file = root / f".venv/venuehub-{holder}.stamp"
        if file.is_file() and file.read_text() == stamp(root, holder):
            return True
    return False


def run(*command: str | Path) -> bool:
    """Run a command; return whether it succeeded, and where it did not, show what it said."""
    try:
        ended = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
    except OSError as error:
        say(str(error))
        return False
    if ended.returncode != 0:
        sys.stderr.write(ended.stdout)
    return ended.returncode == 0


def may_use_apt() -> bool:
    """Return whether we are root on a Debian."""
    return os.geteuid() == 0 and Path("/etc/debian_version").exists() and shutil.which("apt-get") is not None


def apt_install(package: str) -> bool:
    """Install a Debian package; return whether it is there now."""
    say(f"installing {package} with apt-get")
    os.environ["DEBIAN_FRONTEND"] = "noninteractive"
    return run("apt-get", "-qq", "update") and run(
        "apt-get", "-qq", "install", "-y", "--no-install-recommends", package
    )


def make_venv(target: Path) -> None:
    """Make a virtual environment with pip in it, by the first way that works.

    Whether `venv` works is found out by making one: Debian ships a `venv` module that fails for want of ensurepip.
    """
    python = Path(sys.executable)
    ways: tuple[Callable[[], bool], ...] = (
        lambda: run(python, "-m", "venv", "--clear", target),
        lambda: shutil.which("uv") is not None and run("uv", "venv", "--quiet", "--clear", "--seed", target),
        lambda: may_use_apt() and apt_install("python3-venv") and run(python, "-m", "venv", "--clear", target),
    )
    for number, way in enumerate(ways):
        if number > 0:
            say("that did not work; trying another way")
        if way() and run(target / "bin/python", "-m", "pip", "--version"):
            return
    message = f"cannot make a virtual environment with {python}; {INSTALL_VENV_HINT}"
    raise SetUpError(message)


def install(root: Path, plan: Plan) -> None:
    """Bring the environment to what the pinned set says, then the project itself, and leave the stamp."""
    venv = root / ".venv"
    python = venv / "bin/python"
    with (root / ".venv.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a second ./demo waits here instead of installing over the first
        if is_ready(root, plan.mode):
            return
        usable = python.exists() and run(python, "-c", "import pip, sys; sys.exit(sys.version_info < (3, 11))")
        if not usable:
            say("making .venv")
            make_venv(venv)
        pip = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input")
        source = ("--no-index", "--find-links", plan.wheelhouse) if plan.wheelhouse else ()
        requirements = root / f"requirements/{plan.mode}.txt"
        say(f"installing requirements/{plan.mode}.txt (once; half a minute)")
        if not run(*pip, *source, "--require-hashes", "-r", requirements):
            message = f"pip could not install {requirements}; see above. Without a network: --wheelhouse DIR"
            raise SetUpError(message)
        if not run(*pip, "--no-deps", "--no-build-isolation", "-e", root):
            message = f"pip could not install the project in {root}; see above"
            raise SetUpError(message)
        (venv / f"venuehub-{plan.mode}.stamp").write_text(stamp(root, plan.mode))


def find_mosquitto() -> str | None:
    """Return where the broker is; Debian keeps it off an ordinary user's PATH."""
    return shutil.which("mosquitto", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin")


def find_chromium() -> str | None:
    """Return where a Chromium is."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


FEW_PROGRAMS: Final = ("quick", "scale")
"""Sizes whose tests need a broker at most."""
TEST_TOOLS: Final = {"strace": "strace", "mkfs.xfs": "xfsprogs", "mkfs.ext4": "e2fsprogs", "nfc-list": "libnfc-bin"}
"""Program and its package: what tests/durability breaks disks with, and a host that no wheel brings."""


def provide_programs(plan: Plan) -> None:
    """Install the broker, and what tests need that no wheel brings, where it is missing and we may; else say so."""
    if find_mosquitto() is None and not (may_use_apt() and apt_install("mosquitto")):
        say("no mosquitto found: using the iotcore wheel as broker. Better: apt-get install mosquitto")
    wants_all = plan.mode == "test" and plan.size not in FEW_PROGRAMS
    if wants_all:
        path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
        missing = {package for tool, package in TEST_TOOLS.items() if shutil.which(tool, path=path) is None}
        for package in sorted(missing):
            if not (may_use_apt() and apt_install(package)):
                say(f"no {package} found: the tests that need it will be skipped")
    if wants_all and plan.browser and find_chromium() is None and not (may_use_apt() and apt_install("chromium")):
        say("no Chromium found: browser tests will be skipped. Install chromium, or say --no-browser")


def set_up(root: Path, plan: Plan) -> None:
    """Make everything ready. Does nothing and says nothing where it is ready already."""
    if not is_ready(root, plan.mode):
        provide_programs(plan)
        install(root, plan)
    elif plan.mode == "test" and plan.size not in FEW_PROGRAMS:
        provide_programs(plan)


# ------------------------------------------------------------------------------------------------------------- test


def pytest_runs(plan: Plan) -> list[list[str]]:
    """Return the arguments of each pytest run: what only computes, what waits for programs, what wants to be alone."""
    if plan.size == "quick":
        return [[*COMPUTING, *FORGETFUL, "-m", f"not (long or slow or {ALONE_PART})", *plan.rest]]
    if plan.size == "scale":
        return [["-m", "scale", "tests/scale", *plan.rest]]
    alone = ALONE_PART if plan.browser else f"({ALONE_PART}) and not browser"
    return [
        [*COMPUTING, "-m", f"not (slow or {ALONE_PART})", *plan.rest],
        [*WAITING, "-m", f"slow and not ({ALONE_PART})", *plan.rest],
        ["-m", alone, *plan.rest],
    ]


def sizes_of(plan: Plan) -> list[Plan]:
    """Return what is run one after another: behind the whole full size that of scale, which is not chosen from."""
    return [plan, replace(plan, size="scale")] if plan.size == "full" and not plan.rest else [plan]


def memory_folder(folder: Path = MEMORY) -> str | None:
    """Return where temporary files wait for no disk, if a program may be started there and there is room; else None."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return None
    allowed = not found.f_flag & getattr(os, "ST_NOEXEC", 0) and os.access(folder, os.W_OK)
    return str(folder) if allowed and found.f_bavail * found.f_frsize >= MEMORY_FREE else None


def check_statically(tools: Path) -> bool:
    """Run linter, types and import contracts side by side; print each one's words; return whether all are content."""
    commands = {"ruff": ("check", "."), "mypy": (), "lint-imports": ()}
    started = {
        name: subprocess.Popen(
            (tools / name, *arguments), cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        for name, arguments in commands.items()
    }
    content = True
    for name, process in started.items():
        output, _ = process.communicate()
        content = content and process.returncode == 0
        tail = output.strip().splitlines()[-1:] if process.returncode == 0 else output.strip().splitlines()
        for line in tail:
            print(f"{name}: {line}", flush=True)
    return content


def test(plan: Plan) -> int:
    """Run all checks of the size asked for; return the exit code."""
    tools = ROOT / ".venv/bin"
    # Compiling the tree anew in each process costs half a minute; where it may not be littered, this still holds.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = str(ROOT / ".venv/bytecode")
    # Half of a quick test's time is a ledger waiting for its disk; the larger sizes wait for it.
    if plan.size == "quick" and "TMPDIR" not in os.environ and (folder := memory_folder()) is not None:
        os.environ["TMPDIR"] = folder
    statically_content = plan.size == "scale" or check_statically(tools)
    codes = []
    for sized in sizes_of(plan):
        os.environ["VENUEHUB_TEST_SIZE"] = sized.size
        runs = [(str(tools / "python"), "-m", "pytest", *arguments) for arguments in pytest_runs(sized)]
        codes += [subprocess.run(each, cwd=ROOT, check=False).returncode for each in runs]
    # Arguments may choose tests of one part only; that nothing at all was chosen is a failure.
    executed = [code for code in codes if code != PYTEST_NOTHING_COLLECTED] or [PYTEST_NOTHING_COLLECTED]
    if not statically_content:
        print("lint, types or import contracts failed: see above the tests", flush=True)
    return 0 if statically_content and not any(executed) else 1


def main(arguments: Sequence[str]) -> int:
    """Set up and start; return the exit code of tests, or become the demo."""
    plan = parse(arguments)
    try:
        set_up(ROOT, plan)
    except SetUpError as error:
        say(str(error))
        return EXIT_UNAVAILABLE
    return test(plan) if plan.mode == "test" else become_demo(plan)


def become_demo(plan: Plan) -> NoReturn:
    """Replace this process by the demo, so that a Ctrl-C has one receiver."""
    python = str(ROOT / ".venv/bin/python")
    os.execv(python, (python, "-m", "venuehub", "demo", *plan.rest))  # noqa: S606 - our own program, no shell wanted


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
