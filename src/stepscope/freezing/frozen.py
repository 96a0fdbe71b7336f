"""Freezes parts of a model, so that they neither train nor change, until it is undone."""

from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Self

from torch import nn
from torch.optim import Optimizer
from torch.utils.weak import WeakIdKeyDictionary

from stepscope.freezing import modes
from stepscope.freezing.optimizers import prune, put_back
from stepscope.freezing.patterns import Names, expect_match, longest, meant
from stepscope.freezing.wrapping import inside_compiled, refuse_shared_memory, refuse_wrapped
from stepscope.probes.source_lines import PROGRAM, running_line

Norm = Literal["eval", "train"]


@dataclass(slots=True)
class _Hold:
    """On one parameter: by how many active freezes, which may end in any order."""

    required_grad: bool  # before the first of them
    freezes: int = 0


_holds: MutableMapping[nn.Parameter, _Hold] = WeakIdKeyDictionary()


def freeze(
    model: nn.Module,
    *patterns: str,
    but: Sequence[str] = (),
    norm: Norm | Mapping[str, Norm] = "eval",
    optimizer: Optimizer | None = None,
) -> "Frozen":
    """Freeze the parts of a model that globs name: parameters, statistics, dropout.

    ```python
    frozen = stepscope.freeze(model, "backbone")
    optimizer = torch.optim.AdamW(frozen.parameter_groups(lr=1e-4))
    ```

    Parameters no longer require a gradient, and lose the one they hold. A module whose parameters
    are all frozen, and all below it, is kept in evaluation mode through every later `train()`:
    running statistics stand still, dropout and drop-path are off. `norm="train"` lets its
    normalisation layers follow `train()`, and their statistics move; a mapping says so by globs,
    of which the longest decides.

    Globs are matched against the qualified names of parameters, buffers and modules: `*` matches
    dots too, and a name without one also means all below it. `but` are globs of what stays as it
    is. A tensor with several names is frozen under all of them (`Frozen.tied`). `optimizer`: one
    that holds the parameters already; they are taken out of it, with their state.

    Freeze before the model is wrapped in DistributedDataParallel, and best before its optimizer
    is made.

    Raises:
        ValueError: a glob matches nothing, no parameter is meant, or a frozen tensor shares its
            memory with a trainable one.
        TypeError: the model is wrapped already, the optimizer cannot let go of a part (LBFGS), or
            a pattern is no text.
    """
    return Frozen(model, patterns, but=but, norm=norm, optimizer=optimizer)


