"""What a checkpoint file holds, as tables that every format for people shows alike.

`sections(report.run.seen)` gives them in the order to read: what the file is, what is in it by
module, the optimizer, what a resume would find and miss, how it compares, what is tainted. It is
empty for a report that is not about a checkpoint. Text in the cells comes from the file and is NOT
yet safe to show: each format escapes it as it escapes the words of a finding. The machine formats
hold the evidence itself.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from stepscope.core.recording import Recording
from stepscope.evidence.checkpoint_file import (
    CheckpointFile,
    Comparison,
    OptimizerFacts,
    Taints,
    TensorFacts,
)

MOST_ROWS = 14  # modules that are listed one by one
MOST_NAMES = 4  # of a list inside a cell
KIB = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A table with its title. `columns` is empty where each row is a word and what it means."""

    title: str
    columns: tuple[str, ...] = ()
    right: tuple[int, ...] = ()  # columns of numbers, which are flush right
    rows: tuple[tuple[str, ...], ...]


def sections(seen: Recording) -> tuple[Section, ...]:
    """Return what is known of a checkpoint; () where nothing is."""
    file, compared, taints = seen.get(CheckpointFile), seen.get(Comparison), seen.get(Taints)
    found: list[Section] = []
    if file is not None:
        found += [_identity(file), *_tensors(file), *map(_optimizer, file.optimizers)]
        found += _rest(file)
    if compared is not None:
        found.append(_comparison(compared))
    if taints is not None:
        found.append(_taints(taints))
    return tuple(found)


def size(nbytes: float) -> str:
    """Say a number of bytes: "976 B", "1.2 GiB".

    >>> size(1536)
    '1.5 KiB'
    """
    for unit in ("B", "KiB", "MiB", "GiB"):
        if nbytes < KIB:
            return f"{nbytes:.0f} B" if unit == "B" else f"{nbytes:.1f} {unit}"
        nbytes /= KIB
    return f"{nbytes:.1f} TiB"


def _identity(file: CheckpointFile) -> Section:
    model = file.model
    elements, held = sum(each.elements for each in model), size(_own_bytes(model))
    said = f"{len(model)} tensors, {elements:,} elements, {held}, {_dtypes(model)}"
    rows = [
        ("file", f"{file.path}"),
        ("format", f"{file.format}, {size(file.nbytes)}" + _several(file.files)),
        ("written by", file.writer),
        ("model", said if model else "none"),
    ]
    if file.counters:
        shown = ", ".join(
            f"{each.name.rpartition('/')[2]} {each.value:g}" for each in file.counters[:6]
        )
        rows.append(("progress", shown))
    return Section(title="checkpoint", rows=tuple(rows))


def _several(files: int) -> str:
    return f" in {files} files" if files > 1 else ""


def _own_bytes(tensors: Sequence[TensorFacts]) -> int:
    return sum(each.nbytes for each in tensors if not each.shared_with)


def _dtypes(tensors: Sequence[TensorFacts]) -> str:
    """List the dtypes, that of most elements first."""
    numbers: Counter[str] = Counter()
    for each in tensors:
        numbers[each.dtype] += each.elements
    return ", ".join(dtype for dtype, _ in numbers.most_common())


def _tensors(file: CheckpointFile) -> Iterator[Section]:
    for part in ("model", "ema", "other"):
        tensors = [each for each in file.tensors if each.part == part]
        if tensors:
            yield Section(
                title={"ema": "averaged weights", "other": "other tensors"}.get(part, part),
                columns=("module", "tensors", "elements", "size", "dtype", "values", "odd"),
                right=(1, 2, 3),
                rows=tuple(_row(name, each) for name, each in _by_module(tensors)),
            )


def _by_module(tensors: Sequence[TensorFacts]) -> list[tuple[str, list[TensorFacts]]]:
    """Group by the deepest common level of names that keeps the table short."""
    best: dict[str, list[TensorFacts]] = {"": list(tensors)}
    for depth in range(1, 6):
        groups: dict[str, list[TensorFacts]] = {}
        for each in tensors:
            module = each.name.split(".")[:-1][:depth] or [each.name]
            groups.setdefault(".".join(module), []).append(each)
        if len(groups) > MOST_ROWS and len(best) > 1:
            break
        best = groups
    rows = list(best.items())
    if len(rows) > MOST_ROWS:
        rest = [each for _, members in rows[MOST_ROWS - 1 :] for each in members]
        rows = [
            *rows[: MOST_ROWS - 1],
            (f"({len(rows) - MOST_ROWS + 1} more)", rest),
        ]
    return rows


def _row(name: str, tensors: Sequence[TensorFacts]) -> tuple[str, ...]:
    elements = sum(each.elements for each in tensors)
    values = _spread(tensors)
    if not values and len(tensors) == 1 and tensors[0].value is not None:
        values = f"{tensors[0].value:.5g}"
    nbytes = _own_bytes(tensors)
    return (
        name or "(all)",
        str(len(tensors)),
        f"{elements:,}",
        size(nbytes),
        _dtypes(tensors),
        values,
        _odd(tensors),
    )


def _spread(tensors: Sequence[TensorFacts]) -> str:
    """Say mean and standard deviation over the elements of all tensors that have several."""
    known = [
        (each.elements, each.mean, each.deviation)
        for each in tensors
        if each.mean is not None and each.deviation is not None and each.elements > 1
    ]
    if not known:
        return ""
    count = sum(number for number, _, _ in known)
    mean = sum(number * own for number, own, _ in known) / count
    # The variance of all is that within the tensors and that between their means.
    variance = sum(n * (within**2 + (own - mean) ** 2) for n, own, within in known) / count
    return f"{mean:.2g} ± {variance**0.5:.2g}"


