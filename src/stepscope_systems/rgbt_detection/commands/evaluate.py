"""`evaluate`: figures of a checkpoint beside its baselines, and a page of pictures."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from stepscope_systems.rgbt_detection.checkpoints import Trained, read_trained
from stepscope_systems.rgbt_detection.config import DataConfig, ModelConfig
from stepscope_systems.rgbt_detection.data.pairs import Pair
from stepscope_systems.rgbt_detection.data.stages import pairs_to_test
from stepscope_systems.rgbt_detection.evaluation import FULL, evaluate
from stepscope_systems.rgbt_detection.metrics.results import Result
from stepscope_systems.rgbt_detection.metrics.subsets import SUBSETS
from stepscope_systems.rgbt_detection.metrics.table_formats import (
    table_markdown,
    table_rows,
    table_text,
)
from stepscope_systems.rgbt_detection.metrics.tables import METHODS, Provenance, condition_table
from stepscope_systems.rgbt_detection.pictures.report import write_report
from stepscope_systems.rgbt_detection.reporting import checkpoint_rule, methods_of, report_of

_TRAINED = METHODS[1:]  # baselines that a table is not complete without
_WIDTH = 640  # of KAIST's images, which the subsets' heights are pixels of
_EXAMPLES = """\
examples:
  stepscope train rgbt-detection evaluate runs/rgbt-detection/stage1/best.ckpt
  stepscope train rgbt-detection evaluate best.ckpt --data kaist:/data/kaist --variant improved-test
  stepscope train rgbt-detection evaluate best.ckpt --baseline "visible only=v/best.ckpt"
"""


def main(arguments: Sequence[str]) -> int:
    """Measure, print the table, write the page.

    Raises:
        ValueError: an option, the data or the checkpoint does not serve.
        FileNotFoundError: a file that was named is not there.
    """
    options = _parser().parse_args(arguments)
    trained = read_trained(options.checkpoint)
    baselines = dict(_named(each) for each in options.baseline)
    data = _data(trained.config.data, options)
    output = options.output or options.checkpoint.parent
    pairs = pairs_to_test(data, trained.stage, _drawn(options.checkpoint, output))
    found = evaluate(
        trained, pairs, methods=methods_of(trained), device=options.device, progress=_progress
    )
    results: dict[str, Sequence[Result]] = dict(found.results)
    for name, baseline in baselines.items():
        _expect_same_truth(trained, baseline)
        other = evaluate(baseline, pairs, device=options.device, progress=_progress)
        results[name] = other.results[FULL]
    subset = SUBSETS[options.subset]
    factor = pairs.pairs[0].width / _WIDTH
    provenance = Provenance(
        dataset=f"{pairs.dataset} {pairs.split}",
        variant=pairs.variant,
        fingerprint=pairs.fingerprint(),
        resolution=_resized(pairs.pairs[0], trained.config.model),
        eval_boxes=data.eval_boxes,
        seed=trained.config.run.seed,
        checkpoint_rule=checkpoint_rule(options.checkpoint),
        subset=options.subset if factor == 1 else f"{options.subset}, scaled by {factor:g}",
    )
    table = condition_table(
        results, provenance, subset=subset.scaled(factor), compat=options.compat
    )
    formats = {"text": table_text, "markdown": table_markdown}
    if options.format == "json":
        sys.stdout.write(json.dumps(table_rows(table), indent=1) + "\n")
    else:
        sys.stdout.write(formats[options.format](table))
    page = output / "report.html"
    report = report_of(
        trained, pairs, found, table, subset=subset.scaled(factor), compat=options.compat
    )
    write_report(page, report)
    sys.stderr.write(f"{page}\n")
    return 0


def _named(baseline: str) -> tuple[str, Trained]:
    name, sign, path = baseline.rpartition("=")
    if not (sign and name and path):
        raise ValueError(f"--baseline is {baseline!r}; expected NAME=CHECKPOINT")
    if name.startswith(FULL):
        raise ValueError(f"--baseline is named {name!r}, as rows of the checkpoint itself are")
    return name, read_trained(Path(path))


def _data(data: DataConfig, options: argparse.Namespace) -> DataConfig:
    """Return the run's own pairs, or others, of which nothing of the run's own is true."""
    if options.data is None:
        return replace(data, variant=options.variant) if options.variant else data
    return replace(
        data,
        source=options.data,
        variant=options.variant,
        ignored=tuple(options.ignore),
        misalignment=0,
        has_shared_cue=True,
    )


def _drawn(checkpoint: Path, output: Path) -> Path:
    """Return where the run's synthetic pairs are; where it has been moved, a place for new ones."""
    beside = checkpoint.parent.parent / "data"
    return beside if beside.is_dir() else output / "data"


def _expect_same_truth(trained: Trained, baseline: Trained) -> None:
    ours, theirs = trained.config.data.eval_boxes, baseline.config.data.eval_boxes
    if ours != theirs:
        raise ValueError(
            f"{baseline.checkpoint} is judged by {theirs} boxes, and {trained.checkpoint} by "
            f"{ours} ones; expected the same data.eval_boxes: their figures cannot be compared"
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="stepscope train rgbt-detection evaluate",
        description="Measure a checkpoint on the test pairs beside the same weights with one "
        "modality, and without the gates; write a page of pictures.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("checkpoint", type=Path, help="best.ckpt of a run")
    parser.add_argument("--data", help="other pairs than the run's own: kaist:FOLDER, ...")
    parser.add_argument("--variant", default="", help="of their annotations")
    parser.add_argument(
        "--ignore",
        action="append",
        default=[],
        metavar="CLASS",
        help="of their classes, in COCO and YOLO: neither to find nor a mistake; repeatable",
    )
    parser.add_argument(
        "--baseline",
        action="append",
        default=[],
        metavar="NAME=CHECKPOINT",
        help=f"a detector trained otherwise, as a row of its own, such as {', '.join(_TRAINED)}; "
        "repeatable",
    )
    parser.add_argument(
        "--subset",
        choices=sorted(name for name, each in SUBSETS.items() if each.condition is None),
        default="all",
        help="of the miss rate, by day and by night too",
    )
    parser.add_argument(
        "--compat", action="store_true", help="repeat the reference evaluator's two defects"
    )
    parser.add_argument("--format", choices=("text", "markdown", "json"), default="text")
    parser.add_argument("--output", type=Path, help="folder of report.html; else the run's")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, ...")
    return parser


def _resized(pair: Pair, model: ModelConfig) -> tuple[int, int]:
    """Return the size, width by height, at which the detector sees a pair."""
    sides = (pair.width, pair.height)
    factor = min(model.shortest / min(sides), model.longest / max(sides))
    return round(factor * pair.width), round(factor * pair.height)


def _progress(done: int, total: int) -> None:
    if sys.stderr.isatty():
        end = "\n" if done == total else ""
        sys.stderr.write(f"\rbatch {done} of {total}{end}")