class Frozen:
    """What `freeze` has frozen. As a context manager it undoes the freeze at the end."""

    def __init__(
        self,
        model: nn.Module,
        patterns: Sequence[str],
        *,
        but: Sequence[str] = (),
        norm: Norm | Mapping[str, Norm] = "eval",
        optimizer: Optimizer | None = None,
    ) -> None:
        """Freeze; see `freeze`."""
        if not isinstance(model, nn.Module):
            raise TypeError(f"freeze() takes a module, not {type(model).__name__}")
        but = (but,) if isinstance(but, str) else but
        for each in (*patterns, *but):
            if not isinstance(each, str):
                raise TypeError(
                    f"{each!r} is no pattern; give them one by one: freeze(model, 'a', 'b')"
                )
        if not patterns:
            raise ValueError("freeze() needs a pattern, such as 'backbone.*'")
        model = inside_compiled(model)
        refuse_wrapped(model)
        names = Names.of(model)
        chosen = meant(names, patterns, but)
        norms = _norms(norm, names)
        frozen = {id(names.parameters[name]) for name in chosen.parameters}
        by_name = {name: each for name, each in names.parameters.items() if id(each) in frozen}
        refuse_shared_memory(names.parameters, by_name)
        self.model = model
        self.patterns = tuple(patterns)
        self.at = running_line(PROGRAM)
        self.parameters = _first_names(model, frozen)
        self.newly_frozen = tuple(
            name for name in self.parameters if names.parameters[name].requires_grad
        )
        self.tied = _tied(by_name)
        self._named = {name: names.parameters[name] for name in self.parameters}
        still = [each for each in names.parameters.values() if not each.requires_grad]
        held = modes.whole(model.named_modules(), [*still, *by_name.values()], chosen.modules)
        touched: set[str] = set()
        for name, module in held.items():  # parents come before their children
            above = name.rpartition(".")[0]
            inside = bool(name) and above in touched
            if inside or _is_touched(name, module, frozen, chosen.modules):
                touched.add(name)
        self._held = {
            name: module
            for name, module in held.items()
            if name in touched
            and not (
                isinstance(module, modes.NORMALISATION) and longest(name, (name,), norms) == "train"
            )
        }
        self.modules = tuple(self._held)
        self.buffers = tuple(
            f"{name}.{key}" if name else key
            for name, module in self._held.items()
            for key, buffer in module._buffers.items()
            if buffer is not None
        )
        self.is_active = True
        self._pruned: list[Optimizer] = []
        if optimizer is not None:
            self.prune(optimizer)
        self._apply()

    def _apply(self) -> None:
        for parameter in self._named.values():
            if parameter not in _holds:
                _holds[parameter] = _Hold(parameter.requires_grad)
            _holds[parameter].freezes += 1
            parameter.requires_grad = False
            parameter.grad = None
        for module in self._held.values():
            modes.hold(module)

    def parameter_groups(self, **options: Any) -> list[dict[str, Any]]:
        """Return one group for a new optimizer: all parameters of the model that still train.

        `options` are the group's own: `lr`, `weight_decay`. Different groups for different parts
        are the work of a `Plan`.

        Raises:
            ValueError: nothing is left to train.
        """
        trainable = [each for each in self.model.parameters() if each.requires_grad]
        if not trainable:
            raise ValueError("every parameter of the model is frozen; nothing is left to train")
        return [{"params": trainable, **options}]

    def prune(self, optimizer: Optimizer) -> None:
        """Take the frozen parameters out of an optimizer, with their state.

        Its groups stay where they are, empty or not, so that schedulers keep counting them. `undo`
        puts everything back; until then the state waits in the memory of the CPU.

        Raises:
            TypeError: it is LBFGS, which cannot let go of a part.
        """
        prune(optimizer, self._named.values())
        self._pruned.append(optimizer)

    def undo(self) -> None:
        """Put back what the freeze has changed: flags, modes, groups in their order, state.

        What another active freeze holds too stays frozen until that one is undone. Gradients that
        were dropped do not come back. Undoing twice does nothing more.
        """
        if not self.is_active:
            return
        self.is_active = False
        now = dict(self.model.named_parameters())
        for name, parameter in self._named.items():
            # A copy of this handle, made with its model, has parameters that are not counted.
            hold = _holds.get(parameter) or _Hold(name in self.newly_frozen, freezes=1)
            hold.freezes -= 1
            if hold.freezes:
                continue
            _holds.pop(parameter, None)
            parameter.requires_grad = hold.required_grad
            if hold.required_grad and name in now and now[name] not in _holds:
                now[name].requires_grad = True  # another, where load_state_dict(assign=True) put it
        for module in self._held.values():
            modes.release(module)
        for optimizer in self._pruned:
            put_back(optimizer, lambda parameter: parameter not in _holds)
        self._pruned.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.undo()


def _norms(norm: Norm | Mapping[str, Norm], names: Names) -> dict[str, Norm]:
    norms = {"*": norm} if isinstance(norm, str) else dict(norm)
    for glob, mode in norms.items():
        if mode not in ("eval", "train"):
            raise ValueError(f"norm of {glob!r} is {mode!r}: expected 'eval' or 'train'")
        expect_match(glob, names)
    return norms


def _first_names(model: nn.Module, tensors: set[int]) -> tuple[str, ...]:
    return tuple(name for name, each in model.named_parameters() if id(each) in tensors)


def _tied(parameters: dict[str, nn.Parameter]) -> tuple[tuple[str, ...], ...]:
    names: dict[int, list[str]] = {}
    for name, parameter in parameters.items():
        names.setdefault(id(parameter), []).append(name)
    return tuple(tuple(each) for each in names.values() if len(each) > 1)


def _is_touched(name: str, module: nn.Module, frozen: Iterable[int], named: frozenset[str]) -> bool:
    """Tell whether this freeze is why a module is whole: not one that was frozen long before."""
    above = name
    while True:
        if above in named:
            return True
        if not above:
            break
        above = above.rpartition(".")[0]
    return any(id(parameter) in frozen for parameter in module.parameters())
