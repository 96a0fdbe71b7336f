"""What a recording consists of: its header, and entries, one in each line of its files."""

from typing import Annotated, ClassVar

import msgspec

from stepscope.core import Finding, Recording, Severity
from stepscope.core.recording import sayable

Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]  # what every other tool can hold

FORMAT = 1  # raised when an older reader would misunderstand what is written
LONGEST = 64 * 2**20  # bytes of an entry; nothing longer is read


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """`run.json`: what is known of a run when it begins. Nothing in it tells the machine."""

    FILE: ClassVar[str] = "run.json"
    format: int = FORMAT
    stepscope: str  # the version that wrote it
    program: str  # "train.py", "-m open_clip_train.main"
    arguments: tuple[str, ...] = ()
    started: str  # local, with its distance to UTC: "2026-11-21T09:12:33+01:00"
    ranks: Annotated[int, msgspec.Meta(ge=1, le=2**20)] = 1  # processes of the run


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule found while the run went on."""

    step: int  # optimizer steps that were taken before
    seconds: float  # since the run began
    code: str  # of the rule
    severity: Severity
    finding: Finding


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """The evidence of a few steps that were observed in full."""

    step: int  # after which it was complete
    seconds: float
    seen: Recording


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """The last entry of a process that came to its end."""

    step: int
    seconds: float
    how: str  # "finished", "raised"


class Entry(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One line of a file, whatever it says, decoded only as far as its parts."""

    n: Count  # its number among all entries that this process wrote, from 1
    step: Count
    seconds: float
    numbers: dict[str, msgspec.Raw] = {}
    happened: list[dict[str, msgspec.Raw]] = []
    left_out: dict[str, int] = {}
    found: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    window: str = ""  # name of its file
    ended: str = ""

    @property
    def is_line(self) -> bool:
        """Tell whether it is a `Line`, and none of the others."""
        return self.found is msgspec.UNSET and not self.window and not self.ended


decode_entry = msgspec.json.Decoder(Entry).decode


def numbered(n: int, text: bytes) -> bytes:
    """Return the line of a file for an entry's JSON object."""
    return b'{"n":%d,%b\n' % (n, text[1:])


def written(step: int, seconds: float, **parts: object) -> bytes:
    """Return the JSON object of an entry that is no `Line`."""
    facts = {"step": step, "seconds": round(seconds, 3)} | parts
    return msgspec.json.encode(sayable(msgspec.to_builtins(facts)))