def _odd(tensors: Sequence[TensorFacts]) -> str:
    words: list[str] = []
    bad = sum(each.non_finite for each in tensors)
    if bad:
        words.append(f"{bad:,} not finite")
    constant = [each for each in tensors if each.is_constant]
    zero = sum(each.smallest == 0 for each in constant)
    if zero:
        words.append(f"{zero} all zero")
    if len(constant) > zero:
        words.append(f"{len(constant) - zero} constant")
    tied = sum(bool(each.shared_with) for each in tensors)
    if tied:
        words.append(f"{tied} tied")
    return ", ".join(words)


def _optimizer(optimizer: OptimizerFacts) -> Section:
    held = sum(len(group.parameters) for group in optimizer.groups)
    rows = [
        ("kind", f"{optimizer.kind or 'unknown'}, {size(optimizer.nbytes)} of state"),
        ("state", f"for {len(optimizer.slots)} of {held} parameters"),
        ("names", optimizer.names_from),
    ]
    bare = optimizer.without_state
    if bare:
        rows.append(("no state for", _names(bare)))
    unsure = [slot for slot in optimizer.slots if not slot.parameter and slot.candidates > 1]
    if unsure:
        keys = _names([f"#{slot.key} (one of {slot.candidates})" for slot in unsure])
        rows.append(("not unique", keys))
    settings: Counter[str] = Counter()
    for group in optimizer.groups:
        settings[_settings(group.lr, group.initial_lr, group.weight_decay)] += len(group.parameters)
    rows += [
        ("groups" if at == 0 else "", f"{_count(number)}: {text}")
        for at, (text, number) in enumerate(settings.most_common(MOST_ROWS // 2))
    ]
    steps = [slot.step for slot in optimizer.slots if slot.step is not None]
    if steps:
        rows.append(("steps taken", _range(min(steps), max(steps))))
    return Section(title=f"optimizer ({optimizer.path})", rows=tuple(rows))


def _count(number: int) -> str:
    return f"{number} parameter{'' if number == 1 else 's'}"


def _range(least: float, most: float) -> str:
    return f"{least:g}" if least == most else f"{least:g} to {most:g}"


def _settings(lr: float | None, initial: float | None, decay: float | None) -> str:
    words = [f"lr {lr:.4g}"] if lr is not None else []
    if initial is not None and initial != lr:
        words.append(f"initial lr {initial:.4g}")
    if decay is not None:
        words.append(f"weight decay {decay:.4g}")
    return ", ".join(words) or "no settings"


def _rest(file: CheckpointFile) -> Iterator[Section]:
    rows = [
        (each.kind, f"{each.path}: {each.summary}" if each.summary else each.path)
        for each in file.parts
    ]
    for bank in file.banks:
        pointer = "no pointer" if bank.pointer is None else f"pointer {bank.pointer}"
        empty = f", {bank.empty_rows} rows empty" if bank.empty_rows else ""
        rows.append(("bank", f"{bank.name} {bank.shape}: {pointer}{empty}"))
    if not file.is_resumable:
        rows.append(("resume", "weights only: nothing here to resume an optimizer from"))
    rows += [(f"no {each.what}", each.why) for each in file.lacks]
    if rows:
        yield Section(title="for a resume", rows=tuple(rows))


def _comparison(compared: Comparison) -> Section:
    rows: list[tuple[str, str]] = []
    other = {"file": "other"}.get(compared.kind, compared.kind)
    if compared.kind != "configuration":
        share = compared.matched_bytes / compared.total_bytes if compared.total_bytes else 1.0
        rows.append(
            (
                "matched",
                f"{compared.matched} of {compared.total} tensors, {share:.1%} of its bytes",
            )
        )
        lists = (
            ("missing", compared.missing),
            ("unexpected", compared.unexpected),
            ("other shape", compared.mismatched),
        )
        rows += [(word, f"{len(names)}: {_names(names)}") for word, names in lists if names]
        if compared.repair:
            rows.append(("repair", f"{compared.repair}: {compared.repaired} would match"))
        if compared.identical or compared.differing:
            same, all_ = len(compared.identical), len(compared.identical + compared.differing)
            rows.append(("bit-identical", f"{same} of {all_} matched"))
            if compared.differing and same:
                few = compared.differing if len(compared.differing) <= same else compared.identical
                word = "differing" if few is compared.differing else "identical"
                rows.append((word, _names(few)))
    rows += [
        (
            "brings back" if at == 0 else "",
            f"{each.name}: {each.in_file:.6g} in the file, {each.against:.6g} in the {other}",
        )
        for at, each in enumerate(compared.brought[:MOST_ROWS])
    ]
    if len(compared.brought) > MOST_ROWS:
        rows.append(("", f"and {len(compared.brought) - MOST_ROWS} more"))
    if compared.unread:
        rows.append(("not compared", _names(compared.unread)))
    return Section(title=f"against {compared.against}", rows=tuple(rows))


def _taints(taints: Taints) -> Section:
    rows = [
        (
            each.path,
            f"{'tainted' if each.is_tainted else 'not tainted'}, {each.confidence}",
            "; ".join(each.reasons),
        )
        for each in taints.checkpoints
    ]
    rows += [(each.partition(": ")[0], "unreadable", each) for each in taints.unreadable]
    return Section(
        title=f"checkpoints under {', '.join(taints.codes)} in {taints.folder}",
        columns=("checkpoint", "verdict", "because"),
        rows=tuple(rows),
    )


def _names(names: Sequence[str]) -> str:
    more = f", and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more
