"""What ran, on what, how far, and what it said while it ran."""

import enum
from typing import ClassVar

import msgspec

from stepscope.core import Evidence, Place


class Ending(enum.Enum):
    """Why the recording stopped."""

    RECORDED = "recorded"  # all the steps that were asked for
    FINISHED = "finished"  # the program ended first
    RAISED = "raised"  # the program raised
    TIMED_OUT = "timed-out"


class Run(Evidence, frozen=True, kw_only=True):
    """The run as a whole."""

    obtained_by: ClassVar[str] = "a program to run"
    program: str  # "train.py", "-m open_clip_train.main"
    steps: int  # recorded
    asked: int
    ending: Ending
    error: str = ""  # of the program: "ValueError: ..."
    error_at: Place | None = None
    compiled: bool = False  # torch.compile was used; the recorded steps ran eagerly
    rank: int = 0
    world_size: int = 1
    wall_s: float = 0.0
    faults: tuple[str, ...] = ()  # of the observer: a probe that failed, with what it said
    elsewhere: str = ""  # "a forked process": where steps were taken that nothing observed


class Beginning(Evidence, frozen=True, kw_only=True):
    """There if the recorded steps are the first of the run: what was never done is known then."""

    obtained_by: ClassVar[str] = "the first steps of a run"


class Environment(Evidence, frozen=True, kw_only=True):
    """What it ran on."""

    obtained_by: ClassVar[str] = "a program to run"
    python: str
    torch: str
    platform: str
    devices: tuple[str, ...]  # of the parameters: "cpu", "cuda:0 NVIDIA H100"
    packages: tuple[tuple[str, str], ...] = ()  # training libraries that were imported


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A warning or a log record of level WARNING and above, once for each source line."""

    kind: str  # "UserWarning", "WARNING"
    source: str  # logger or module
    text: str
    count: int
    at: Place = Place()


class Messages(Evidence, frozen=True, kw_only=True):
    """What the program and its libraries warned of."""

    obtained_by: ClassVar[str] = "a program to run"
    messages: tuple[Message, ...]


class Loader(msgspec.Struct, frozen=True, kw_only=True):
    """One `DataLoader` that was iterated."""

    dataset: str  # class name
    size: int | None  # samples
    batch_size: int | None
    workers: int
    shuffled: bool
    drop_last: bool
    batches: int  # fetched while recording
    at: Place = Place()


class Loaders(Evidence, frozen=True, kw_only=True):
    """The data loaders of the run."""

    obtained_by: ClassVar[str] = "a torch DataLoader"
    loaders: tuple[Loader, ...]


class NonFinite(msgspec.Struct, frozen=True, kw_only=True):
    """The first module of a step that gave nan or inf from finite inputs and parameters."""

    step: int
    module: str
    kind: str  # "nan", "inf"
    inputs_finite: bool
    parameters_finite: bool
    what: str  # "output", "loss", "gradient", "parameter"
    at: Place = Place()


class Numerics(Evidence, frozen=True, kw_only=True):
    """Losses, gradients and module outputs that are not finite."""

    obtained_by: ClassVar[str] = "a backward call"
    non_finite: tuple[NonFinite, ...]
    losses_read: int
