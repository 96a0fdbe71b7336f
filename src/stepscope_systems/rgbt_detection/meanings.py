"""What an option means: the words beside its field in `config.py`, which `--help` repeats."""

import inspect
import re

_FIELD = re.compile(r"^    (?P<name>\w+): .*?  # (?P<meaning>.+)$", re.MULTILINE)


def meanings(section: type) -> dict[str, str]:
    """Return the comment of each field that has one, by its name."""
    return {
        found["name"]: found["meaning"] for found in _FIELD.finditer(inspect.getsource(section))
    }


def heading(section: type) -> str:
    """Return the first sentence of its docstring, without its end."""
    assert section.__doc__ is not None, "every section says what it is"
    return section.__doc__.splitlines()[0].rstrip(".")
