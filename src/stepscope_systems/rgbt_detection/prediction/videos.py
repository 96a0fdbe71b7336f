"""Pairs of videos, read frame by frame, and the drawn video that comes of them."""

from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction
from itertools import count, zip_longest
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from PIL import Image

from stepscope_systems.rgbt_detection.data.faults import DataFault
from stepscope_systems.rgbt_detection.data.pairs import Modality
from stepscope_systems.rgbt_detection.prediction.moments import (
    Moment,
    Pixels,
    other,
    paired,
    without,
)
from stepscope_systems.rgbt_detection.prediction.sources import Source, no_file

VIDEOS = frozenset({".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v", ".mpg", ".mpeg"})
_EIGHT_BITS = 8


def of_videos(paths: dict[Modality, Path], missing: Modality | None) -> Source:
    """Return the frames of two videos by their number, or of one when the other is missing.

    Raises:
        DataFault: a file is not there, is no video, or the two say that they differ in length.
    """
    counts: dict[Modality, int] = {}
    rates: dict[Modality, Fraction | None] = {}
    for modality, path in paths.items():
        with _opened(path, modality) as container:
            stream = _stream(container, path)
            counts[modality], rates[modality] = stream.frames, stream.average_rate
    known = [each for each in counts.values() if each]
    if len(set(known)) > 1:
        raise _unequal(paths, counts)
    notes = []
    if len(set(rates.values())) > 1:
        told = " and ".join(f"{each} at {_per_second(rate)}" for each, rate in rates.items())
        notes.append(f"the videos run {told} frames per second; their frames are paired by number")
    return Source(
        count=known[0] if known else None,
        moments=lambda: _moments(paths, missing),
        is_video=True,
        rate=next(iter(rates.values())),
        notes=tuple(notes),
    )


class DrawnVideo:
    """Writes images of one size as H.264, which browsers play."""

    def __init__(self, path: Path, rate: Fraction | None) -> None:
        """Open the file; where the rate is not known, 25 frames per second are shown."""
        self._container = av.open(str(path), "w")
        self._stream = self._container.add_stream("libx264", rate=rate or 25)
        self._stream.pix_fmt = "yuv420p"
        self._size: tuple[int, int] | None = None

    def __enter__(self) -> Self:
        """Return the open video."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Write what the encoder holds back, and close the file."""
        if self._size is not None:
            self._container.mux(self._stream.encode(None))
        self._container.close()

    def add(self, image: Image.Image) -> None:
        """Append an image; an odd last row or column is cut off, as the encoder needs."""
        if self._size is None:
            self._size = (image.width // 2 * 2, image.height // 2 * 2)
            self._stream.width, self._stream.height = self._size
        even = np.asarray(image.crop((0, 0, *self._size)).convert("RGB"))
        frame = VideoFrame.from_ndarray(even, format="rgb24")
        self._container.mux(self._stream.encode(frame))


def _moments(paths: dict[Modality, Path], missing: Modality | None) -> Iterator[Moment]:
    with ExitStack() as stack:
        frames = {
            modality: _frames(stack.enter_context(_opened(path, modality)), path, modality)
            for modality, path in paths.items()
        }
        if missing is not None:
            for number, present in enumerate(frames[other(missing)], start=1):
                yield without(missing, f"{number:06d}", present)
            return
        both = zip_longest(frames["visible"], frames["infrared"])
        for number, (visible, infrared) in zip(count(1), both, strict=False):
            if visible is None or infrared is None:
                longer = number + sum(1 for _ in both)
                counts: dict[Modality, int] = {
                    "visible": number - 1 if visible is None else longer,
                    "infrared": number - 1 if infrared is None else longer,
                }
                raise _unequal(paths, counts)
            yield paired(f"{number:06d}", visible, infrared)


def _opened(path: Path, modality: Modality) -> InputContainer:
    if not path.is_file():
        raise no_file(path, modality)
    try:
        return av.open(str(path))
    except av.FFmpegError as error:
        raise _unreadable(path, error) from None


def _stream(container: InputContainer, path: Path) -> VideoStream:
    if not container.streams.video:
        raise _without_pictures(path)
    return container.streams.video[0]


def _frames(container: InputContainer, path: Path, modality: Modality) -> Iterator[Pixels]:
    """Yield (H, W, 3) of a visible, (H, W) of an infrared video, in [0, 1]."""
    number = 0
    try:
        for number, frame in enumerate(container.decode(_stream(container, path)), start=1):  # noqa: B007
            yield _pixels(frame, modality)
    except av.FFmpegError as error:
        raise _unreadable(path, error) from None
    if not number:
        raise _without_pictures(path)


def _pixels(frame: VideoFrame, modality: Modality) -> Pixels:
    if modality == "visible":
        return frame.to_ndarray(format="rgb24").astype(np.float32) / np.float32(255)
    if frame.format.components[0].bits > _EIGHT_BITS:
        return frame.to_ndarray(format="gray16le").astype(np.float32) / np.float32(65535)
    return frame.to_ndarray(format="gray").astype(np.float32) / np.float32(255)


def _unequal(paths: dict[Modality, Path], counts: dict[Modality, int]) -> DataFault:
    return DataFault(
        paths["infrared"],
        found=f"{counts['infrared']:,} frames",
        expected=f"{counts['visible']:,}, as in {paths['visible'].name}",
        advice="cut both videos to the same moments at the same rate",
    )


def _without_pictures(path: Path) -> DataFault:
    return DataFault(
        path,
        found="no pictures in it",
        expected="a video",
        advice="name the file of the camera's pictures",
    )


def _unreadable(path: Path, error: Exception) -> DataFault:
    reason = str(error).replace(str(path), path.name)
    return DataFault(
        path,
        found=f"cannot be read as a video ({reason})",
        expected="a video that FFmpeg can decode",
        advice="fetch the file again, or convert it to MP4",
    )


def _per_second(rate: Fraction | None) -> str:
    return "an unknown number of" if rate is None else f"{float(rate):g}"
