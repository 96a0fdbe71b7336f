"""A setting was set, and the program never read it.

## What it proves
The settings are options that argparse has parsed, what OmegaConf, Hydra, yacs or MMEngine have
loaded, or an object that the program gave to `stepscope.watch_config`. The run came to its own end,
and until then no line read the setting. Warning: it was given another value than it had: on the
command line, by merging, or other than the default of its data class. Note: it is what the file or
the default says; all such settings are one finding.

## Why it matters
Who sets `--lambda-contrastive 0.5` believes that it acts. An option that is parsed and never read
is an experiment that was not made: a sweep over it compares seeds.

## What to do
Read it where it is meant to act, or remove it from the parser or the file. Where it is kept for old
scripts, let its help say so.

## Limits
A configuration that is handed on as a whole (`Model(**vars(args))`, a copy, `Runner.from_cfg(cfg)`)
is not judged: who reads what of it is not seen. Of a part that is handed on (`build(**cfg.model)`)
everything counts as read. To print, log or save all settings is not to read them; that is told from
the line that does it. A list is one setting. Workers of a DataLoader read unseen: with such it is
a note. Of several ranks the first is judged. Nothing is judged after `torch.compile`, nor of a
plain dictionary, of which nobody is told what is read, nor of what was given to `watch_config`
before the watching began.

## Sources
- https://docs.python.org/3/library/argparse.html#the-namespace-object
- https://omegaconf.readthedocs.io/en/latest/usage.html#merging-configurations
"""

import msgspec

from stepscope.core import Finding, Findings, NotJudged, Place, Severity, Watch, rule
from stepscope.evidence.course.coverage import LoaderBegan, LoaderBeginnings
from stepscope.evidence.course.endings import Endings, RunEnded
from stepscope.evidence.course.readings import ConfigurationRead, ConfigurationsRead, Phase, Read
from stepscope.evidence.environment import Run


@rule("CFG001", Severity.WARNING)
def key_never_read(
    run: Run,
    configurations: ConfigurationsRead,
    endings: Endings,
    loaders: LoaderBeginnings | None,
) -> Findings:
    if run.rank:
        raise NotJudged("the first rank is judged, which reads what the others need not")
    if endings.steps is None:
        raise NotJudged("the run did not come to its own end: what it would have read is unknown")
    judged = [
        each
        for _, each in configurations.seen
        if each.handed_on is None and each.reads and not each.unseen
    ]
    if not judged:
        why = next(
            (f"{each.kind} {each.unseen}" for _, each in configurations.seen if each.unseen), ""
        )
        raise NotJudged(why or "the settings were handed on as a whole, or none was read")
    workers = loaders is not None and any(each.workers for _, each in loaders.seen)
    for each in judged:
        read = {one.key for one in each.reads}
        unread = [key for key in each.keys if key not in read]
        for key in unread:
            if key in each.given:
                yield _finding(key, each, "was set, and is never read", workers=workers)
        idle = [key for key in unread if key not in each.given]
        if idle:
            names = ", ".join(idle[:8]) + (", ..." if idle[8:] else "")
            yield _finding(names, each, "never read, and left at the default", workers=True)


def _finding(subject: str, seen: ConfigurationRead, message: str, *, workers: bool) -> Finding:
    read = len({each.key for each in seen.reads} & set(seen.keys))
    return Finding(
        subject=subject,
        message=message,
        measured=f"of {len(seen.keys)} settings {read} were read until the end of the run",
        expected="each setting acts somewhere",
        at=seen.at,
        severity=Severity.NOTE if workers else None,
    )


def _parsed(words: str, *, whole: bool = False, prints: bool = False) -> None:
    import argparse

    import torch

    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--weight", type=float, default=1.0)
    args = parser.parse_args(words.split())
    if prints:
        print(args, vars(args))  # noqa: T201 - as such programs do
    settings = dict(**vars(args)) if whole else {"lr": args.lr}
    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=settings["lr"])
    model(torch.ones(3, 4)).sum().backward()
    optimizer.step()


def fails_when_a_weight_is_set_and_never_read(_: Watch) -> None:
    _parsed("--lr 0.2 --weight 0.5")


def fails_when_a_field_of_a_data_class_is_set_and_never_read(_: Watch) -> None:
    import dataclasses

    import torch

    from stepscope.probes.configurations.handed import watch_config

    @dataclasses.dataclass(frozen=True)
    class Config:
        lr: float = 0.1
        weight: float = 1.0

    config = watch_config(Config(weight=0.5))
    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=config.lr)
    model(torch.ones(3, 4)).sum().backward()
    optimizer.step()


def fails_when_it_is_only_printed(_: Watch) -> None:
    _parsed("--weight 0.5", prints=True)


def fails_as_a_note_when_it_stays_at_its_default(_: Watch) -> None:
    _parsed("--lr 0.2 --weight 1.0")


def fails_as_a_note_when_workers_may_read_it(watch: Watch) -> None:
    _parsed("--weight 0.5")
    began = LoaderBegan(
        number=0, dataset="Pairs", size=9, batches=3, batch_size=3, workers=2, shuffled=True,
        drop_last=False, sequential=False, persistent=False, seeds_workers=False,
    )  # fmt: skip
    watch.saw(LoaderBeginnings(seen=((0, began),), count=1))


def passes_when_every_option_is_read(watch: Watch) -> None:
    watch.saw(_seen("lr", "weight"))


def skips_when_all_options_are_handed_on(_: Watch) -> None:
    _parsed("--weight 0.5", whole=True)


def skips_when_nobody_is_told_of_the_reads(watch: Watch) -> None:
    (step, seen), *_ = _seen("lr").seen
    unseen = msgspec.structs.replace(seen, unseen="is a plain dictionary")
    watch.saw(ConfigurationsRead(seen=((step, unseen),), count=1))


def skips_when_the_run_was_interrupted(watch: Watch) -> None:
    _parsed("--weight 0.5")
    watch.saw(Endings(seen=((1, RunEnded(finished=False, error="KeyboardInterrupt")),), count=1))


def _seen(*read: str) -> ConfigurationsRead:
    at = Place(file="train.py", line=8)
    reads = tuple(Read(key=key, phase=Phase.BUILD, at=at) for key in read)
    configuration = ConfigurationRead(
        kind="argparse.Namespace", keys=("lr", "weight"), given=("weight",), switches=(),
        reads=reads, handed_on=None, at=at,
    )  # fmt: skip
    return ConfigurationsRead(seen=((1, configuration),), count=1)
