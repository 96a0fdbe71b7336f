"""What is written to checkpoints over the whole of a run. Names and identities, no values."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch

from stepscope.evidence.course.saves import Saved
from stepscope.probes.checkpoints.files_tried import path_of, storage_key
from stepscope.probes.course.notes import Notes
from stepscope.probes.course.sampler import Sampler
from stepscope.probes.course.saved_content import SavedContent, endings
from stepscope.probes.course.unsaved_state import UnsavedState
from stepscope.probes.imports import when_imported
from stepscope.probes.live_run import LiveRun
from stepscope.probes.looking import Lookout
from stepscope.probes.source_lines import PROGRAM, running_line

MOST = 200_000  # tensors of one save


class SaveSampler(Sampler):
    """Looks at each object that is handed over to be saved, before it is written."""

    def __init__(self, run: LiveRun, notes: Notes) -> None:
        super().__init__(run, notes)
        self._lookout = Lookout(run, type(self).__name__)
        self._unsaved = UnsavedState(run, notes)
        self._content: SavedContent | None = None  # of the saves since the last step
        run.patch(torch, "save", lambda save: self._around(save, file_at=1))
        when_imported(run, "safetensors.torch", self._watch_safetensors)

    def step_returned(self, optimizer: torch.optim.Optimizer) -> None:  # noqa: ARG002
        """Read, at the first step, what may have to be saved one day."""
        self._unsaved.begin()

    def step_over(self) -> None:
        """Tell what the saves between the last two steps left out."""
        self._unsaved.hand_on()
        self._close()

    def ended(self) -> None:
        """Tell the same of the last ones."""
        self._close()
        self._unsaved.hand_on(wait=True)

    def _close(self) -> None:
        content, self._content = self._content, None
        if content is not None and not self._lookout.is_broken:
            self._unsaved.compare(content)

    def _watch_safetensors(self, module: ModuleType) -> None:
        if not self.run.over:
            self.run.patch(module, "save_file", lambda save: self._around(save, file_at=1))

    def _around(self, save: Callable[..., Any], *, file_at: int) -> Callable[..., Any]:
        def observed(*args: Any, **kwargs: Any) -> Any:
            if self._lookout.is_open():
                with self._lookout.looking():
                    saved = args[0] if args else kwargs.get("obj", kwargs.get("tensors"))
                    file = (
                        args[file_at] if args[file_at:] else kwargs.get("f", kwargs.get("filename"))
                    )
                    self._note(saved, path_of(file))
            return save(*args, **kwargs)

        return observed

    def _note(self, saved: object, path: str) -> None:
        held = {storage_key(tensor) for tensor in self.run.held.values()}
        content = self._content = self._content or SavedContent()
        before = content.optimizers
        tensors = parameters = 0
        for _, tensor in zip(range(MOST), content.take(saved), strict=False):
            tensors += 1
            parameters += storage_key(tensor) in held
        if not parameters:  # copies, on another device or in another dtype: their names speak
            named = {self.run.names.known(tensor) for tensor in self.run.held.values()}
            parameters = sum(not named.isdisjoint(endings(key)) for key in content.keys)
        content.paths.append(path)
        content.at = running_line(PROGRAM)
        self.notes.happen(
            Saved(
                path=path,
                tensors=tensors,
                parameters=min(parameters, len(held)),
                held=len(held),
                optimizers=content.optimizers - before,
                compiled=self.run.compiled,
                at=content.at,
            )
        )
        content.has_parameters |= parameters > 0
        self._unsaved.read()
        self.notes.stir()
