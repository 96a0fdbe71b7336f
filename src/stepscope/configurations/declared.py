"""The line of the settings file that a finding about what is declared there is to point at."""

import re
from pathlib import Path

from stepscope.core import Finding, Place

_QUOTED = re.compile(r"'([^']+)'")


def declared_at(finding: Finding, settings: str, root: str) -> Place | None:
    """Find the line that declares the finding's subject; None where it is about a module.

    `settings` is the file, relative to `root` or absolute; "" where there is none.
    """
    names = _names(finding)
    if not settings or not names:
        return None
    try:
        lines = Path(root, settings).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):  # the program may have moved it away
        return None
    for name in names:
        for number, line in enumerate(lines, 1):
            if _declares(line, name):
                return Place(file=settings, line=number)
    return None


def _names(finding: Finding) -> list[str]:
    """Return what the settings may call the subject, the most exact first."""
    subject = finding.subject
    element = finding.at.parameter or finding.at.module
    quoted = _QUOTED.findall(subject)
    if element:  # it is in the model, unless the declared name itself stands for it
        return [each for each in quoted if each == element]
    return [*quoted, subject, *subject.split()[:1]]


def _declares(line: str, name: str) -> bool:
    """Tell whether a line of TOML, before any comment, has a name in quotes or as a key."""
    known = re.escape(name)
    code = "" if line.lstrip().startswith("#") else line.partition(" #")[0]
    return bool(re.search(rf"""(["']){known}\1|(?<![\w.-]){known}\s*=""", code))
