"""`predict`: people in a pair, a folder or a video."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from stepscope_systems.rgbt_detection.checkpoints import read_trained
from stepscope_systems.rgbt_detection.predict import predict
from stepscope_systems.rgbt_detection.prediction.options import Options
from stepscope_systems.rgbt_detection.prediction.outputs import Format
from stepscope_systems.rgbt_detection.prediction.predictor import Predictor

_EXAMPLES = """\
examples:
  stepscope train rgbt-detection predict best.ckpt --visible v.jpg --infrared t.jpg --output found
  stepscope train rgbt-detection predict best.ckpt --folder pairs --format coco --output found
  stepscope train rgbt-detection predict best.ckpt --infrared t.mp4 --missing visible --output found
"""


def main(arguments: Sequence[str]) -> int:
    """Predict, and say where the files are.

    Raises:
        ValueError: an option, an image or the checkpoint does not serve.
        FileNotFoundError: the checkpoint is not there.
    """
    parser = argparse.ArgumentParser(
        prog="stepscope train rgbt-detection predict",
        description="Find people; boxes are in pixels of the original visible image.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("checkpoint", type=Path, help="best.ckpt of a run")
    parser.add_argument("--visible", type=Path, help="an image or a video")
    parser.add_argument("--infrared", type=Path, help="an image or a video")
    parser.add_argument("--folder", type=Path, help="with visible/ and infrared/ (or lwir/)")
    parser.add_argument(
        "--missing", choices=("visible", "infrared"), help="the modality to do without"
    )
    parser.add_argument("--output", type=Path, required=True, help="a folder for what is found")
    parser.add_argument(
        "--format", action="append", default=[], choices=get_args(Format), help="besides JSON lines"
    )
    parser.add_argument("--score", type=float, default=0.5, help="from which a box is drawn")
    parser.add_argument("--batch", type=int, default=1, help="pairs at a time")
    parser.add_argument("--no-pictures", action="store_true", help="write no drawn pictures")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, ...")
    given = parser.parse_args(arguments)
    options = Options(
        output=given.output,
        visible=given.visible,
        infrared=given.infrared,
        folder=given.folder,
        missing=given.missing,
        formats=tuple(given.format),
        draw=not given.no_pictures,
        minimum_score=given.score,
        batch=given.batch,
    )
    predictor = Predictor(read_trained(given.checkpoint).detector, device=given.device)
    sys.stderr.write(predict(predictor, options).summary() + "\n")
    return 0
