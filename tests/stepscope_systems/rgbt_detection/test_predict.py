"""Prediction leaves every box in original pixels, and says what it did to get there."""

import json
from pathlib import Path

import av
import pytest
from PIL import Image

from stepscope_systems.rgbt_detection.data.faults import DataFault
from stepscope_systems.rgbt_detection.predict import predict
from stepscope_systems.rgbt_detection.prediction.options import Options
from stepscope_systems.rgbt_detection.prediction.predictor import Predictor
from tests.stepscope_systems.rgbt_detection.prediction.stand_in import (
    BrightRectangle,
    filmed,
    infrared,
    saved,
    visible,
)

BOXES = {"a": (10, 20, 30, 50), "b": (16, 8, 48, 56), "c": (0, 0, 8, 8)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, box in BOXES.items():
        saved(tmp_path / "visible" / f"{name}.png", visible())
        saved(tmp_path / "lwir" / f"{name}.png", infrared(box))
    return tmp_path


def lines(output: Path) -> list[dict[str, object]]:
    text = (output / "predictions.jsonl").read_text(encoding="utf-8")
    return [json.loads(each) for each in text.splitlines()]


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_a_folder_leaves_a_line_and_a_picture_for_each_pair(folder: Path, batch: int) -> None:
    output = folder / "out"
    outcome = predict(
        Predictor(BrightRectangle(), (32, 40)),
        Options(output=output, folder=folder, formats=("coco", "kaist"), batch=batch),
    )
    found = lines(output)
    assert {each["name"]: each["boxes"] for each in found} == {
        name: [list(box)] for name, box in BOXES.items()
    }
    assert [each["image_id"] for each in found] == [1, 2, 3]
    assert sorted(each.name for each in (output / "drawn").iterdir()) == ["a.jpg", "b.jpg", "c.jpg"]
    with Image.open(output / "drawn" / "a.jpg") as picture:
        assert picture.size == (2 * 480 + 6, 384)
    assert (outcome.pairs, outcome.detections, outcome.sure, outcome.notes) == (3, 3, 3, {})
    assert all(each.exists() for each in outcome.files)
    assert len(outcome.files) == 4


def test_what_was_done_to_make_pairs_is_said_once_counted_and_kept(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved(folder / "lwir" / "b.png", infrared(BOXES["a"], (40, 32)))
    saved(folder / "lwir" / "c.png", infrared(BOXES["a"], (40, 32)))
    output = folder / "out"
    outcome = predict(Predictor(BrightRectangle()), Options(output=output, folder=folder))
    note = "infrared resized from 40 x 32 to 80 x 64 pixels, as the visible"
    assert capsys.readouterr().err.count(note) == 1
    assert outcome.notes == {note: 2}
    assert f"{note} (2 of 3 pairs)" in outcome.summary()
    assert [each["notes"] for each in lines(output)] == [[], [note], [note]]
    assert lines(output)[1]["boxes"] == [[20, 40, 60, 64]]  # the box, twice as large and cut


def test_a_missing_modality_is_black_and_said_with_every_pair(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    detector = BrightRectangle()
    output = folder / "out"
    predict(
        Predictor(detector), Options(output=output, folder=folder, missing="infrared", draw=False)
    )
    assert all(not warm.any() for _, warm in detector.seen)
    note = "infrared is missing: 0 (black) stands for each of its pixels"
    assert [each["notes"] for each in lines(output)] == [[note]] * 3
    assert note in capsys.readouterr().err
    assert not (output / "drawn").exists()


def test_notes_are_said_without_a_progress_bar_too(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = Options(output=folder / "out", folder=folder, missing="infrared")
    predict(Predictor(BrightRectangle()), options, progress=False)
    assert "infrared is missing" in capsys.readouterr().err


def test_a_pair_of_videos_leaves_a_line_for_each_frame_and_one_video(tmp_path: Path) -> None:
    boxes = [*BOXES.values()]
    options = Options(
        output=tmp_path / "out",
        visible=filmed(tmp_path / "v.mkv", [visible()] * 3),
        infrared=filmed(tmp_path / "i.mkv", [infrared(box) for box in boxes]),
    )
    predict(Predictor(BrightRectangle()), options)
    assert [each["boxes"] for each in lines(options.output)] == [[list(box)] for box in boxes]
    with av.open(str(options.output / "drawn.mp4")) as container:
        assert len(list(container.decode(video=0))) == 3


def test_what_was_predicted_before_an_error_is_kept(tmp_path: Path) -> None:
    options = Options(
        output=tmp_path / "out",
        visible=filmed(tmp_path / "v.mkv", [visible()] * 3),
        infrared=filmed(tmp_path / "i.mkv", [infrared(BOXES["a"])] * 2),
    )
    with pytest.raises(DataFault, match=r"i\.mkv: 2 frames; expected 3"):
        predict(Predictor(BrightRectangle()), options)
    assert len(lines(options.output)) == 2


def test_predictions_that_are_there_are_not_overwritten(folder: Path) -> None:
    options = Options(output=folder / "out", folder=folder, draw=False)
    predict(Predictor(BrightRectangle()), options)
    with pytest.raises(ValueError, match=r"already holds predictions\.jsonl; expected a folder"):
        predict(Predictor(BrightRectangle()), options)


def test_bad_input_leaves_no_folder_behind(folder: Path) -> None:
    (folder / "lwir" / "c.png").unlink()
    options = Options(output=folder / "out", folder=folder)
    with pytest.raises(DataFault, match=r"3 visible and 2 infrared images"):
        predict(Predictor(BrightRectangle()), options)
    assert not options.output.exists()
