"""Hears frameworks choose the best checkpoint: Lightning, Transformers, MMEngine."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

from stepscope.evidence.course.best_kept import BestKept
from stepscope.probes.course.notes import Notes
from stepscope.probes.course.sampler import Sampler
from stepscope.probes.imports import when_imported
from stepscope.probes.live_run import LiveRun
from stepscope.probes.looking import Lookout
from stepscope.probes.source_lines import PROGRAM, running_line

RULES = {"greater": "less", "less": "greater"}  # of MMEngine, and their opposites


class BestKeptSampler(Sampler):
    """Notes what a checkpoint was chosen by, where a framework has just chosen it.

    What is patched is private to them: where a release lacks it, nothing is heard.
    """

    def __init__(self, run: LiveRun, notes: Notes) -> None:
        super().__init__(run, notes)
        self._lookout = Lookout(run, type(self).__name__)
        for package in ("lightning.pytorch", "pytorch_lightning"):
            when_imported(run, f"{package}.callbacks.model_checkpoint", self._listen_to_lightning)
        when_imported(run, "transformers.trainer", self._listen_to_transformers)
        when_imported(run, "mmengine.hooks.checkpoint_hook", self._listen_to_mmengine)

    def _listen_to_lightning(self, module: ModuleType) -> None:
        self._patch(module.ModelCheckpoint, "_update_best_and_save", self._around_update)

    def _listen_to_transformers(self, module: ModuleType) -> None:
        self._patch(module.Trainer, "_determine_best_metric", self._around_determining)

    def _listen_to_mmengine(self, module: ModuleType) -> None:
        self._patch(module.CheckpointHook, "_save_best_checkpoint", self._around_saving)

    def _patch(self, owner: type, name: str, around: Callable[..., Any]) -> None:
        if name in vars(owner):
            self.run.patch(owner, name, around)

    def _around_update(self, update: Callable[..., Any]) -> Callable[..., Any]:
        def observed(callback: Any, current: Any, trainer: Any, *args: Any, **kwargs: Any) -> Any:
            if self._lookout.is_open():
                with self._lookout.looking():
                    self.notes.happen(_of_lightning(callback, trainer))
            return update(callback, current, trainer, *args, **kwargs)

        return observed

    def _around_determining(self, determine: Callable[..., Any]) -> Callable[..., Any]:
        def observed(trainer: Any, *args: Any, **kwargs: Any) -> Any:
            is_new = determine(trainer, *args, **kwargs)
            if is_new and self._lookout.is_open():
                with self._lookout.looking():
                    self.notes.happen(_of_transformers(trainer.args))
            return is_new

        return observed

    def _around_saving(self, save: Callable[..., Any]) -> Callable[..., Any]:
        def observed(hook: Any, runner: Any, *args: Any, **kwargs: Any) -> Any:
            before: dict[str, str | None] = {}
            is_open = self._lookout.is_open()
            if is_open:
                with self._lookout.looking():
                    before = _best_paths(hook)
            saved = save(hook, runner, *args, **kwargs)
            if is_open:
                with self._lookout.looking():
                    for metric, path in _best_paths(hook).items():
                        if path is not None and path != before.get(metric):
                            self.notes.happen(_of_mmengine(hook, metric))
            return saved

        return observed


def _of_lightning(callback: Any, trainer: Any) -> BestKept:
    metric, larger = callback.monitor, callback.mode == "max"
    loop = trainer.fit_loop.epoch_loop
    validated = {each.meta.name for each in loop.val_loop._results.values()}
    logged = [
        each.meta
        for each in loop._results.values()
        if metric in (each.meta.name, f"{each.meta.name}_step", f"{each.meta.name}_epoch")
    ]
    others = [each for each in trainer.checkpoint_callbacks if each is not callback]
    return BestKept(
        by=f"ModelCheckpoint(monitor={metric!r}, mode={callback.mode!r})",
        metric=metric,
        larger=larger,
        right=f"mode={'min' if larger else 'max'!r}",
        is_from_training=metric not in validated
        and bool(logged)
        and all(each.fx == "training_step" for each in logged),
        is_of_one_batch=any(
            each.on_step and (not each.on_epoch or metric == f"{each.name}_step") for each in logged
        ),
        validates=trainer.enable_validation,
        decides=callback.save_top_k != -1
        and all(getattr(each, "monitor", "unknown") in (None, metric) for each in others),
        at=running_line(PROGRAM),
    )


def _of_transformers(arguments: Any) -> BestKept:
    metric, larger = arguments.metric_for_best_model, bool(arguments.greater_is_better)
    return BestKept(
        by=f"Trainer(metric_for_best_model={metric!r}, greater_is_better={larger})",
        metric=metric,
        larger=larger,
        right=f"greater_is_better={not larger}",
        is_from_training=False,
        is_of_one_batch=False,
        validates=True,
        decides=True,
        at=running_line(PROGRAM),
    )


def _best_paths(hook: Any) -> dict[str, str | None]:
    """Return the best checkpoint of MMEngine's hook, by metric."""
    metrics: list[str] = getattr(hook, "key_indicators", [])  # there with `save_best`
    if len(metrics) == 1:
        return {metrics[0]: hook.best_ckpt_path}
    return dict(hook.best_ckpt_path_dict) if metrics else {}


def _of_mmengine(hook: Any, metric: str) -> BestKept:
    rule = dict(zip(hook.key_indicators, hook.rules, strict=True))[metric]
    return BestKept(
        by=f"CheckpointHook(save_best={metric!r}, rule={rule!r})",
        metric=metric,
        larger=rule == "greater",
        right=f"rule={RULES[rule]!r}",
        is_from_training=False,
        is_of_one_batch=False,
        validates=True,
        decides=True,
        at=running_line(PROGRAM),
    )
