"""Which checkpoints of a folder were trained under a finding: listed, explained, never deleted."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from stepscope.checkpoint_files.content import UnreadableCheckpoint
from stepscope.checkpoint_files.contents.describing import describe
from stepscope.checkpoint_files.contents.symptoms import Symptom, symptom
from stepscope.evidence.checkpoint_file import Taint, Taints

SUFFIXES = (".pt", ".pth", ".ckpt", ".safetensors", ".bin", ".tar", ".pkl")
MARKS = (".metadata", "model.safetensors", "pytorch_model.bin", "model.safetensors.index.json")
LARGEST_REPORT = 64 << 20  # bytes


class _At(msgspec.Struct, frozen=True):
    file: str = ""
    line: int = 0
    module: str = ""
    parameter: str = ""


class _Finding(msgspec.Struct, frozen=True):
    rule: str
    severity: str
    subject: str
    at: _At = _At()


class _Run(msgspec.Struct, frozen=True):
    program: str
    root: str
    wall_s: float = 0.0


class _Report(msgspec.Struct, frozen=True):
    """What is needed of a report of `check --format json`."""

    findings: tuple[_Finding, ...]
    passed: tuple[str, ...]
    run: _Run


@dataclass(frozen=True, slots=True)
class Defect:
    """A finding, and when a program is known to have had it."""

    code: str
    modules: tuple[str, ...] = ()  # that the finding is about
    source: Path | None = None  # the file that it points at
    began: float | None = None  # of the run that was judged, seconds since the epoch
    repaired: float | None = None  # when a later report of the same program passed the rule
    reported: str = ""  # name of the report
    repaired_by: str = ""


def defects(what: str) -> tuple[Defect, ...]:
    """Return the defects that a report names, or the one whose code is given.

    Errors and warnings of the report count, notes do not. Its own time is that of its file.

    Raises:
        ValueError: the report cannot be read, or has no finding.
    """
    path = Path(what)
    if path.suffix != ".json":
        return (Defect(what),)
    report = _read(path)
    ended = path.stat().st_mtime
    later = _later(path, report, ended)
    found: dict[str, list[_Finding]] = {}
    for each in report.findings:
        if each.severity != "note":
            found.setdefault(each.rule, []).append(each)
    if not found:
        raise ValueError(f"{path} has no error and no warning: nothing is tainted by it")
    return tuple(
        Defect(
            code,
            modules=tuple(dict.fromkeys(m for each in each_of if (m := _module(each.at)))),
            source=next((Path(report.run.root, e.at.file) for e in each_of if e.at.file), None),
            began=ended - report.run.wall_s,
            repaired=next((when for when, other, _ in later if code in other.passed), None),
            reported=path.name,
            repaired_by=next((name for _, other, name in later if code in other.passed), ""),
        )
        for code, each_of in found.items()
    )


def taints(
    folder: Path, known: Sequence[Defect], begun: Callable[[Path], None] = lambda _: None
) -> Taints:
    """Judge every checkpoint of a folder, and of the folders below it.

    `begun` is told each checkpoint before it is read.

    Raises:
        ValueError: there is no checkpoint in the folder.
    """
    paths = sorted(checkpoints(folder))
    if not paths:
        raise ValueError(f"{folder} has no checkpoint in it ({', '.join(SUFFIXES)})")
    found: list[Taint] = []
    unreadable: list[str] = []
    for path in paths:
        begun(path)
        name = path.relative_to(folder).as_posix()
        try:
            evidence = describe(path, name=name).evidence
        except UnreadableCheckpoint as why:
            unreadable.append(f"{name}: {why.found}")
            continue
        symptoms = [(each, symptom(each.code, each.modules, evidence)) for each in known]
        found.append(_verdict(name, _written(path), symptoms))
    return Taints(
        folder=str(folder),
        codes=tuple(each.code for each in known),
        checkpoints=tuple(found),
        unreadable=tuple(unreadable),
    )


def checkpoints(folder: Path) -> Iterator[Path]:
    """Yield files that look like checkpoints, and folders that are one. Links are not followed."""
    if any((folder / mark).exists() for mark in MARKS):
        yield folder
        return
    for path in folder.iterdir():
        if path.is_symlink():
            continue
        if path.is_dir():
            yield from checkpoints(path)
        elif path.suffix in SUFFIXES and path.is_file():
            yield path


def _verdict(name: str, written: float, symptoms: Sequence[tuple[Defect, Symptom | None]]) -> Taint:
    reasons: list[str] = []
    against: list[str] = []
    words: list[str] = []
    for defect, seen in symptoms:
        lead = f"{defect.code}: " if len(symptoms) > 1 else ""
        if seen is not None:
            (reasons if seen.is_there else against).append(lead + seen.reason)
            if seen.is_there:
                words.append(seen.confidence)
        told = _by_time(defect, written)
        if told is None:
            continue
        is_within, reason, confidence = told
        if seen is not None and not seen.is_there and seen.confidence == "certain":
            continue  # the file itself says more than the clock
        (reasons if is_within else against).append(lead + reason)
        if is_within:
            words.append(confidence)
    order = ("certain", "likely", "possible")
    if words:
        return Taint(
            path=name,
            is_tainted=True,
            confidence=min(words, key=order.index),
            reasons=tuple(reasons),
        )
    return Taint(
        path=name,
        is_tainted=False,
        confidence="likely" if against else "unknown",
        reasons=tuple(against) or ("nothing in the file tells",),
    )


def _by_time(defect: Defect, written: float) -> tuple[bool, str, str] | None:
    """Say whether it was written while the program had the defect, as far as clocks tell."""
    if defect.began is None:
        return None
    if defect.repaired is not None and written >= defect.repaired:
        return False, f"written after {defect.repaired_by}, in which the rule passed", "likely"
    if written >= defect.began:
        until = f" and before {defect.repaired_by}" if defect.repaired is not None else ""
        return True, f"written after the run of {defect.reported} began{until}", "likely"
    source = defect.source
    if source is not None and source.is_file() and source.stat().st_mtime <= written:
        said = f"written before {defect.reported}, and {source.name} has not changed since"
        return True, said, "possible"
    return None


def _written(path: Path) -> float:
    if path.is_dir():
        return max((each.stat().st_mtime for each in path.iterdir() if each.is_file()), default=0.0)
    return path.stat().st_mtime


def _module(at: _At) -> str:
    return at.module or at.parameter.rpartition(".")[0]


def _read(path: Path) -> _Report:
    try:
        if path.stat().st_size > LARGEST_REPORT:
            raise ValueError(f"{path} is larger than a report can be (64 MiB)")
        return msgspec.json.decode(path.read_bytes(), type=_Report)
    except OSError as why:
        raise ValueError(f"{path} cannot be read: {why.strerror}") from why
    except msgspec.DecodeError as why:
        wanted = "expected what `stepscope check --format json --output FILE` writes"
        raise ValueError(f"{path} is no report: {why}; {wanted}") from why


def _later(path: Path, report: _Report, ended: float) -> list[tuple[float, _Report, str]]:
    """Return the later reports of the same program beside this one, the first one first."""
    found: list[tuple[float, _Report, str]] = []
    for other in path.parent.glob("*.json"):
        when = other.stat().st_mtime
        if other == path or when <= ended:
            continue
        try:
            read = _read(other)
        except ValueError:  # some other file of JSON
            continue
        if read.run.program == report.run.program:
            found.append((when - read.run.wall_s, read, other.name))
    return sorted(found, key=lambda each: each[0])
