"""The process that measures: `python -m stepscope.adapters.measuring.worker JOB RESULT`."""

import multiprocessing
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import msgspec
import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.utils import _pytree as pytree

from stepscope.adapters.built import built
from stepscope.adapters.leaving import end_children
from stepscope.adapters.measuring.job import Job
from stepscope.adapters.measuring.share import Share
from stepscope.adapters.measuring.stopwatch import Stopwatch
from stepscope.adapters.target import Target
from stepscope.evidence.savings import Sample, Step, Variant
from stepscope.freezing.measuring.memory import Peak, held
from stepscope.freezing.measuring.variants import apply
from stepscope.freezing.patterns import Names, meant
from stepscope.probes.names import Names as RootNames

LR, WEIGHT_DECAY = 1e-4, 0.01  # of a model that comes without a program


class Worker:
    """Takes a program's steps, and treats the part before the first of them that counts.

    `finish` is given what was found, and ends the process: in the middle of the program, which
    thus can neither take the end for an error of its own nor write anything on its way out.
    """

    def __init__(self, job: Job, finish: Callable[[Sample], NoReturn]) -> None:
        _import_what_optimizers_need()
        self._job = job
        self._finish = finish
        self._base = held()
        self._before_model = register_module_parameter_registration_hook(self._model_begins)
        self._device = torch.device("cpu")
        self._steps: list[Step] = []
        self._taken = 0
        self._share: Share | None = None
        self._value, self._is_prefix = 0.0, True
        self._peak: Peak | None = None
        self._state_bytes = self._gradient_bytes = 0

    def run(self) -> NoReturn:
        """Measure, and finish; also where the program fails, or ends too early."""
        error = ""
        try:
            Stopwatch(self._stepped)
            self._train_model() if self._job.is_model else self._train_script()
        except BaseException as why:  # noqa: BLE001 - whatever the program raises is the answer
            error = "".join(traceback.format_exception_only(why)).strip()
            traceback.print_exc()
        self._finish(self._sample(error))

    def _train_script(self) -> None:
        job = self._job
        Target(job.target, is_module=job.is_module, arguments=job.arguments).prepared()()

    def _train_model(self) -> None:
        model, inputs, loss = built(self._job.target, self._job.input_shape)
        optimizer = torch.optim.AdamW(model.parameters(), lr=LR, weight_decay=WEIGHT_DECAY)
        self._treat(model, optimizer)
        model.train()
        while True:
            optimizer.zero_grad()
            loss(model(*inputs)).backward()
            optimizer.step()

    def _stepped(self, optimizer: Optimizer, step: Step) -> None:
        """Treat the part after a script's first step, and measure after the warm-up."""
        self._taken += 1
        if not self._job.is_model and self._taken == 1:
            self._treat(_model_of(optimizer), optimizer)
            return
        if self._share is not None and self._taken > 1:
            self._value, self._is_prefix = self._share.value, self._share.is_prefix
            if self._taken == self._job.warm_up:
                self._share.close()
                self._share = None
        if self._peak is None and self._taken >= self._job.warm_up:
            self._peak = Peak()
            return
        if self._peak is None:
            return
        self._peak.look()
        self._steps.append(step)
        if len(self._steps) == self._job.steps:
            self._state_bytes = _state_bytes(optimizer)
            self._gradient_bytes = _gradient_bytes(optimizer)
            self._finish(self._sample(""))

    def _model_begins(self, *registered: object) -> None:
        """Take what the program holds when the first parameter is made: imports, mostly."""
        del registered
        self._before_model.remove()
        self._base = held()

    def _treat(self, model: nn.Module, optimizer: Optimizer) -> None:
        self._device = next(model.parameters()).device
        _still_the_rates()
        frozen = apply(self._job.variant, model, self._job.patterns, optimizer)
        if frozen is None or self._job.variant is Variant.FROZEN:
            self._share = Share(model, _whole(model, self._job.patterns))

    def _sample(self, error: str) -> Sample:
        is_whole = len(self._steps) == self._job.steps
        return Sample(
            variant=self._job.variant,
            round=self._job.round,
            steps=tuple(self._steps) if is_whole else (),
            device=_spoken(self._device),
            base_bytes=0 if self._peak and self._peak.is_on_gpu else self._base,
            is_peak_exact=self._peak is None or self._peak.is_exact,
            peak_bytes=self._peak.nbytes if self._peak else 0,
            state_bytes=self._state_bytes,
            gradient_bytes=self._gradient_bytes,
            share=self._value,
            is_prefix=self._is_prefix,
            error="" if is_whole else error or f"it ended after {self._taken} steps",
        )


def _import_what_optimizers_need() -> None:
    """Take one step of nothing: it imports the compiler, which is no memory of the model's."""
    parameter = nn.Parameter(torch.zeros(1))
    parameter.grad = torch.zeros(1)
    torch.optim.AdamW([parameter]).step()


def _still_the_rates() -> None:
    """Let no scheduler step from now on: they count the groups, and a variant adds one."""
    kinds: list[type] = [LRScheduler]
    for kind in kinds:
        kinds += kind.__subclasses__()
        if "step" in vars(kind):
            kind.step = _nothing  # type: ignore[attr-defined] # a scheduler


def _nothing(*args: Any, **kwargs: Any) -> None:
    del args, kwargs


def _spoken(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _whole(model: nn.Module, patterns: tuple[str, ...]) -> list[nn.Module]:
    """Return the outermost modules that hold nothing but the part."""
    names = Names.of(model)
    part = {id(names.parameters[name]) for name in meant(names, patterns).parameters}
    found: dict[str, nn.Module] = {}
    for name, module in model.named_modules():
        own = {id(each) for each in module.parameters()}
        inside = any(name.startswith(f"{other}.") for other in found)
        if name and own and own <= part and not inside:
            found[name] = module
    return [*found.values()]


def _model_of(optimizer: Optimizer) -> nn.Module:
    """Return the root module that holds most of an optimizer's parameters.

    Raises:
        ValueError: no live module holds any.
    """
    tensors = {id(each): each for group in optimizer.param_groups for each in group["params"]}
    roots = RootNames(lambda: [*tensors.values()]).roots()
    counts = [sum(id(each) in tensors for each in root.parameters()) for root in roots]
    if not any(counts):
        raise ValueError("no live module holds the parameters of the optimizer")
    root = roots[counts.index(max(counts))]
    wrapped = root._modules.get("_orig_mod")  # torch.compile
    return root if wrapped is None else wrapped


def _state_bytes(optimizer: Optimizer) -> int:
    leaves = pytree.tree_leaves([*optimizer.state.values()])
    return sum(each.nbytes for each in leaves if isinstance(each, Tensor))


def _gradient_bytes(optimizer: Optimizer) -> int:
    held_by = (each for group in optimizer.param_groups for each in group["params"])
    return sum(each.grad.nbytes for each in held_by if each.grad is not None)


def main(task: str, result: str) -> NoReturn:
    """Measure what the job says, and write the sample."""
    job = msgspec.json.decode(Path(task).read_bytes(), type=Job)
    path = Path(result).absolute()  # the program may change the directory
    os.dup2(2, 1)  # what the program prints is not asked for

    def finish(sample: Sample) -> NoReturn:
        draft = path.with_suffix(".draft")
        draft.write_bytes(msgspec.json.encode(sample))
        draft.replace(path)
        for child in multiprocessing.active_children():
            child.kill()
            child.join()  # so that its time counts as ours, and it does not disturb the next
        end_children(set())
        os._exit(0)

    Worker(job, finish).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
