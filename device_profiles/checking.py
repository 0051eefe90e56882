"""Rules that a profile must keep beyond its shape. One function per rule; each returns what is wrong, or nothing."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from device_profiles.golden_cases import problem_of
from device_profiles.loading import SettingsError, load_catalog, load_profile
from device_profiles.matching import coin_inputs
from device_profiles.schema import MAX_POSITIONS, SHORTEST_PULSE_MS, Profile
from payment_core.wording import counted

SHORTEST_SOURCE: Final = 20
FEWEST_CASES: Final = 3

_KIND_TABLES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "reader": ("reader", "vend"),
        "acceptor": ("acceptor", "vend"),
        "dispenser": ("hopper", "tickets"),
        "output": ("pulse", "vend", "io"),
        "scanner": ("scanner",),
        "module": ("biometric", "io"),
    }
)
"""Per kind the tables of which a profile has exactly one."""
_FOLDERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "reader": "readers",
        "acceptor": "acceptors",
        "dispenser": "dispensers",
        "output": "outputs",
        "scanner": "scanners",
        "module": "biometrics",
    }
)

Rule = Callable[[Profile, Path], str]


def named_as_its_file(profile: Profile, path: Path) -> str:
    """A profile is found by its name: the file carries it."""
    return "" if path.stem == profile.name else f"name is {profile.name!r}, the file {path.name!r}. Give both one name."


def in_the_folder_of_its_kind(profile: Profile, path: Path) -> str:
    """Each kind has its folder; modules of lines have one of their own."""
    folder = "sensors" if profile.kind == "module" and profile.io is not None else _FOLDERS[profile.kind]
    return "" if path.parent.name == folder else f"a profile of kind {profile.kind!r} belongs into {folder}/."


def one_transport(profile: Profile, _path: Path) -> str:
    """A device is on a UART, on lines, on USB keys or behind PC/SC, never on two of them."""
    names = ("serial", "lines", "hid", "pcsc")
    chosen = [name for name in names if getattr(profile.transport, name) is not None]
    return "" if len(chosen) == 1 else "transport has to hold exactly one of transport.serial, .lines, .hid and .pcsc."


def table_of_its_kind(profile: Profile, _path: Path) -> str:
    """A reader has [reader], an output [pulse] or another of its kind's tables, exactly one, and none has another's."""
    allowed = _KIND_TABLES[profile.kind]
    every = sorted({table for tables in _KIND_TABLES.values() for table in tables})
    there = [table for table in every if getattr(profile, table, None) is not None]
    for table in there:
        if table not in allowed:
            return f"[{table}] does not belong to a profile of kind {profile.kind!r}. Remove it."
    wanted = " or ".join(f"[{table}]" for table in allowed)
    if not there:
        return f"a profile of kind {profile.kind!r} needs {wanted}. Add it."
    return "" if len(there) == 1 else f"a profile of kind {profile.kind!r} has one table, {wanted}. Remove the others."


def positions_can_be(profile: Profile, _path: Path) -> str:
    """An acceptor knows at least one position, and only 1 to 16."""
    if profile.acceptor is None:
        return ""
    wrong = [number for number in profile.acceptor.positions if not 1 <= number <= MAX_POSITIONS]
    if wrong:
        return f"acceptor.positions.{wrong[0]}: positions are numbered 1 to {MAX_POSITIONS}."
    return "" if profile.acceptor.positions else "acceptor.positions is empty: name at least one coin."


def pulses_are_seen(profile: Profile, _path: Path) -> str:
    """A pulse and its gap are long enough for every machine to count."""
    if profile.pulse is None:
        return ""
    for name in ("width_ms", "gap_ms"):
        value = getattr(profile.pulse, name)
        if value < SHORTEST_PULSE_MS:
            return f"pulse.{name} = {value}: machines ignore less than {SHORTEST_PULSE_MS} ms. Write 50."
    return ""


def roles_are_told_apart(profile: Profile, _path: Path) -> str:
    """A line has one direction, and only a named line can be optional."""
    lines = profile.transport.lines
    if lines is None:
        return ""
    roles = [*lines.outputs, *lines.inputs]
    twice = sorted({role for role in roles if roles.count(role) > 1})
    if twice:
        return f"transport.lines names {twice[0]!r} twice. A line is an output or an input, once."
    unknown = sorted(set(lines.optional) - set(roles))
    return f"transport.lines.optional names {unknown[0]!r}, which is no line of it." if unknown else ""


def coin_line_has_a_coin(profile: Profile, _path: Path) -> str:
    """The driver `coin_line` pulses the output `coin`, a `meter` beside it, and looks at the input `ready` at most."""
    lines = profile.transport.lines
    outputs = lines.outputs if lines else ()
    if profile.driver != "coin_line" or (
        lines and outputs in {("coin",), ("coin", "meter")} and set(lines.inputs) <= {"ready"}
    ):
        return ""
    return 'driver "coin_line" needs transport.lines.outputs = ["coin"] or with "meter", and at most the input "ready".'


def lines_are_those_of_the_table(profile: Profile, _path: Path) -> str:
    """Every line that a table speaks of is a role of the transport, and the other way round."""
    wanted = _roles_of(profile)
    if wanted is None:
        return ""
    lines = profile.transport.lines
    if lines is None:
        return f"driver {profile.driver!r} needs transport.lines. Add it."
    for name, there, roles in zip(("outputs", "inputs"), (lines.outputs, lines.inputs), wanted, strict=True):
        must, may = roles
        if not must <= set(there) <= must | may:
            return f"transport.lines.{name} has to be {sorted(must)}{f' and may have {sorted(may)}' if may else ''}."
    return ""


Roles = tuple[frozenset[str], frozenset[str]]
"""Those that must be there and those that may be."""


def _roles_of(profile: Profile) -> tuple[Roles, Roles] | None:
    """Return outputs and inputs that the profile's table speaks of; None for another kind of transport."""
    none: frozenset[str] = frozenset()
    if profile.acceptor is not None and profile.acceptor.pulses is not None:
        return (none, frozenset({"accept"})), (frozenset(coin_inputs(profile.acceptor)), none)
    if profile.tickets is not None:
        return (frozenset({"run"}), none), (frozenset({"notch"}), frozenset({"error"}))
    if profile.io is not None:
        return (frozenset(profile.io.outputs), none), (frozenset(profile.io.inputs), none)
    return None


