"""The pairs of a stage: to train on, to choose the checkpoint by, to test with."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar, get_args

from stepscope_systems.rgbt_detection.config import DataConfig, Stage
from stepscope_systems.rgbt_detection.data.kaist_layout import Variant
from stepscope_systems.rgbt_detection.data.llvip import Annotations
from stepscope_systems.rgbt_detection.data.pairs import PairList
from stepscope_systems.rgbt_detection.data.sources import Source, kind_and_root
from stepscope_systems.rgbt_detection.data.splits import by_scene
from stepscope_systems.rgbt_detection.data.synthetic import DOMAINS, Layout, synthesise

Progress = Callable[[int, int], None]
Name = TypeVar("Name", bound=str)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lists:
    """Three lists without a pair in common; training and validation share no scene either."""

    train: PairList
    validation: PairList
    test: PairList

    def summary(self) -> str:
        """Return a line a list."""
        return "\n".join(each.summary() for each in (self.train, self.validation, self.test))


def lists_of(
    config: DataConfig, stage: Stage, folder: Path, progress: Progress | None = None
) -> Lists:
    """Read the pairs of a stage; synthetic ones are written to `folder` unless they are there.

    Raises:
        ValueError: the source, or its variant, is of another kind.
        DataFault: something in it cannot be used as it is.
    """
    if config.source == "synthetic":
        train, test = _synthetic(config, stage, folder, progress)
    else:
        source = _source(config)
        train, test = source.inspect().sound(), _tested(source).inspect().sound()
        _expect_apart(train, test)
    train, validation = by_scene(train, share=config.validation_share, seed=config.seed)
    return Lists(train=train, validation=validation, test=test)


def pairs_to_test(
    config: DataConfig, stage: Stage, folder: Path, progress: Progress | None = None
) -> PairList:
    """Read the test pairs alone: a folder may hold no others.

    Raises:
        ValueError: the source, or its variant, is of another kind.
        DataFault: something in it cannot be used as it is.
    """
    if config.source == "synthetic":
        return _synthetic(config, stage, folder, progress)[1]
    return _tested(_source(config)).inspect().sound()


def _tested(source: Source) -> Source:
    """Return where the test pairs are.

    The sanitized annotations are of training frames; the improved ones of test frames.
    """
    is_sanitized = source.variant == "sanitized-train"
    return replace(
        source, split="test", variant="improved-test" if is_sanitized else source.variant
    )


def _expect_apart(train: PairList, test: PairList) -> None:
    both = {pair.visible for pair in train.pairs} & {pair.visible for pair in test.pairs}
    if both:
        raise ValueError(
            f"{len(both):,} images are in the training and in the test list, first {min(both)}; "
            "expected none: a result on them says nothing"
        )


def _source(config: DataConfig) -> Source:
    if config.misalignment or not config.has_shared_cue:
        raise ValueError(
            f"data.misalignment and data.has_shared_cue are of the synthetic set, and the source "
            f"is {config.source!r}; leave them out"
        )
    kind, root = kind_and_root(config.source)
    subset = config.is_subset
    ignored = frozenset(config.ignored)
    if ignored and kind not in {"coco", "yolo"}:
        raise ValueError(
            f"data.ignored is {', '.join(sorted(ignored))}, and {kind} has classes of its own; "
            "leave it out"
        )
    source = Source(kind=kind, root=root, split="train", subset=subset, ignored=ignored)
    if kind == "kaist":
        known: tuple[Variant, ...] = get_args(Variant)
        return replace(source, variant=_chosen(config.variant or "paired", known))
    if kind == "llvip":
        dated: tuple[Annotations, ...] = get_args(Annotations)
        return replace(source, annotations=_chosen(config.variant or "undeclared", dated))
    if config.variant:
        raise ValueError(f"data.variant is {config.variant!r}; {kind} has none: leave it out")
    return source


def _chosen(name: str, known: tuple[Name, ...]) -> Name:
    for each in known:
        if each == name:
            return each
    raise ValueError(f"data.variant is {name!r}; expected one of {', '.join(known)}")


def _synthetic(
    config: DataConfig, stage: Stage, folder: Path, progress: Progress | None
) -> tuple[PairList, PairList]:
    """Write domain A for stage 1, B for stage 2.

    A is laid out as LLVIP, which has one box for both modalities; B as KAIST, and so is A where
    the modalities' boxes differ.
    """
    if config.variant:
        raise ValueError(
            f"data.variant is {config.variant!r}; the synthetic set has none: leave it out"
        )
    domain = DOMAINS["a" if stage == "stage1" else "b"]
    domain = replace(domain, misalignment=config.misalignment, has_shared_cue=config.has_shared_cue)
    layout: Layout = "kaist" if stage == "stage2" else "llvip"
    if config.misalignment or not config.has_shared_cue:
        layout = "kaist"
    cue = "" if config.has_shared_cue else "-no-cue"
    shift = f"-shift{config.misalignment}" if config.misalignment else ""
    counts = f"{config.train_pairs}-{config.test_pairs}"
    root = folder / f"{domain.name}{cue}{shift}-{counts}-seed{config.seed}"
    if not root.exists():
        # In a folder of its own first: an interrupted writer leaves nothing that looks whole.
        # Its own of each process, since those of one run may come here at the same time.
        draft = root.with_name(f"{root.name}.unfinished-{os.getpid()}")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        synthesise(
            draft,
            domain,
            layout=layout,
            train=config.train_pairs,
            test=config.test_pairs,
            seed=config.seed,
            progress=progress,
        )
        try:
            draft.replace(root)
        except OSError:
            if not root.exists():
                raise
            shutil.rmtree(draft)  # another process was first, with the same files
    source = Source(kind=layout, root=root, split="train", variant="paired", subset=True)
    train, test = (
        replace(each.inspect().sound(), dataset=domain.name, variant=f"seed {config.seed}")
        for each in (source, replace(source, split="test"))
    )
    return train, test
