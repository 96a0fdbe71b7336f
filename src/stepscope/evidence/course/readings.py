"""Which settings of a configuration were read, where, and in which phase."""

import enum
from typing import ClassVar

import msgspec

from stepscope.core import Evidence, Place
from stepscope.evidence.course.line import Happening


class Phase(enum.Enum):
    """When a setting was read."""

    BUILD = "before the first step"
    TRAINING = "in training"
    EVALUATION = "without gradients"  # after the first step


class Read(msgspec.Struct, frozen=True, kw_only=True):
    """A setting was read at a line, the first time there in this phase."""

    key: str  # dotted: "model.dim"
    phase: Phase
    at: Place
    into: str = ""  # the call that it is an argument of: "build_model"
    call_line: int = 0  # where that call begins


class DeclaredModule(msgspec.Struct, frozen=True, kw_only=True):
    """A table of a configuration names the class that it stands for."""

    key: str  # "model.neck"
    kind: str  # "Neck"
    within: str = ""  # what the nearest table around it names; "" at the outside
    by_path: bool = False  # by an import path, as Hydra does, and not by a name that is registered


class ConfigurationRead(Happening, frozen=True, kw_only=True):
    """How a configuration was used, told when the run ends. `at` is the line that made it."""

    kind: str  # "argparse.Namespace"
    keys: tuple[str, ...]
    given: tuple[str, ...]  # of these, with another value than their default
    switches: tuple[str, ...]  # of these given, that are true or false
    reads: tuple[Read, ...]
    handed_on: Place | None  # where all settings were read at once; None: nowhere
    unseen: str = ""  # why not every read was seen
    modules: tuple[DeclaredModule, ...] = ()


class ConfigurationsRead(Evidence, frozen=True, kw_only=True):
    """The configurations of the run, once it is over."""

    obtained_by: ClassVar[str] = (
        "a configuration (argparse, OmegaConf, yacs, MMEngine, or given to `watch_config`), "
        "and the end of the run"
    )
    happening: ClassVar[type[Happening]] = ConfigurationRead
    seen: tuple[tuple[int, ConfigurationRead], ...]
    count: int
