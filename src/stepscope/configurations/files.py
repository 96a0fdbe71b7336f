"""Tables in TOML, YAML and JSON."""

import json
import tomllib
from pathlib import Path

import yaml

SUFFIXES = (".toml", ".yaml", ".yml", ".json")
LARGEST = 1 << 20  # bytes; what people write by hand is smaller


def read_table(path: Path) -> dict[str, object]:
    """Read the table that a file holds; its suffix says how it is written.

    YAML is read without tags, so that nothing in it is built or called.

    Raises:
        ValueError: there is no such file, it is not valid, or what it holds is no table.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"{path}: expected a file that ends with {', '.join(SUFFIXES)}")
    try:
        if path.stat().st_size > LARGEST:
            raise ValueError(f"{path} is larger than 1 MiB; that is no configuration")
        text = path.read_text("utf-8")
    except OSError as why:
        raise ValueError(f"{path} cannot be read: {why.strerror}") from why
    except UnicodeDecodeError as why:
        raise ValueError(f"{path} is not UTF-8 text") from why
    values = _parsed(path, text)
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        what = type(values).__name__
        raise ValueError(f"{path}: expected a table of named values, found {what}")
    return values


def _parsed(path: Path, text: str) -> object:
    try:
        match path.suffix.lower():
            case ".toml":
                return tomllib.loads(text)
            case ".json":
                return json.loads(text)
            case _:
                return yaml.safe_load(text)
    except (tomllib.TOMLDecodeError, json.JSONDecodeError, yaml.YAMLError, RecursionError) as why:
        said = " ".join(str(why).split())
        raise ValueError(f"{path} cannot be understood: {said}") from why
