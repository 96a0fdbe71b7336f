"""A module is declared, and was never built, or was built and never used.

## What it proves
The intent names a class of modules under `modules`, or a table of a configuration does so by
`type` or `_target_`. The run came to its own end, and until then no module of this class was made;
or there was one, and after the first step nothing called it, nor asked it for a method, a
parameter or a part, and in that step neither a call nor a gradient reached it. Error: the intent
declares it. Warning: a configuration does. Note: nothing has read the table that declares it. In
`check` only the intent is judged, by what is built before the recorded steps are over.

## Why it matters
A memory bank, a teacher or an auxiliary head that stands in the configuration and is not part of
the training leaves no trace: the loss falls, and the experiment is the baseline under another name.

## What to do
Look for the condition under which it is built, for the key that its table is read from, and for the
place that was to call it. If it is not meant to be there, remove it from the configuration.

## Limits
Modules are told apart by the names of their classes: one of several that lies idle is not seen.
Classes of torch are not judged (`norm_cfg=dict(type="BN")` is a choice, no module), nor are names
behind which there is no class of modules. A table that lies within another one counts only where
the outer one was built, and a table that MMEngine's Runner has taken as a whole only where it lies
within another. After `torch.compile`, and where fewer than three steps follow the first, what is
used is not known. Use in another process is not seen.

## Sources
- https://mmengine.readthedocs.io/en/latest/advanced_tutorials/registry.html
- https://hydra.cc/docs/advanced/instantiate_objects/overview/
"""

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from stepscope.core import Finding, Findings, NotJudged, Place, Severity, Watch, rule
from stepscope.evidence.built_modules import BuiltModules
from stepscope.evidence.course.endings import Endings, RunEnded
from stepscope.evidence.course.module_uses import ModulesUsed, ModuleUse, ModuleUses
from stepscope.evidence.course.progress import Progress
from stepscope.evidence.course.readings import (
    ConfigurationRead,
    ConfigurationsRead,
    DeclaredModule,
    Phase,
    Read,
)
from stepscope.evidence.environment import Run
from stepscope.evidence.intent import Intent


@rule("CFG005", Severity.WARNING)
def declared_module_not_built(
    run: Run,
    intent: Intent | None,
    built: BuiltModules | None,
    uses: ModuleUses | None,
    endings: Endings | None,
    configurations: ConfigurationsRead | None,
    progress: Progress | None,
) -> Findings:
    if run.rank:
        raise NotJudged("the first rank is judged, which builds what the others need not")
    named = intent.modules if intent is not None else ()
    if progress is None:
        yield from _in_first_steps(run, named, built)
        return
    if uses is None or endings is None or not endings.steps:
        raise NotJudged("a module may be built later: judged when the run has come to its own end")
    _, seen = uses.seen[-1]
    modules = {each.kind: each for each in seen.modules}
    read = configurations.seen if configurations is not None else ()
    declaring = [(each, one) for _, each in read for one in each.modules if one.kind in modules]
    if not named and not declaring:
        raise NotJudged("no class of modules is declared, by the intent or by a configuration")
    for name in named:
        yield from _by_intent(name, seen, modules)
    for kind in sorted({one.kind for _, one in declaring} - set(named)):
        tables = [(each, one) for each, one in declaring if one.kind == kind]
        yield from _by_configuration(tables, seen, modules)


def _in_first_steps(
    run: Run, named: tuple[str, ...], built: BuiltModules | None
) -> Iterator[Finding]:
    if not named or built is None or not run.steps:
        raise NotJudged(
            "the intent declares no modules, or no step was taken; "
            "what a configuration declares is judged in `run`"
        )
    for name in named:
        if name not in built.kinds:
            yield _absent(name, built.kinds, "not built by the end of the recorded steps")


def _by_intent(name: str, seen: ModulesUsed, modules: Mapping[str, ModuleUse]) -> Iterator[Finding]:
    known = modules.get(name)
    if known is None and (name in seen.others or not seen.is_complete):
        return
    built = known.built if known is not None else 0
    if not built and seen.is_whole:
        kinds = [each.kind for each in seen.modules if each.built]
        yield _absent(name, (*kinds, *seen.others), "never built")
    elif built and known is not None and known.used is False:
        yield _idle(name, built, "the intent", Place(), Severity.ERROR)


def _absent(name: str, kinds: tuple[str, ...], what: str) -> Finding:
    nearest = difflib.get_close_matches(name, kinds, 3, 0.5) or kinds[:6]
    return Finding(
        subject=name,
        message=f"is declared by the intent, and {what}",
        measured=f"0 modules of this class; built were {', '.join(nearest) or 'none'}",
        expected="a module of this class, called in training",
        severity=Severity.ERROR,
    )


