"""Modules that were in training mode at a step, and are in evaluation mode at later ones."""

import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.optim import Optimizer

from stepscope.core import Place
from stepscope.evidence.course.modes import StayedInEvaluation
from stepscope.probes.course.notes import Notes
from stepscope.probes.live_run import LiveRun
from stepscope.probes.looking import Lookout
from stepscope.probes.modules import sensitive
from stepscope.probes.source_lines import PROGRAM, running_line

NOBODY = -1  # parent of a root


@dataclass(slots=True)
class _Tree:
    """The modules below which an optimizer has something to train, each after its parent."""

    modules: list[weakref.ref[torch.nn.Module]]
    parents: list[int]
    depends: list[bool]  # the layer's output depends on its mode
    parameters: int  # in the optimizer when the tree was drawn
    modes: tuple[bool, ...] = ()  # at the last look
    was_awake: set[int] = field(default_factory=set)
    suspected: dict[int, int] = field(default_factory=dict)  # since which step
    told: set[int] = field(default_factory=set)


class StayingAsleep:
    """Compares modes from look to look: at sampled steps, and at the first after an evaluation.

    A module is asleep when it is in evaluation mode with all layers below it that depend on the
    mode. A single layer that is put to sleep is meant to be.
    """

    def __init__(self, run: LiveRun, notes: Notes, lookout: Lookout) -> None:
        self._run, self._notes, self._lookout = run, notes, lookout
        self._trees: weakref.WeakKeyDictionary[Optimizer, _Tree] = weakref.WeakKeyDictionary()
        self._calls: weakref.WeakKeyDictionary[torch.nn.Module, Place] = weakref.WeakKeyDictionary()
        run.patch(torch.nn.Module, "eval", self._around_eval)

    def look(self, optimizer: Optimizer, *, after_evaluation: bool) -> None:
        """Look at what this optimizer is about to move."""
        tree = self._tree(optimizer)
        alive = [reference() for reference in tree.modules]
        modes = tuple(module is not None and module.training for module in alive)
        if modes == tree.modes and not tree.suspected:
            return
        tree.modes = modes
        awake = _awake(tree)
        tree.was_awake |= awake
        asleep = {
            i for i, mode in enumerate(modes) if not mode and i in tree.was_awake and i not in awake
        }
        asleep = {i for i in asleep if not _is_below(i, asleep, tree.parents)}
        tree.told &= asleep
        since = {i: tree.suspected.get(i, self._run.step) for i in asleep - tree.told}
        for i in tuple(since):
            module = alive[i]
            if module is None or not (after_evaluation or i in tree.suspected):
                continue
            del since[i]
            tree.told.add(i)
            if next(module.children(), None) is not None and _is_moved(module, optimizer):
                self._tell(module, tree.suspected.get(i, self._run.step), after_evaluation)
        tree.suspected = since

    def _tell(self, module: torch.nn.Module, since: int, after_evaluation: bool) -> None:  # noqa: FBT001
        layers = [layer for layer in module.modules() if sensitive(layer)]
        called = [at for each, at in self._calls.items() if module in set(each.modules())]
        self._notes.happen(
            StayedInEvaluation(
                module=self._run.names.module(module),
                kind=type(module).__name__,
                layers=len(layers),
                kinds=tuple(sorted({type(layer).__name__ for layer in layers})),
                since=since,
                after_evaluation=after_evaluation,
                at=called[-1] if called else Place(),
            )
        )

    def _tree(self, optimizer: Optimizer) -> _Tree:
        count = sum(len(group["params"]) for group in optimizer.param_groups)
        tree = self._trees.get(optimizer)
        if tree is None or tree.parameters != count:
            held = {id(each) for group in optimizer.param_groups for each in group["params"]}
            tree = self._trees[optimizer] = _Tree([], [], [], count)
            for root in self._run.names.roots():
                if any(id(parameter) in held for parameter in root.parameters()):
                    _draw(tree, root, NOBODY)
        return tree

    def _around_eval(self, put: Callable[..., Any]) -> Callable[..., Any]:
        def observed(module: torch.nn.Module) -> Any:
            result = put(module)
            if self._lookout.is_open():
                with self._lookout.looking():
                    self._calls.pop(module, None)  # the last call stands last
                    self._calls[module] = running_line(PROGRAM)
            return result

        return observed


def _draw(tree: _Tree, module: torch.nn.Module, parent: int) -> None:
    index = len(tree.modules)
    tree.modules.append(weakref.ref(module))
    tree.parents.append(parent)
    tree.depends.append(sensitive(module))
    for child in module.children():
        _draw(tree, child, index)


def _awake(tree: _Tree) -> set[int]:
    """Return the modules with a layer in training mode that depends on it, or that are one."""
    awake: set[int] = set()
    for i in reversed(range(len(tree.parents))):
        if i in awake or (tree.depends[i] and tree.modes[i]):
            awake |= {i, tree.parents[i]}
    return awake - {NOBODY}


def _is_below(index: int, others: set[int], parents: list[int]) -> bool:
    above = parents[index]
    while above != NOBODY and above not in others:
        above = parents[above]
    return above != NOBODY


def _is_moved(module: torch.nn.Module, optimizer: Optimizer) -> bool:
    """Tell whether the step moves a parameter of a module."""
    moved = {
        id(each)
        for group in optimizer.param_groups
        for each in group["params"]
        if float(group["lr"]) != 0 and each.grad is not None
    }
    return any(id(parameter) in moved for parameter in module.parameters())