def counter_has_somebody_who_reads_it(profile: Profile, _path: Path) -> str:
    """Only a device that takes or gives money has a counter worth reading back."""
    if profile.read_back == "none" or profile.kind in {"acceptor", "dispenser"}:
        return ""
    return f'read_back = "counter" is for acceptors and dispensers, not for kind {profile.kind!r}.'


def evidence_is_named(profile: Profile, _path: Path) -> str:
    """The source names a paper that somebody else can open."""
    if len(profile.source) >= SHORTEST_SOURCE:
        return ""
    return f"source = {profile.source!r} says too little: name the paper, its version and the page."


def a_simulator_stands_in(profile: Profile, _path: Path) -> str:
    """Nobody without hardware is left out: every device also exists as a simulator."""
    return "" if profile.simulator else "simulator is missing: name one of firmware_bridge/simulators/kinds.py."


def golden_cases_can_be_played(profile: Profile, _path: Path) -> str:
    """Each case has a name of its own and is written for the transport that the profile has."""
    names = [case.name for case in profile.golden]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        return f"two golden cases are called {twice[0]!r}. Give one another name."
    for case in profile.golden:
        on_serial = case.replies or case.says or case.sends or case.once or case.never
        wrong = on_serial if profile.transport.lines is not None else case.edges or case.levels
        problem = "it is written for another transport" if wrong else problem_of(case)
        if problem:
            return f"golden {case.name!r}: {problem}."
    return ""


def golden_cases_prove_something(profile: Profile, _path: Path) -> str:
    """A page is finished when its driver was seen to do right, also in trouble."""
    if len(profile.golden) < FEWEST_CASES:
        return f"{counted(len(profile.golden), 'golden case')}, too few: write {FEWEST_CASES}, one with a fault."
    return "" if any(case.fault for case in profile.golden) else "no golden case has a fault: add one (fault = true)."


RULES: Final[tuple[Rule, ...]] = (
    named_as_its_file,
    in_the_folder_of_its_kind,
    one_transport,
    table_of_its_kind,
    positions_can_be,
    pulses_are_seen,
    roles_are_told_apart,
    coin_line_has_a_coin,
    lines_are_those_of_the_table,
    counter_has_somebody_who_reads_it,
    evidence_is_named,
    a_simulator_stands_in,
    golden_cases_can_be_played,
    golden_cases_prove_something,
)


OF_THE_RELEASE: Final = frozenset({in_the_folder_of_its_kind, a_simulator_stands_in, golden_cases_prove_something})
"""Rules that a venue's own page need not keep."""


def check_profile(profile: Profile, path: Path) -> list[str]:
    """Return everything that is wrong with a profile, each with its file."""
    return [f"{path.name}: {problem}" for rule in RULES if (problem := rule(profile, path))]


def load_catalog_with(own: str, *, beside: Path) -> dict[str, Profile]:
    """Return the profiles of this release and those of a venue's folder `own`, seen from the settings file `beside`.

    Nothing for `own`: only the first. SettingsError where the folder or a page of it cannot be used.
    """
    if not own:
        return load_catalog()
    folder = beside.parent / own
    if not folder.is_dir():
        message = f"{beside.name}: profiles = {own!r}: {folder} is no folder. Correct it."
        raise SettingsError(message)
    return load_catalog_and(folder)


def load_catalog_and(folder: Path | None) -> dict[str, Profile]:
    """Return the profiles of this release and those of a venue's folder; SettingsError where one cannot be used."""
    catalog = load_catalog()
    for file in sorted(folder.glob("*.toml")) if folder is not None else ():
        profile = load_profile(file)
        problems = [rule(profile, file) for rule in RULES if rule not in OF_THE_RELEASE]
        if profile.name in catalog:
            problems.append(f"{profile.name!r} is in this release too. Give yours another name.")
        for problem in filter(None, problems):
            message = f"{file.name}: {problem}"
            raise SettingsError(message)
        catalog[profile.name] = profile
    return catalog
