"""`validate`, `convert` and `synthesise`: data sets, without a detector."""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

from rich.console import Console
from rich.progress import Progress

from stepscope_systems.rgbt_detection.data import commands
from stepscope_systems.rgbt_detection.data.conversion.convert import Form, Images
from stepscope_systems.rgbt_detection.data.kaist_layout import Variant
from stepscope_systems.rgbt_detection.data.llvip import Annotations
from stepscope_systems.rgbt_detection.data.pairs import EvalBoxes
from stepscope_systems.rgbt_detection.data.sources import Source, Split, kind_and_root
from stepscope_systems.rgbt_detection.data.synthetic import DOMAINS, synthesise
from stepscope_systems.rgbt_detection.data.synthetic.layouts import Layout
from stepscope_systems.rgbt_detection.ranges import SHARE, at_least

_VARIANT: Variant = "paired"  # as in training


def validate(arguments: Sequence[str]) -> int:
    """List all that is wrong with a data set; 1 where something is."""
    parser = _reading("validate", "Check a data set, and list all that is wrong with it.")
    parser.add_argument("--decode", action="store_true", help="read all pixels, not only headers")
    parser.add_argument("--most", type=int, default=50, help="lines to print")
    given = parser.parse_args(arguments)
    return commands.validate(
        _source(given), console=Console(), decode=given.decode, most=given.most
    )


def convert(arguments: Sequence[str]) -> int:
    """Write a data set's annotations in another format."""
    parser = _reading("convert", "Write a data set in another layout.")
    parser.add_argument("target", type=Path, help="a new folder")
    parser.add_argument("--to", required=True, choices=get_args(Form), help="the layout")
    parser.add_argument("--eval-boxes", choices=get_args(EvalBoxes), default="visible")
    parser.add_argument("--images", choices=get_args(Images), default="copy")
    given = parser.parse_args(arguments)
    return commands.convert(
        _source(given),
        given.target,
        given.to,
        console=Console(),
        eval_boxes=given.eval_boxes,
        images=given.images,
    )


def write_synthetic(arguments: Sequence[str]) -> int:
    """Write the synthetic data set."""
    parser = argparse.ArgumentParser(
        prog="stepscope train rgbt-detection synthesise",
        description="Write made-up pairs in the layout of LLVIP or KAIST.",
    )
    parser.add_argument("target", type=Path, help="a new folder")
    parser.add_argument("--domain", choices=sorted(DOMAINS), default="a")
    parser.add_argument("--layout", choices=get_args(Layout), default="llvip")
    parser.add_argument("--train", type=int, default=480, help="pairs")
    parser.add_argument("--test", type=int, default=120, help="pairs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--misalignment", type=int, default=0, help="largest shift of the infrared image, pixels"
    )
    parser.add_argument(
        "--missing", type=float, default=0.0, help="share of pairs whose infrared image is black"
    )
    parser.add_argument(
        "--no-shared-cue",
        action="store_true",
        help="the infrared scene is another one: alignment must stay at chance",
    )
    given = parser.parse_args(arguments)
    _expect_drawable(given)
    domain = replace(
        DOMAINS[given.domain],
        misalignment=given.misalignment,
        missing=given.missing,
        has_shared_cue=not given.no_shared_cue,
    )
    if given.target.exists() and any(given.target.iterdir()):
        raise ValueError(f"{given.target} is not empty; expected a new folder")
    given.target.mkdir(parents=True, exist_ok=True)
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("drawing pairs", total=given.train + given.test)
        synthesise(
            given.target,
            domain,
            layout=given.layout,
            train=given.train,
            test=given.test,
            seed=given.seed,
            progress=lambda done, total: progress.update(task, completed=done, total=total),
        )
    return 0


def _expect_drawable(given: argparse.Namespace) -> None:
    """Refuse what cannot be drawn, or written in the layout.

    Raises:
        ValueError: a number lies outside its range, or the layout has no place for the boxes.
    """
    allowed = dict.fromkeys(("train", "test", "seed", "misalignment"), at_least(0))
    for name, numbers in (allowed | {"missing": SHARE}).items():
        if not numbers.holds(vars(given)[name]):
            raise ValueError(f"--{name} is {vars(given)[name]}; expected {numbers}")
    if given.train + given.test == 0:
        raise ValueError("--train and --test are 0; expected one pair at least")
    if given.layout == "llvip" and (given.misalignment or given.no_shared_cue):
        raise ValueError(
            "--misalignment and --no-shared-cue give each modality boxes of its own, for which "
            "LLVIP has no place; expected --layout kaist"
        )


def _reading(name: str, description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"stepscope train rgbt-detection {name}", description=description
    )
    parser.add_argument("data", help="llvip:FOLDER, kaist:FOLDER, coco:FOLDER or yolo:FOLDER")
    parser.add_argument(
        "--split", choices=get_args(Split), help="without it, the only one of a variant, or train"
    )
    parser.add_argument(
        "--variant", choices=get_args(Variant), help=f"of KAIST; without it, {_VARIANT}"
    )
    parser.add_argument(
        "--annotations", choices=get_args(Annotations), help="of LLVIP; without it, undeclared"
    )
    parser.add_argument("--frames", type=Path, help="of KAIST: a file of imageSets")
    parser.add_argument(
        "--ignore",
        action="append",
        metavar="CLASS",
        help="of COCO and YOLO: neither to find nor a mistake when found; repeatable",
    )
    parser.add_argument("--subset", action="store_true", help="part of the data set is meant")
    parser.add_argument(
        "--repair", action="store_true", help="cut boxes at the border, leave out empty ones"
    )
    return parser


def _source(given: argparse.Namespace) -> Source:
    kind, root = kind_and_root(given.data)
    for option, value, owners in (
        ("--variant", given.variant, ("kaist",)),
        ("--frames", given.frames, ("kaist",)),
        ("--annotations", given.annotations, ("llvip",)),
        ("--ignore", given.ignore, ("coco", "yolo")),
    ):
        if value is not None and kind not in owners:
            owned = " and ".join(owners)
            raise ValueError(f"{option} is of {owned}, and the data is {kind}; leave it out")
    return Source(
        kind=kind,
        root=root,
        split=given.split,
        variant=given.variant or _VARIANT,
        annotations=given.annotations or "undeclared",
        frames=given.frames,
        ignored=frozenset(given.ignore or ()),
        subset=given.subset,
        repair=given.repair,
    )
