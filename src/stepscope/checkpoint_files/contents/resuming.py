"""What an exact resume needs, and whether the file has it."""

from collections.abc import Iterator, Mapping

from stepscope.checkpoint_files.content import Key, Tree
from stepscope.checkpoint_files.contents.layout import Layout
from stepscope.checkpoint_files.contents.values import Values
from stepscope.evidence.checkpoint_file import Bank, Lack, OptimizerFacts, PartFacts

SHOWN = 3


def parts(found: Layout, values: Values) -> Iterator[PartFacts]:
    """Yield what is there besides model and optimizer."""
    for path, node in found.schedulers.items():
        yield PartFacts(kind="scheduler", path=path, summary=_schedule(node, values))
    for path, node in found.scalers.items():
        scale = values.number(node.get("scale", node.get("cur_scale")))
        yield PartFacts(kind="scaler", path=path, summary="" if scale is None else f"{scale:g}")
    for path, state in found.averaged.items():
        yield PartFacts(kind="ema", path=path, summary=f"{len(state)} tensors")
    if found.random:
        shown = ", ".join(found.random[:SHOWN]) + (", ..." if len(found.random) > SHOWN else "")
        yield PartFacts(kind="rng", path=shown)
    for path, kind in found.others.items():
        yield PartFacts(kind=kind, path=path)
    for path, settings in found.configurations.items():
        entries = len(settings) if isinstance(settings, dict) else 0
        yield PartFacts(kind="config", path=path, summary=f"{entries} entries")


def lacks(
    found: Layout, optimizers: tuple[OptimizerFacts, ...], banks: tuple[Bank, ...]
) -> Iterator[Lack]:
    """Yield what is not there, of a file that carries a model and an optimizer."""
    if not (optimizers and found.model):
        return
    scheduled = [g for each in optimizers for g in each.groups if g.initial_lr is not None]
    if scheduled and not found.schedulers:
        yield Lack(
            what="scheduler",
            why=f"its {len(scheduled)} parameter groups have an initial_lr, which a scheduler sets",
            is_proved=True,
        )
    for each in optimizers:
        if not each.slots and _keeps(each):
            yield Lack(
                what="optimizer state",
                why=f"{each.path} has groups, and keeps nothing for their parameters",
                is_proved=False,
            )
    yield from (
        Lack(
            what="bank pointer",
            why=f"{bank.name} is a queue, and where it goes on is not in the file",
            is_proved=False,
        )
        for bank in banks
        if bank.pointer is None
    )
    if not found.random:
        yield Lack(
            what="random state",
            why="data order, dropout and augmentation will not go on where they stopped",
            is_proved=False,
        )
    if not found.counters:
        yield Lack(
            what="epoch or step", why="how far the training was is not in it", is_proved=False
        )


def _keeps(optimizer: OptimizerFacts) -> bool:
    return optimizer.kind != "SGD without momentum" and bool(optimizer.groups)


def _schedule(node: Mapping[Key, Tree], values: Values) -> str:
    words: list[str] = []
    for key in ("last_epoch", "last_step", "_step_count", "T_max", "total_steps", "gamma"):
        number = values.number(node.get(key))
        if number is not None:
            words.append(f"{key.lstrip('_')} {number:g}")
    last = node.get("_last_lr", node.get("_last_value"))
    if isinstance(last, list | tuple) and last:
        numbers = [n for each in last if (n := values.number(each)) is not None]
        shown = ", ".join(f"{number:.4g}" for number in dict.fromkeys(numbers[:SHOWN]))
        words.append(f"lr {shown}")
    return ", ".join(words)
