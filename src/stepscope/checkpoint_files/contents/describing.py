"""A checkpoint as evidence: what it is, what is in it, what it lacks."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from stepscope.checkpoint_files.content import Content, Key, Tree
from stepscope.checkpoint_files.contents.banks import banks
from stepscope.checkpoint_files.contents.holes import hole
from stepscope.checkpoint_files.contents.layout import Layout, layout, merged
from stepscope.checkpoint_files.contents.optimizers import described, parameters_of
from stepscope.checkpoint_files.contents.resuming import lacks, parts
from stepscope.checkpoint_files.contents.stored import Stored, stored
from stepscope.checkpoint_files.contents.values import Progress, Values
from stepscope.checkpoint_files.contents.writers import writer
from stepscope.checkpoint_files.reading import read
from stepscope.evidence.checkpoint_file import CheckpointFile, TensorFacts


@dataclass(frozen=True, slots=True)
class Described:
    """The evidence, and the places of the tensors for whoever must look at their values."""

    evidence: CheckpointFile
    content: Content
    found: Layout
    values: Values


def describe(
    path: Path,
    progress: Progress | None = None,
    *,
    name: str = "",
    order: Sequence[str] = (),
) -> Described:
    """Read a checkpoint and say what is in it. Each tensor is read once; nothing is executed.

    `progress` is told bytes as they are read; `name` is what reports call the file; `order` are
    the names of the model's parameters as `named_parameters()` gives them, where they are known.

    Raises:
        UnreadableCheckpoint: it is no checkpoint, is damaged, or asks for code to be run.
    """
    content = read(path)
    found = layout(content.tree)
    everything = list(_everything(found))
    values = Values([tensor for _, _, tensor in everything], progress)
    parameters = parameters_of(
        found.model, keeps_order="safetensors" not in content.format, order=order
    )
    optimizers = tuple(
        described(at, node, parameters, values) for at, node in found.optimizers.items()
    )
    kept = tuple(banks(found.model, values))
    evidence = CheckpointFile(
        path=name or str(path),
        format=content.format,
        writer=writer(content),
        nbytes=content.nbytes,
        files=len(content.files),
        tensors=tuple(_tensors(everything, values)),
        optimizers=optimizers,
        parts=tuple(parts(found, values)),
        counters=tuple(found.counters),
        banks=kept,
        lacks=tuple(lacks(found, optimizers, kept)),
        classes=content.classes,
    )
    return Described(evidence, content, found, values)


def _everything(found: Layout) -> Iterator[tuple[str, str, Stored]]:
    """Yield part, name and place of every tensor."""
    for name, tensor in found.model.items():
        yield "model", name, tensor
    model = found.model_paths
    beside = {path: state for path, state in found.states.items() if path not in model}
    for part, states in (("ema", found.averaged), ("other", beside)):
        for name, tensor in merged(states, list(states)).items():
            yield part, name, tensor
    for path, tensor in found.loose.items():
        yield "other", path, tensor
    for path, node in found.optimizers.items():
        yield from (("optimizer", *each) for each in _inside(path, node))
    for nodes in (found.schedulers, found.scalers):
        for path, node in nodes.items():
            yield from (("other", *each) for each in _inside(path, node))


def _inside(path: str, node: Tree) -> Iterator[tuple[str, Stored]]:
    tensor = stored(node)
    if tensor:
        yield path, tensor
    elif isinstance(node, dict):
        for key, child in node.items():
            yield from _inside(f"{path}.{_word(key)}", child)
    elif isinstance(node, list | tuple):
        for at, child in enumerate(node):
            yield from _inside(f"{path}[{at}]", child)


def _word(key: Key) -> str:
    return str(key)


def _tensors(everything: list[tuple[str, str, Stored]], values: Values) -> Iterator[TensorFacts]:
    first: dict[object, str] = {}
    for part, name, tensor in everything:
        memory = tensor.memory
        owner = first.setdefault(memory, name) if memory is not None else name
        yield _facts(part, name, tensor, values, "" if owner == name else owner)


def _facts(part: str, name: str, tensor: Stored, values: Values, owner: str) -> TensorFacts:
    found = values.statistics(tensor)
    single = math.prod(tensor.shape) == 1
    return TensorFacts(
        name=name,
        part=part,
        shape=tensor.shape,
        dtype=tensor.dtype,
        nbytes=tensor.nbytes,
        fingerprint=found.fingerprint if found else 0,
        non_finite=found.non_finite if found else 0,
        zeros=found.zeros if found else 0,
        smallest=found.smallest if found else None,
        largest=found.largest if found else None,
        mean=found.mean if found else None,
        deviation=found.deviation if found else None,
        is_constant=found.is_constant if found else False,
        value=values.number(tensor) if single and part in ("model", "ema") else None,
        shared_with=owner,
        hole=hole(tensor, found) if part == "model" and found else 0,
    )
