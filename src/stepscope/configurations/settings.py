"""What the user has declared: `stepscope.toml`, or `[tool.stepscope]` in `pyproject.toml`.

select = ["FRZ", "GRD"]
ignore = [{ code = "FRZ003", reason = "the statistics are meant to follow the new domain" }]

[intent]
frozen = ["backbone"]
losses = { loss_cls = 1.0, loss_contrastive = 0.1 }

[options.LOS003]
tolerance = 0.05
"""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from stepscope.configurations.table import Table
from stepscope.core import Rule
from stepscope.core.selection import Selection, select, unknown_code
from stepscope.evidence.intent import Intent

FILE, SHARED_FILE = "stepscope.toml", "pyproject.toml"


class Ignore(msgspec.Struct, frozen=True):
    """A rule whose findings are listed apart, and why they can be lived with."""

    code: str
    reason: str


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All settings, each with the default that holds where no file is found."""

    intent: Intent = Intent()
    select: tuple[str, ...] = ()  # codes, or beginnings of codes; none: all rules
    ignore: tuple[Ignore, ...] = ()
    options: dict[str, dict[str, object]] = {}  # code -> option -> value
    file: str = ""  # they were read from; not a key of the file


def load(file: Path | None, rules: Sequence[Rule]) -> Settings:
    """Read the settings from `file`, or from the nearest file in this folder or above.

    Raises:
        ValueError: the file cannot be read, or holds what stepscope does not know.
    """
    if file is None:
        found = next((found for folder in _upward() if (found := _found_in(folder))), None)
    else:
        found = _read(file)
        if found is None:
            raise ValueError(f"{file} has no [tool.stepscope] table")
    if found is None:
        return Settings()
    path, values, heading = found
    table = Table(path, heading)
    table.expect_keys(values, ("intent", "select", "ignore", "options"), inside=Intent)
    settings = table.typed(values, Settings)
    for code, options in settings.options.items():
        _expect_options(table, code, options, rules)
    return msgspec.structs.replace(settings, file=str(path))


def chosen(
    settings: Settings, rules: Sequence[Rule], codes: Sequence[str], ignore: Sequence[str]
) -> Selection:
    """Choose rules by the settings and by the command line, whose `codes` come first.

    Raises:
        ValueError: a code is unknown, or an ignore is without a reason.
    """
    pairs = [(each.code, each.reason) for each in settings.ignore]
    try:
        own = select(rules, settings.select, pairs)
    except ValueError as mistake:
        raise ValueError(f"{settings.file}: {mistake}") from None
    listed = [code.strip() for each in codes for code in each.split(",")]
    extra = [(code.strip(), reason) for code, _, reason in (each.partition("=") for each in ignore)]
    asked = select(rules, listed, extra)
    return Selection(asked.rules if listed else own.rules, {**own.ignored, **asked.ignored})


def _upward() -> tuple[Path, ...]:
    here = Path.cwd()
    return (here, *here.parents)


def _found_in(folder: Path) -> tuple[Path, dict[str, object], str] | None:
    for name in (FILE, SHARED_FILE):
        if (folder / name).is_file() and (found := _read(folder / name)):
            return found
    return None


def _read(file: Path) -> tuple[Path, dict[str, object], str] | None:
    """Return path, table and its heading; None for a `pyproject.toml` without our table."""
    try:
        values: dict[str, object] = tomllib.loads(file.read_text("utf-8"))
    except OSError as why:
        raise ValueError(f"{file} cannot be read: {why.strerror}") from why
    except UnicodeDecodeError as why:
        raise ValueError(f"{file} is not UTF-8 text") from why
    except tomllib.TOMLDecodeError as why:
        raise ValueError(f"{file} is not valid TOML: {why}") from why
    if file.name != SHARED_FILE:
        return file, values, ""
    tool = values.get("tool")
    ours = tool.get("stepscope") if isinstance(tool, dict) else None
    if ours is None:
        return None
    if not isinstance(ours, dict):
        wrong = f"{file}: tool.stepscope: expected a table, found {ours!r}"
        raise ValueError(wrong)  # noqa: TRY004 - one kind of error for all that a file may hold
    return file, ours, "tool.stepscope."


def _expect_options(
    table: Table, code: str, options: Mapping[str, object], rules: Sequence[Rule]
) -> None:
    rule = next((rule for rule in rules if rule.code == code), None)
    if rule is None:
        raise table.mistake(f"options.{code}", unknown_code(code, rules))
    table.expect_keys(options, tuple(rule.options), under=f"options.{code}")
    for name, value in options.items():
        default = rule.options[name]
        fits = type(value) is type(default) or (type(default) is float and type(value) is int)
        if not fits:
            wanted = f"expected a value like {default!r}, found {value!r}"
            raise table.mistake(f"options.{code}.{name}", wanted)
