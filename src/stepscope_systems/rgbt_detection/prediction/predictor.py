"""A detector applied to pairs, its boxes in pixels of the original visible image."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from stepscope_systems.rgbt_detection.checkpoints import moved
from stepscope_systems.rgbt_detection.metrics.results import Floats, Result
from stepscope_systems.rgbt_detection.prediction.moments import Moment


class Predictor:
    """Detects people with a detector in evaluation mode.

    `detector(visible, infrared)` takes two lists of (3, h, w) in [0, 1], the infrared channel
    three times, and returns for each pair a dict of `boxes` (M, 4) xyxy in pixels of these images
    and `scores` (M,).
    """

    def __init__(
        self, detector: nn.Module, size: tuple[int, int] | None = None, device: str = "cpu"
    ) -> None:
        """Put the detector on a device and into evaluation mode.

        `size` (height, width): what training images measured, when the detector is to see others
        at that size. None: it sees images as they are, and resizes them as it does in training.

        Raises:
            ValueError: there is no such device.
        """
        moved(detector, device)
        self._detector = detector.eval()
        self._size = size
        self._device = device

    @torch.inference_mode()
    def __call__(self, moments: Sequence[Moment]) -> list[Result]:
        """Return each pair's detections, without any truth to judge them by.

        Raises:
            ValueError: a score is not a finite number.
        """
        visible = [self._input(torch.tensor(each.visible).permute(2, 0, 1)) for each in moments]
        infrared = [self._input(torch.tensor(each.infrared).expand(3, -1, -1)) for each in moments]
        found = self._detector(visible, infrared)
        return [self._result(*each) for each in zip(moments, found, strict=True)]

    def _input(self, image: Tensor) -> Tensor:
        image = image.to(self._device)
        if self._size is None or image.shape[1:] == self._size:
            return image
        # Without antialiasing a person of few pixels is made of whichever pixels were hit.
        return interpolate(image[None], self._size, mode="bilinear", antialias=True)[0]

    def _result(self, moment: Moment, found: dict[str, Tensor]) -> Result:
        width, height = moment.size
        seen_height, seen_width = self._size or (height, width)
        back = np.array([width / seen_width, height / seen_height] * 2)
        boxes = found["boxes"].cpu().double().numpy() * back
        scores: Floats = found["scores"].cpu().double().numpy()
        return Result(
            name=moment.name,
            condition="unknown",
            boxes=np.empty((0, 4)),
            ignore=np.empty(0, np.bool_),
            occlusion=np.empty(0, np.int64),
            label=(),
            detected=boxes,
            scores=scores,
            width=width,
            height=height,
        )
