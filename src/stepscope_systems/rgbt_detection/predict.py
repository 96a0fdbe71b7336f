"""Predicts a pair, a folder or a video, and leaves files and drawn pictures."""

import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from stepscope_systems.rgbt_detection.metrics.results import Result
from stepscope_systems.rgbt_detection.prediction.album import Album
from stepscope_systems.rgbt_detection.prediction.moments import Moment
from stepscope_systems.rgbt_detection.prediction.options import Options, source_of
from stepscope_systems.rgbt_detection.prediction.outputs import JSON_LINES, NAMES, line, write_all
from stepscope_systems.rgbt_detection.prediction.predictor import Predictor


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What was predicted, and where it lies."""

    pairs: int
    detections: int  # all of them
    sure: int  # those that reach the score from which they are drawn
    seconds: float
    notes: dict[str, int]  # what was done to make pairs -> to how many
    files: tuple[Path, ...]

    def summary(self) -> str:
        """Return a line for the terminal, and one for each note."""
        rate = self.pairs / self.seconds
        files = ", ".join(str(each) for each in self.files)
        head = f"{self.pairs:,} pairs, {self.detections:,} detections, {self.sure:,} of them sure"
        lines = [f"{head}; {rate:.1f} pairs/s: {files}"]
        lines += [
            f"{note} ({count:,} of {self.pairs:,} pairs)" for note, count in self.notes.items()
        ]
        return "\n".join(lines)


def predict(predictor: Predictor, options: Options, *, progress: bool = True) -> Outcome:
    """Predict everything; each note is said on stderr when it is first true.

    JSON lines are written pair by pair, so that what was predicted before an error is kept.

    Raises:
        ValueError: the options contradict each other, or the folder holds predictions.
        DataFault: what is to be read is not there, cannot be read, or does not make pairs.
    """
    source = source_of(options)
    _expect_no_predictions(options.output)
    options.output.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    results: list[Result] = []
    notes: Counter[str] = Counter()
    sure = 0
    with ExitStack() as stack:
        bar = stack.enter_context(_bar(is_shown=progress))
        task = bar.add_task("predicting", total=source.count)
        lines = stack.enter_context((options.output / JSON_LINES).open("w", encoding="utf-8"))
        album = stack.enter_context(Album(options, source))
        for moments in _batches(source.moments(), options.batch):
            for moment, result in zip(moments, predictor(moments), strict=True):
                results.append(result)
                said = (*source.notes, *moment.notes)
                for note in said:
                    if note not in notes:
                        bar.console.print(note, markup=False, highlight=False, soft_wrap=True)
                    notes[note] += 1
                lines.write(line(len(results), result, said))
                album.add(moment, result)
                sure += int((result.scores >= options.minimum_score).sum())
                bar.advance(task)
    files = write_all(options.output, options.formats, results)
    return Outcome(
        pairs=len(results),
        detections=sum(len(each.scores) for each in results),
        sure=sure,
        seconds=time.perf_counter() - started,
        notes=dict(notes),
        files=(options.output / JSON_LINES, *files, *album.files),
    )


def _batches(moments: Iterator[Moment], size: int) -> Iterator[Sequence[Moment]]:
    while batch := list(islice(moments, size)):
        yield batch


def _expect_no_predictions(folder: Path) -> None:
    for name in (JSON_LINES, *NAMES.values(), "drawn", "drawn.mp4"):
        if (folder / name).exists():
            raise ValueError(
                f"{folder} already holds {name}; expected a folder without predictions: name "
                "another one, or take it away"
            )


def _bar(*, is_shown: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(file=sys.stderr),
        disable=not is_shown,
    )
