"""Videos are paired frame by frame, and two that do not fit are one clear error."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from stepscope_systems.rgbt_detection.data.faults import DataFault
from stepscope_systems.rgbt_detection.prediction.videos import DrawnVideo, of_videos
from tests.stepscope_systems.rgbt_detection.prediction.stand_in import filmed, infrared, visible

BOXES = [(10, 20, 30, 50), (14, 20, 34, 50), (18, 20, 38, 50)]


def filmed_pair(root: Path, warm: int = 3, rate: int = 10, suffix: str = "mkv") -> dict[str, Path]:
    return {
        "visible": filmed(root / f"visible.{suffix}", [visible()] * 3),
        "infrared": filmed(
            root / f"infrared.{suffix}", [infrared(box) for box in BOXES[:warm]], rate
        ),
    }


def test_frames_come_in_pairs_as_they_were_filmed(tmp_path: Path) -> None:
    source = of_videos(filmed_pair(tmp_path), None)
    moments = list(source.moments())
    assert [each.name for each in moments] == ["000001", "000002", "000003"]
    assert source.rate == Fraction(10)
    for moment, box in zip(moments, BOXES, strict=True):
        assert np.array_equal(moment.infrared, infrared(box) / np.float32(255))
        assert np.array_equal(moment.visible, visible() / np.float32(255))


def test_a_video_is_done_without_the_other_when_it_is_said_to_be_missing(tmp_path: Path) -> None:
    paths = {"infrared": filmed_pair(tmp_path)["infrared"]}
    moments = list(of_videos(paths, "visible").moments())
    assert len(moments) == 3
    assert "visible is missing" in moments[0].notes[0]


@pytest.mark.parametrize("suffix", ["avi", "mkv"])  # the first says how many frames it has
def test_a_video_that_ends_early_is_said_with_both_counts(tmp_path: Path, suffix: str) -> None:
    paths = filmed_pair(tmp_path, warm=1, suffix=suffix)
    with pytest.raises(
        DataFault, match=rf"infrared\.{suffix}: 1 frames; expected 3, as in visible"
    ):
        list(of_videos(paths, None).moments())


def test_videos_of_two_rates_are_paired_by_number_and_said(tmp_path: Path) -> None:
    source = of_videos(filmed_pair(tmp_path, rate=5), None)
    (note,) = source.notes
    assert note == (
        "the videos run visible at 10 and infrared at 5 frames per second; their frames are "
        "paired by number"
    )
    assert of_videos(filmed_pair(tmp_path), None).notes == ()


def test_sixteen_bits_of_infrared_keep_their_depth(tmp_path: Path) -> None:
    deep = (np.arange(64 * 80, dtype=np.uint16) * 12).reshape(64, 80)
    path = tmp_path / "deep.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = 80, 64, "gray16le"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(deep, format="gray16le")))
        container.mux(stream.encode(None))
    (moment,) = of_videos({"infrared": path}, "visible").moments()
    assert np.allclose(moment.infrared, deep / 65535, atol=1e-7)


@pytest.mark.parametrize(
    ("content", "said"), [(None, "no such file"), (b"no video", "cannot be read as a video")]
)
def test_what_is_no_video_is_said_by_name(tmp_path: Path, content: bytes | None, said: str) -> None:
    paths = filmed_pair(tmp_path) | {"infrared": tmp_path / "broken.mp4"}
    if content is not None:
        paths["infrared"].write_bytes(content)
    with pytest.raises(DataFault, match=rf"broken\.mp4: {said}"):
        of_videos(paths, None)


def test_a_drawn_video_plays_what_was_added_in_even_sides(tmp_path: Path) -> None:
    path = tmp_path / "drawn.mp4"
    with DrawnVideo(path, Fraction(10)) as video:
        for level in (20, 120, 220):
            video.add(Image.new("RGB", (41, 33), (level, level, level)))
    with av.open(str(path)) as container:
        frames = [each.to_ndarray(format="gray") for each in container.decode(video=0)]
        assert container.streams.video[0].average_rate == 10
    assert [each.shape for each in frames] == [(32, 40)] * 3
    assert [float(each.mean()) for each in frames] == pytest.approx([20, 120, 220], abs=3)


def test_a_video_of_nothing_leaves_no_broken_encoder(tmp_path: Path) -> None:
    with DrawnVideo(tmp_path / "drawn.mp4", None):
        pass
