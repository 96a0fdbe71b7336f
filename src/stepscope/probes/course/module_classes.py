"""Classes of modules: whose they are, and which there are."""

import sys
from types import ModuleType

from stepscope.probes.source_lines import PROGRAM, kind_of_file


def origin_of(kind: type) -> int:
    """Tell whose class it is; torch's own are of the MACHINERY."""
    home: ModuleType | None = sys.modules.get(kind.__module__)
    file = getattr(home, "__file__", None)
    return PROGRAM if file is None else kind_of_file(file)


def below(kind: type) -> set[type]:
    """Return all classes that inherit from one."""
    found: set[type] = set()
    waiting = [kind]
    while waiting:
        direct: list[type] = type.__subclasses__(waiting.pop())
        for each in direct:
            if each not in found:
                found.add(each)
                waiting.append(each)
    return found
