"""The numbers that a program hands to TensorBoard."""

import numbers
import weakref
from collections.abc import Callable
from pathlib import PurePath
from types import ModuleType
from typing import Any

import torch

from stepscope.probes.course.notes import Notes
from stepscope.probes.course.sampler import Sampler
from stepscope.probes.imports import when_imported
from stepscope.probes.live_run import LiveRun
from stepscope.probes.looking import Lookout

SUBJECT = "metric"
MOST = 512  # names; what a program logs for each of its parameters would fill the recording


class MetricSampler(Sampler):
    """Hears `SummaryWriter.add_scalar` and `add_scalars`, where the program imports them.

    Of several writers all but the first lead their names by their folder: "val/loss".
    """

    def __init__(self, run: LiveRun, notes: Notes) -> None:
        super().__init__(run, notes)
        self._lookout = Lookout(run, type(self).__name__)
        self._names: set[str] = set()
        self._folders: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()
        when_imported(run, "torch.utils.tensorboard.writer", self._listen)

    def _listen(self, module: ModuleType) -> None:
        self.run.patch(module.SummaryWriter, "add_scalar", self._around_scalar)
        self.run.patch(module.SummaryWriter, "add_scalars", self._around_scalars)

    def _around_scalar(self, add: Callable[..., None]) -> Callable[..., None]:
        def observed(writer: Any, tag: str, scalar_value: Any, *args: Any, **kwargs: Any) -> None:
            add(writer, tag, scalar_value, *args, **kwargs)
            if self._lookout.is_open():
                with self._lookout.looking():
                    self._note(writer, tag, scalar_value)

        return observed

    def _around_scalars(self, add: Callable[..., None]) -> Callable[..., None]:
        def observed(
            writer: Any, main_tag: str, tag_scalar_dict: Any, *args: Any, **kwargs: Any
        ) -> None:
            add(writer, main_tag, tag_scalar_dict, *args, **kwargs)
            if self._lookout.is_open():
                with self._lookout.looking():
                    for tag, value in tag_scalar_dict.items():
                        self._note(writer, f"{main_tag}/{tag}", value)

        return observed

    def _note(self, writer: Any, tag: str, value: Any) -> None:
        self.run.writers.add(writer)
        if writer not in self._folders:
            first = not self._folders
            self._folders[writer] = "" if first else PurePath(writer.log_dir).name
        folder = self._folders[writer]
        name = f"{folder}/{tag}" if folder else tag
        if name not in self._names and len(self._names) >= MOST:
            return
        self._names.add(name)
        if isinstance(value, torch.Tensor):
            if value.numel() == 1:
                self.notes.number(SUBJECT, name, value)
        elif isinstance(value, numbers.Real):  # numpy's scalars are registered as such
            self.notes.number(SUBJECT, name, float(value))
