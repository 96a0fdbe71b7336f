"""An option of the command line was set, and the program never read it.

## What it proves
The options were parsed by argparse into a namespace of its own class. The run came to its own end,
and until then no line read the option. Warning: it was given another value than its default. Note:
it stayed at its default; all such options are one finding.

## Why it matters
Who sets `--lambda-contrastive 0.5` believes that it acts. An option that is parsed and never read
is an experiment that was not made: a sweep over it compares seeds.

## What to do
Read it where it is meant to act, or remove it from the parser. Where it is kept for old scripts,
let its help say so.

## Limits
A namespace that is handed on as a whole (`Model(**vars(args))`, a copy) is not judged: who reads
what of it is not seen. To print, log or save all options is not to read them; that is told from the
line that does it. Workers of a DataLoader read unseen: with such it is a note. Configurations that
are dictionaries, data classes or made by other libraries cannot be watched without changing them.

## Sources
- https://docs.python.org/3/library/argparse.html#the-namespace-object
"""

from stepscope.core import Finding, Findings, NotJudged, Place, Severity, Watch, rule
from stepscope.evidence.course.coverage import LoaderBegan, LoaderBeginnings
from stepscope.evidence.course.endings import Endings, RunEnded
from stepscope.evidence.course.readings import ConfigurationRead, ConfigurationsRead, Phase, Read


@rule("CFG001", Severity.WARNING)
def key_never_read(
    configurations: ConfigurationsRead, endings: Endings, loaders: LoaderBeginnings | None
) -> Findings:
    if endings.steps is None:
        raise NotJudged("the run did not come to its own end: what it would have read is unknown")
    judged = [each for _, each in configurations.seen if each.handed_on is None and each.reads]
    if not judged:
        raise NotJudged("the options were handed on as a whole, or none was read")
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
    read = len({each.key for each in seen.reads})
    return Finding(
        subject=subject,
        message=message,
        measured=f"of {len(seen.keys)} options {read} were read until the end of the run",
        expected="each option that is set acts somewhere",
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
