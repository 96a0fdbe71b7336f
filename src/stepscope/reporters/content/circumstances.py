"""What a run ran on, what it warned of and what fed it: described, and not judged."""

from collections.abc import Callable

import msgspec

from stepscope.core import Place
from stepscope.core.recording import Recording
from stepscope.evidence.environment import Environment, Loaders, Message, Messages

MOST = 50  # messages that are listed


class EnvironmentEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Versions and devices, as the first process had them."""

    python: str
    torch: str
    platform: str
    devices: tuple[str, ...]  # of the parameters
    packages: dict[str, str]  # training libraries that were imported, with their versions


class MessageEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A warning, or a log record of level WARNING or above, once for each source line."""

    kind: str  # "UserWarning", "WARNING"
    source: str  # logger or module
    text: str  # the first time
    count: int
    at: Place


class LoaderEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A `DataLoader` that was iterated."""

    dataset: str
    size: int | None  # samples
    batch_size: int | None
    workers: int
    shuffled: bool
    drop_last: bool
    batches: int  # fetched while recording
    at: Place


Text = Callable[[str], str]
Placed = Callable[[Place], Place]


def environment(seen: Recording, text: Text) -> EnvironmentEntry | None:
    """Return what the run ran on, where it is known."""
    known = seen.get(Environment)
    if known is None:
        return None
    return EnvironmentEntry(
        python=text(known.python),
        torch=text(known.torch),
        platform=text(known.platform),
        devices=tuple(map(text, known.devices)),
        packages={text(name): text(version) for name, version in known.packages},
    )


def messages(seen: Recording) -> tuple[Message, ...]:
    """Return all that was warned of while recording."""
    known = seen.get(Messages)
    return known.messages if known is not None else ()


def message_entries(seen: Recording, text: Text, place: Placed) -> tuple[MessageEntry, ...]:
    """Return the first `MOST` messages."""
    return tuple(
        MessageEntry(
            kind=text(each.kind),
            source=text(each.source),
            text=text(each.text),
            count=each.count,
            at=place(each.at),
        )
        for each in messages(seen)[:MOST]
    )


def loader_entries(seen: Recording, text: Text, place: Placed) -> tuple[LoaderEntry, ...]:
    """Return the data loaders."""
    known = seen.get(Loaders)
    return tuple(
        LoaderEntry(
            dataset=text(each.dataset),
            size=each.size,
            batch_size=each.batch_size,
            workers=each.workers,
            shuffled=each.shuffled,
            drop_last=each.drop_last,
            batches=each.batches,
            at=place(each.at),
        )
        for each in (known.loaders if known is not None else ())
    )