def _by_configuration(
    tables: list[tuple[ConfigurationRead, DeclaredModule]],
    seen: ModulesUsed,
    modules: Mapping[str, ModuleUse],
) -> Iterator[Finding]:
    known = modules[tables[0][1].kind]
    if known.built and known.used is False:
        each, one = tables[0]
        yield _idle(one.kind, known.built, one.key, each.at, None)
    if known.built or not seen.is_whole:
        return
    for each, one in tables:
        if one.within:
            around = modules.get(one.within)
            is_expected = around is not None and around.built > 0
        else:
            is_expected = one.by_path or each.handed_on is None
        if is_expected:
            is_read = bool(one.within) or any(_is_below(read, one) for read in each.reads)
            yield Finding(
                subject=one.kind,
                message=f"is declared by {one.key}, and never built",
                measured="0 modules of this class until the end of the run"
                + ("" if is_read or each.unseen else "; nothing has read the table"),
                expected="a module of this class, called in training",
                at=each.at,
                severity=None if is_read else Severity.NOTE,
            )
            return


def _idle(kind: str, built: int, by: str, at: Place, severity: Severity | None) -> Finding:
    return Finding(
        subject=kind,
        message=f"is declared by {by} and built, and never used",
        measured=f"0 calls of {built} {'module' if built == 1 else 'modules'} of this class",
        expected="a module of this class, called in training",
        at=at,
        severity=severity,
    )


def _is_below(read: Read, table: DeclaredModule) -> bool:
    return read.key == table.key or read.key.startswith((f"{table.key}.", f"{table.key}["))


def _train(config: dict[str, Any], *, steps: int = 5) -> None:
    import torch

    from stepscope.probes.configurations.handed import watch_config

    class Neck(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + 1

    class Detector(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = torch.nn.Linear(4, 2)
            self.neck = Neck() if config["builds"] else None

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out: torch.Tensor = self.head(self.neck(x) if self.neck and config["calls"] else x)
            return out

    watch_config(config)
    model = Detector()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.ones(3, 4)).sum().backward()
        optimizer.step()


def _config(*, builds: bool, calls: bool) -> dict[str, Any]:
    neck = {"type": "Neck"}
    return {"model": {"type": "Detector", "neck": neck}, "builds": builds, "calls": calls}


def fails_when_the_neck_of_the_configuration_is_never_built(_: Watch) -> None:
    _train(_config(builds=False, calls=False))


def fails_when_it_is_built_and_never_called(_: Watch) -> None:
    _train(_config(builds=True, calls=False))


def fails_when_the_intent_names_what_nobody_builds(watch: Watch) -> None:
    watch.saw(Intent(modules=("Bank",)))
    _train(_config(builds=True, calls=True))


def fails_when_the_intent_names_what_nobody_calls(watch: Watch) -> None:
    watch.saw(Intent(modules=("Neck",)))
    _train(_config(builds=True, calls=False))


def fails_as_a_note_when_a_table_is_never_read(watch: Watch) -> None:
    watch.saw(_declared(DeclaredModule(key="teacher", kind="Teacher", by_path=True)))
    watch.saw(_used(ModuleUse(kind="Teacher", built=0, used=None)), _ended())


def fails_when_a_table_is_read_and_its_module_never_built(watch: Watch) -> None:
    teacher = DeclaredModule(key="teacher", kind="Teacher", by_path=True)
    watch.saw(_declared(teacher, reads=("teacher.weight",)))
    watch.saw(_used(ModuleUse(kind="Teacher", built=0, used=None)), _ended())


def passes_when_all_that_is_declared_is_called(watch: Watch) -> None:
    watch.saw(Intent(modules=("Neck", "Linear")))
    _train(_config(builds=True, calls=True))


def passes_when_the_table_around_it_is_not_built_either(watch: Watch) -> None:
    watch.saw(_declared(DeclaredModule(key="other.neck", kind="Neck", within="Segmenter")))
    watch.saw(_used(ModuleUse(kind="Neck", built=0, used=None)), _ended())


def passes_when_an_unused_choice_stands_beside_what_the_runner_took(watch: Watch) -> None:
    norm = DeclaredModule(key="norm", kind="OwnNorm")
    watch.saw(_declared(norm, handed_on=Place(file="train.py", line=9)))
    watch.saw(_used(ModuleUse(kind="OwnNorm", built=0, used=None)), _ended())


def passes_when_too_few_steps_follow_to_say_that_it_is_idle(_: Watch) -> None:
    _train(_config(builds=True, calls=False), steps=3)


def skips_when_nothing_is_declared(_: Watch) -> None:
    _train({"builds": True, "calls": False})


def skips_when_the_run_was_interrupted(watch: Watch) -> None:
    _train(_config(builds=False, calls=False))
    watch.saw(Endings(seen=((5, RunEnded(finished=False, error="KeyboardInterrupt")),), count=1))


def _declared(
    module: DeclaredModule, *, reads: tuple[str, ...] = (), handed_on: Place | None = None
) -> ConfigurationsRead:
    at = Place(file="train.py", line=8)
    configuration = ConfigurationRead(
        kind="omegaconf.DictConfig", keys=reads, given=(), switches=(), modules=(module,),
        reads=tuple(Read(key=key, phase=Phase.BUILD, at=at) for key in reads),
        handed_on=handed_on, at=at,
    )  # fmt: skip
    return ConfigurationsRead(seen=((9, configuration),), count=1)


def _used(*modules: ModuleUse) -> ModuleUses:
    return ModuleUses(seen=((9, ModulesUsed(modules=modules)),), count=1)


def _ended() -> Endings:
    return Endings(seen=((9, RunEnded(finished=True)),), count=1)
