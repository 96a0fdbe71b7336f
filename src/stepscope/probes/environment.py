"""What a run runs on, what it warns of, and what feeds it."""

import logging
import platform
import sys
import warnings
import weakref
from collections.abc import Iterator
from importlib import metadata
from typing import Any

import torch
from torch.utils.data import DataLoader, RandomSampler, WeightedRandomSampler
from torch.utils.data.dataloader import _BaseDataLoaderIter
from torch.utils.data.distributed import DistributedSampler

from stepscope.core import Evidence, Place
from stepscope.evidence.environment import Environment, Loader, Loaders, Message, Messages
from stepscope.probes.live_run import LiveRun
from stepscope.probes.probe import Probe
from stepscope.probes.source_lines import PROGRAM, running_line

LIBRARIES = (
    "accelerate", "deepspeed", "lightning", "mmcv", "mmdet", "mmdet3d", "mmengine", "numpy",
    "open_clip_torch", "peft", "pytorch-lightning", "sentence-transformers", "timm", "torchvision",
    "transformers",
)  # fmt: skip
_MOST = 200  # messages of different lines that are kept


class EnvironmentProbe(Probe):
    """Names versions and devices."""

    def __init__(self, run: LiveRun) -> None:
        super().__init__(run)
        self._devices: dict[str, None] = {}

    def step_returned(self, optimizer: torch.optim.Optimizer) -> None:
        """See where the parameters are."""
        for group in optimizer.param_groups:
            self._devices.update((_device(tensor.device), None) for tensor in group["params"][:1])

    def evidence(self) -> Iterator[Evidence]:
        """Yield what is known of the place."""
        imported = (name for name in LIBRARIES if name.replace("-", "_").lower() in _imported())
        yield Environment(
            python=platform.python_version(),
            torch=str(torch.__version__),
            platform=platform.platform(),
            devices=tuple(self._devices),
            packages=tuple((name, _version(name)) for name in imported),
        )


class MessagesProbe(Probe):
    """Listens to warnings and to the log; both go on to whoever was to receive them."""

    def __init__(self, run: LiveRun) -> None:
        super().__init__(run)
        self._messages: dict[tuple[str, str, int], Message] = {}
        run.patch(warnings, "_showwarnmsg", self._around_warning)
        run.patch(logging.Logger, "callHandlers", self._around_log)

    def _around_warning(self, show: Any) -> Any:
        def observed(message: Any) -> None:
            if not self.run.looking:
                at = Place(file=message.filename, line=message.lineno)
                self._keep(message.category.__name__, message.filename, str(message.message), at)
            show(message)

        return observed

    def _around_log(self, call: Any) -> Any:
        def observed(logger: logging.Logger, record: logging.LogRecord) -> None:
            if record.levelno >= logging.WARNING and not self.run.looking:
                at = Place(file=record.pathname, line=record.lineno, function=record.funcName)
                self._keep(record.levelname, record.name, _text(record), at)
            call(logger, record)

        return observed

    def _keep(self, kind: str, source: str, text: str, at: Place) -> None:
        key = (kind, at.file, at.line)
        known = self._messages.get(key)
        if known is not None:
            text, count = known.text, known.count + 1
        elif len(self._messages) < _MOST:
            count = 1
        else:
            return
        self._messages[key] = Message(kind=kind, source=source, text=text, count=count, at=at)

    def evidence(self) -> Iterator[Evidence]:
        """Yield the messages. None is a fact too."""
        yield Messages(messages=tuple(self._messages.values()))


class LoadersProbe(Probe):
    """Counts the batches of each `DataLoader`."""

    def __init__(self, run: LiveRun) -> None:
        super().__init__(run)
        self._facts: list[Loader] = []
        self._batches: list[int] = []
        self._loaders: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()
        self._iterators: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()
        run.patch(DataLoader, "__iter__", self._around_iter)
        run.patch(_BaseDataLoaderIter, "__next__", self._around_next)

    def _around_iter(self, iterate: Any) -> Any:
        def observed(loader: Any) -> Any:
            iterator = iterate(loader)
            if loader not in self._loaders:
                self._loaders[loader] = len(self._facts)
                self._facts.append(loader_facts(loader))
                self._batches.append(0)
            self._iterators[iterator] = self._loaders[loader]
            return iterator

        return observed

    def _around_next(self, advance: Any) -> Any:
        def observed(iterator: Any) -> Any:
            batch = advance(iterator)
            if iterator in self._iterators:
                self._batches[self._iterators[iterator]] += 1
            return batch

        return observed

    def evidence(self) -> Iterator[Evidence]:
        """Yield the loaders, where there were any."""
        if self._facts:
            yield Loaders(
                loaders=tuple(
                    Loader(
                        dataset=fact.dataset,
                        size=fact.size,
                        batch_size=fact.batch_size,
                        workers=fact.workers,
                        shuffled=fact.shuffled,
                        drop_last=fact.drop_last,
                        batches=batches,
                        at=fact.at,
                    )
                    for fact, batches in zip(self._facts, self._batches, strict=True)
                )
            )


def loader_facts(loader: Any) -> Loader:
    """Describe a `DataLoader`, of which no batch was fetched yet."""
    sampler = loader.sampler
    shuffled = isinstance(sampler, RandomSampler | WeightedRandomSampler) or (
        isinstance(sampler, DistributedSampler) and sampler.shuffle
    )
    batch_size = loader.batch_size or getattr(loader.batch_sampler, "batch_size", None)
    return Loader(
        dataset=type(loader.dataset).__name__,
        size=dataset_size(loader.dataset),
        batch_size=batch_size if isinstance(batch_size, int) else None,
        workers=loader.num_workers,
        shuffled=shuffled,
        drop_last=bool(loader.drop_last),
        batches=0,
        at=running_line(PROGRAM),
    )


def dataset_size(dataset: Any) -> int | None:
    """Return the number of samples; None where it is not known for sure."""
    if isinstance(dataset, torch.utils.data.IterableDataset):
        return None  # its length may be a promise, and to ask may be to count
    return length(dataset)


def length(sized: Any) -> int | None:
    """Return how many it says it holds; a loader or data set of the program's own need not know."""
    try:
        return len(sized)
    except (TypeError, NotImplementedError):
        return None


def _text(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError):  # the program's own format does not fit its arguments
        return str(record.msg)


def _imported() -> set[str]:
    return {name.partition(".")[0] for name in tuple(sys.modules)} | {
        "open_clip_torch" for name in ("open_clip",) if name in sys.modules
    }


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _device(device: torch.device) -> str:
    if device.type != "cuda":
        return str(device)
    return f"{device} {torch.cuda.get_device_name(device)}"
