"""Which classes of modules were built, and whether any of a class was ever used."""

from typing import ClassVar

import msgspec

from stepscope.core import Evidence
from stepscope.evidence.course.line import Happening


class ModuleUse(msgspec.Struct, frozen=True, kw_only=True):
    """One class of modules, by its name: of the program's own, or one that is declared."""

    kind: str  # "MemoryBank"
    built: int  # modules of this class
    used: bool | None  # called, asked for a tensor, a method or a part; None: not known


class ModulesUsed(Happening, frozen=True, kw_only=True):
    """Told when the run ends."""

    modules: tuple[ModuleUse, ...]
    others: tuple[str, ...] = ()  # classes of libraries that were built too
    is_whole: bool = True  # what was built before the training was seen as well
    is_complete: bool = True  # none was left out


class ModuleUses(Evidence, frozen=True, kw_only=True):
    """The classes of modules, once the run is over."""

    obtained_by: ClassVar[str] = "modules that are built, and the end of the run"
    happening: ClassVar[type[Happening]] = ModulesUsed
    seen: tuple[tuple[int, ModulesUsed], ...]
    count: int
