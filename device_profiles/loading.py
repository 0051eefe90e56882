"""Reading TOML strictly: every error names file, place, value and remedy. All our settings files come this way."""

import difflib
import re
import tomllib
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
from msgspec import inspect

from device_profiles.schema import Profile
from payment_core.errors import DECODE_FAULTS

CATALOG: Final = Path(__file__).parent / "catalog"
MAX_FILE_BYTES: Final = 1 << 20
"""Nobody types a megabyte of settings; a larger file is the wrong file."""

T = TypeVar("T", bound=msgspec.Struct)
Table = dict[str, Any]
Step = str | int

_PLAIN_WORDS: Final = {
    "int": "a whole number",
    "str": "text in quotes",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
    "float": "a number",
}
_PATH: Final = re.compile(r"^(?P<problem>.*?)(?: - at `(?P<where>.*)`)?$", re.DOTALL)
_STEP: Final = re.compile(r"\.([A-Za-z0-9_-]+)|\[(\d+|\.\.\.)\]")
_UNKNOWN: Final = re.compile(r"unknown field `(.+)`")
_MISSING: Final = re.compile(r"missing required field `(.+)`")
_TOO_SMALL: Final = re.compile(r"Expected `int` >= (-?\d+)$")
_WRONG_TYPE: Final = re.compile(r"Expected `([^`]+)`, got `[^`]+`$")


class SettingsError(Exception):
    """A settings file cannot be used; the text names file, place, value and remedy."""


