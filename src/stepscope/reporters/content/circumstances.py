"""What a run ran on, what it warned of and what fed it: described, and not judged."""

from collections.abc import Callable

import msgspec

from stepscope.core import Place
from stepscope.core.recording import Recording
from stepscope.evidence.environment import Environment, Loaders, Message, Messages
from stepscope.evidence.optimizers import Optimizers
from stepscope.reporters.content.checkpoint import Section

MOST = 50  # messages that are listed
LISTED = 12  # groups of parameters


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


def described(seen: Recording) -> tuple[Section, ...]:
    """Return the same as tables for people: optimizers, loaders, warnings, versions."""
    found = [_groups(seen.get(Optimizers)), _loaders(seen), _warnings(seen), _versions(seen)]
    return tuple(section for section in found if section is not None and section.rows)


def _groups(optimizers: Optimizers | None) -> Section | None:
    if optimizers is None:
        return None
    return Section(
        title="optimizers",
        columns=("group", "parameters", "first", "lr", "weight decay"),
        right=(1, 3, 4),
        rows=tuple(
            (
                group.label or f"{optimizers.optimizers[group.optimizer].kind} {group.index}",
                str(len(group.parameters)),
                next(iter(group.parameters), ""),
                _rates(group.lrs),
                f"{group.weight_decay:g}",
            )
            for group in optimizers.groups[:LISTED]
        ),
    )


def _rates(lrs: tuple[float, ...]) -> str:
    if not lrs:
        return "never stepped"
    return f"{lrs[0]:.4g}" if lrs[0] == lrs[-1] else f"{lrs[0]:.4g} to {lrs[-1]:.4g}"


def _loaders(seen: Recording) -> Section:
    known = seen.get(Loaders)
    return Section(
        title="data",
        columns=("data set", "samples", "batch size", "workers", "shuffled", "drop last"),
        right=(1, 2, 3),
        rows=tuple(
            (
                each.dataset,
                "unknown" if each.size is None else f"{each.size:,}",
                "unknown" if each.batch_size is None else str(each.batch_size),
                str(each.workers),
                "yes" if each.shuffled else "no",
                "yes" if each.drop_last else "no",
            )
            for each in (known.loaders if known is not None else ())
        ),
    )


def _warnings(seen: Recording) -> Section:
    listed = messages(seen)[:MOST]
    return Section(
        title="warnings of the program",
        columns=("kind", "from", "said", "times"),
        right=(3,),
        rows=tuple((each.kind, each.source, each.text, str(each.count)) for each in listed),
    )


def _versions(seen: Recording) -> Section | None:
    known = seen.get(Environment)
    if known is None:
        return None
    versions = [("python", known.python), ("torch", known.torch), *known.packages]
    return Section(
        title="environment",
        rows=(
            ("platform", known.platform),
            ("devices", ", ".join(known.devices)),
            ("versions", ", ".join(f"{name} {version}" for name, version in versions)),
        ),
    )
