"""The drawn pairs of a prediction."""

from contextlib import ExitStack
from pathlib import Path
from typing import Self

from stepscope_systems.rgbt_detection.metrics.results import Result
from stepscope_systems.rgbt_detection.prediction.moments import Moment
from stepscope_systems.rgbt_detection.prediction.options import Options
from stepscope_systems.rgbt_detection.prediction.outputs import drawn
from stepscope_systems.rgbt_detection.prediction.sources import Source
from stepscope_systems.rgbt_detection.prediction.videos import DrawnVideo


class Album:
    """The drawn pairs: a picture each, or one video of a video."""

    def __init__(self, options: Options, source: Source) -> None:
        """Make the folder or the video, unless nothing is to be drawn."""
        self._options = options
        self._stack = ExitStack()
        self._video: DrawnVideo | None = None
        self.files: list[Path] = []
        if not options.draw:
            return
        if source.is_video:
            path = options.output / "drawn.mp4"
            self._video = self._stack.enter_context(DrawnVideo(path, source.rate))
        else:
            path = options.output / "drawn"
            path.mkdir()
        self.files.append(path)

    def __enter__(self) -> Self:
        """Return the open album."""
        return self

    def __exit__(self, *reason: object) -> None:
        """Close the video."""
        self._stack.close()

    def add(self, moment: Moment, result: Result) -> None:
        """Draw a pair."""
        if not self._options.draw:
            return
        picture = drawn(moment, result, minimum_score=self._options.minimum_score)
        if self._video is not None:
            self._video.add(picture)
        else:
            picture.save(self._options.output / "drawn" / f"{moment.name}.jpg", quality=92)