def read_toml(path: Path) -> Table:
    """Return the tables of a TOML file; SettingsError where it is missing, unreadable or not TOML."""
    data = _read(path)
    try:
        return tomllib.loads(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        message = f"{path}: byte {error.start} is not UTF-8. Save the file as UTF-8."
        raise SettingsError(message) from error
    except tomllib.TOMLDecodeError as error:
        message = f"{path.name}: not TOML: {error}. Correct that line."
        raise SettingsError(message) from error


def read_table(path: Path) -> Table:
    """Return the tables of a TOML file, or of a JSON file named `.json`; SettingsError as `read_toml`."""
    if path.suffix != ".json":
        return read_toml(path)
    data = _read(path)
    try:
        return msgspec.json.decode(data, type=Table)
    except (*DECODE_FAULTS, ValueError) as error:
        message = f"{path.name}: not a table in JSON: {error}. Correct it there."
        raise SettingsError(message) from error


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            message = f"{path}: larger than {MAX_FILE_BYTES} bytes. Is this the settings file?"
            raise SettingsError(message)
        return path.read_bytes()
    except FileNotFoundError as error:
        message = f"{path}: there is no such file. Check the path."
        raise SettingsError(message) from error
    except OSError as error:
        message = f"{path}: cannot be read ({error.strerror}). Check its owner and mode."
        raise SettingsError(message) from error


def convert_strictly(table: Mapping[str, Any], shape: type[T], *, file: str) -> T:
    """Return `table` as `shape`; SettingsError speaks of `file` in the words of the person who typed it."""
    try:
        return msgspec.convert(table, shape, str_keys=True)
    except msgspec.ValidationError as error:
        message = f"{file}: {_explain(str(error), table, shape)}"
        raise SettingsError(message) from error


def read_strictly(path: Path, shape: type[T]) -> T:
    """Read a TOML file into `shape`."""
    return convert_strictly(read_toml(path), shape, file=path.name)


def did_you_mean(word: str, known: list[str], *, prefix: str = "") -> str:
    """Return ` Did you mean X?`, or the list of what is known, or nothing where nothing is."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    if close:
        return f" Did you mean {prefix}{close[0]}?"
    return f" Known: {', '.join(sorted(known))}." if known else ""


def place_of(table: Mapping[str, Any], steps: list[Step]) -> str:
    """Return where `steps` lead as people say it: `device "washer-2": pulse.width_ms`."""
    parts: list[str] = []
    dotted: list[str] = []
    here: Any = table
    for step in steps:
        here = _child(here, step)
        if isinstance(step, int):
            name = here.get("id") if isinstance(here, Mapping) else None
            label = f'"{name}"' if isinstance(name, str) else f"number {step + 1}"
            parts.append(" ".join(word for word in (".".join(dotted), label) if word))
            dotted = []
        else:
            dotted.append(step)
    return ": ".join([*parts, ".".join(dotted)] if dotted else parts)


def load_profile(path: Path) -> Profile:
    """Return one page of the catalog."""
    return read_strictly(path, Profile)


def load_catalog(folder: Path = CATALOG) -> dict[str, Profile]:
    """Return all profiles by name; SettingsError where one is wrong or two share a name."""
    catalog: dict[str, Profile] = {}
    for path in sorted(folder.rglob("*.toml")):
        profile = load_profile(path)
        if profile.name in catalog:
            message = f"{path}: a profile {profile.name!r} is already in the catalog. Give this one another name."
            raise SettingsError(message)
        catalog[profile.name] = profile
    return catalog


def profile_schema() -> bytes:
    """Return the JSON Schema of a profile, for editors that check TOML."""
    return msgspec.json.format(msgspec.json.encode(msgspec.json.schema(Profile)), indent=2)


def _child(node: Any, step: Step) -> Any:  # noqa: ANN401 - TOML has values of any type
    """Return what lies one step deeper, None where nothing does."""
    if isinstance(node, Mapping) and isinstance(step, str):
        return node.get(step)
    if isinstance(node, list) and isinstance(step, int) and step < len(node):
        return node[step]
    return None


def _steps(where: str) -> list[Step]:
    """Return the steps of a msgspec path such as `$.device[0].pulse`; a dict's values have no step of their own."""
    steps: list[Step] = []
    for name, index in _STEP.findall(where):
        if name:
            steps.append(name)
        elif index != "...":
            steps.append(int(index))
    return steps


def _type_at(shape: type[msgspec.Struct], steps: list[Step]) -> inspect.Type:
    """Return the type that `steps` lead to."""
    node: inspect.Type = inspect.type_info(shape)
    for step in steps:
        if isinstance(node, inspect.StructType):
            node = _inside(next(field.type for field in node.fields if field.encode_name == step))
        elif isinstance(node, inspect.ListType | inspect.VarTupleType):
            node = _inside(node.item_type)
    return node


def _fields_at(shape: type[msgspec.Struct], steps: list[Step]) -> list[str]:
    """Return the settings that may stand in the table at `steps`."""
    node = _type_at(shape, steps)
    return [field.encode_name for field in node.fields] if isinstance(node, inspect.StructType) else []


def _choices_at(shape: type[msgspec.Struct], steps: list[Step]) -> list[str]:
    """Return the words that may stand at `steps` where only some may."""
    node = _type_at(shape, steps)
    return [str(value) for value in node.values] if isinstance(node, inspect.LiteralType) else []


def _inside(node: inspect.Type) -> inspect.Type:
    """Return the part of an optional type that has an inside."""
    if isinstance(node, inspect.UnionType):
        return next((part for part in node.types if not isinstance(part, inspect.NoneType)), node)
    return node


def _explain(text: str, table: Mapping[str, Any], shape: type[msgspec.Struct]) -> str:
    """Translate msgspec's sentence into ours."""
    match = _PATH.match(text)
    problem, where = (match["problem"], match["where"] or "$") if match else (text, "$")
    steps = _steps(where)
    if unknown := _UNKNOWN.search(problem):
        prefix = "".join(f"{step}." for step in _tail(steps))
        remedy = did_you_mean(unknown[1], _fields_at(shape, steps), prefix=prefix)
        return f"{place_of(table, [*steps, unknown[1]])} is not a setting.{remedy}"
    if missing := _MISSING.search(problem):
        return f"{place_of(table, [*steps, missing[1]])} is missing. Add it."
    value: Any = table
    for step in steps:
        value = _child(value, step)
    text = value.isoformat() if isinstance(value, date) else repr(value)
    said = f"{place_of(table, steps)} = {text}" if steps else "the file"
    if "timezone component" in problem:
        return f"{said}: write it with its offset from UTC, as in 2026-12-01T06:00:00+08:00."
    if wrong := _WRONG_TYPE.search(problem):
        wanted = " or ".join(_PLAIN_WORDS.get(word, word) for word in wrong[1].split(" | ") if word != "null")
        return f"{said}: write {wanted}."
    choices = _choices_at(shape, steps)
    if choices:
        return f"{said} is not known.{did_you_mean(str(value), choices)}"
    if small := _TOO_SMALL.search(problem):
        problem = f"it is too small. Write a whole number of {small[1]} or more"
    return f"{said} is not allowed: {problem[0].lower()}{problem[1:]}."


def _tail(steps: list[Step]) -> list[str]:
    """Return the names after the last list index: what is written inside one table of a list."""
    tail: list[str] = []
    for step in steps:
        tail = [] if isinstance(step, int) else [*tail, step]
    return tail
