"""A frozen parameter changes, and no checkpoint load did it.

## What it proves
The parameter required a gradient at no recorded step, and its bits differ between two moments of
the recording. Neither `load_state_dict` nor a value computed from other parameters was written
into it. Over a run: it is in no optimizer, kept its bits from one look to the next, and had other
bits at a later look.

## Why it matters
What was built on the frozen part (cached features, a head, a comparison with the original) no
longer fits it. Where the part was declared frozen, the run is not the one that was planned.

## What to do
Look at the line that writes. An initialiser that runs again, a weight that is normalised in
place, or an update under `no_grad` that walks over all parameters are the usual causes.

## Limits
It is an error where `frozen` of the declared intent names the parameter. Without a declaration, a
write that the program makes on purpose cannot be told from a mistake: it is a note that names the
line. Averages of other parameters (EMA teachers, momentum encoders) do not count, nor do loads.
Movement by an optimizer is FRZ009. Over a run, looks are far apart: a change is reported with the
steps between which it came, only where the parameter is declared frozen and kept still through a
look before, and not where a `load_state_dict` of any module fell between them.

## Sources
- https://docs.pytorch.org/docs/stable/notes/autograd.html#setting-requires-grad
"""

import itertools

from stepscope.core import Finding, Findings, NotJudged, Place, Severity, Watch, rule
from stepscope.evidence.course.frozen_curves import FrozenCurves
from stepscope.evidence.course.movements import Moved, Movements
from stepscope.evidence.intent import Intent, matches
from stepscope.evidence.parameters import Parameter, Parameters, ParameterWrites, Write
from stepscope.evidence.subtrees import subtrees


@rule("FRZ002", Severity.ERROR)
def frozen_but_changed(
    parameters: Parameters | None,
    writes: ParameterWrites | None,
    intent: Intent | None,
    compared: FrozenCurves | None,
    movements: Movements | None,
) -> Findings:
    if parameters is None and compared is None:
        raise NotJudged(f"needs {Parameters.obtained_by}")
    declared = intent.frozen if intent is not None else ()
    found = _in_windows(parameters, writes, declared) if parameters is not None else {}
    for (is_declared, at), (names, measured) in found.items():
        yield from _findings(names, parameters, at, measured, is_declared=is_declared)
    told = {name for names, _ in found.values() for name in names}
    for _, moved in movements.seen if movements is not None else ():
        names = [n for n in moved.parameters if n not in told and matches(n, declared)]
        if names and not _is_average(names, writes):
            yield from _findings(names, parameters, Place(), _between(moved), is_declared=True)


def _findings(
    names: list[str],
    parameters: Parameters | None,
    at: Place,
    measured: str,
    *,
    is_declared: bool,
) -> Findings:
    everything = [each.name for each in parameters.parameters] if parameters is not None else names
    for tree in subtrees(names, everything):
        yield Finding(
            subject=tree.subject,
            message="is frozen (requires_grad=False), but its values changed",
            measured=measured,
            expected="the same bits before and after every step",
            at=Place(
                parameter=tree.place.parameter,
                module=tree.place.module,
                file=at.file,
                line=at.line,
                function=at.function,
            ),
            severity=Severity.ERROR if is_declared else Severity.NOTE,
        )


def _between(moved: Moved) -> str:
    return (
        f"the same bits until step {moved.since}, others at step {moved.until};"
        " no load_state_dict in between"
    )


def _is_average(names: list[str], writes: ParameterWrites | None) -> bool:
    seen = writes.writes if writes is not None else ()
    return any(_is_healthy(write) for write in seen if write.parameter in names)


def _in_windows(
    parameters: Parameters, writes: ParameterWrites | None, declared: tuple[str, ...]
) -> dict[tuple[bool, Place], tuple[list[str], str]]:
    """Return what changed in the recorded steps, by the line that wrote it."""
    seen: dict[str, list[Write]] = {}
    for write in writes.writes if writes is not None else ():
        seen.setdefault(write.parameter, []).append(write)
    changed: dict[tuple[bool, Place], list[str]] = {}
    for parameter in parameters.parameters:
        own = seen.get(parameter.name, [])
        if not _changed_while_frozen(parameter) or any(map(_is_healthy, own)):
            continue
        is_declared = matches(parameter.name, declared)
        if own or is_declared:
            at = own[-1].at if own else Place()
            changed.setdefault((is_declared, at), []).append(parameter.name)
    return {key: (names, _measured(names, parameters, seen)) for key, names in changed.items()}


def _changed_while_frozen(parameter: Parameter) -> bool:
    return parameter.frozen and parameter.ever_changed and not any(parameter.stepped)


def _is_healthy(write: Write) -> bool:
    return write.from_parameters or "load" in write.operation


def _measured(names: list[str], parameters: Parameters, seen: dict[str, list[Write]]) -> str:
    steps = max(_times(each) for each in parameters.parameters if each.name in names)
    operations = sorted({write.operation for name in names for write in seen.get(name, ())})
    by = f"; written by {', '.join(operations)}" if operations else "; no write was seen"
    return f"changes of its bits: {steps}{by}"


def _times(parameter: Parameter) -> int:
    history = [
        bits for pair in zip(parameter.before, parameter.after, strict=True) for bits in pair
    ]
    return sum(one != other for one, other in itertools.pairwise(history))


def fails_when_a_declared_frozen_part_is_initialised_again(watch: Watch) -> None:
    import torch

    from stepscope.evidence.intent import Intent

    watch.saw(Intent(frozen=("0",)))
    encoder = torch.nn.Linear(4, 4).requires_grad_(False)
    model = torch.nn.Sequential(encoder, torch.nn.Linear(4, 2))
    optimizer = torch.optim.SGD(model[1].parameters(), lr=0.1)
    for _step in range(2):
        optimizer.zero_grad()
        model(torch.ones(3, 4)).sum().backward()
        optimizer.step()
        torch.nn.init.normal_(encoder.weight)


def fails_as_a_note_when_a_frozen_part_is_written_to_undeclared(watch: Watch) -> None:
    import torch

    from stepscope.core import Place
    from stepscope.evidence.parameters import ParameterWrites, Write

    encoder = torch.nn.Linear(4, 4).requires_grad_(False)
    model = torch.nn.Sequential(encoder, torch.nn.Linear(4, 2))
    optimizer = torch.optim.SGD(model[1].parameters(), lr=0.1)
    for _step in range(2):
        optimizer.zero_grad()
        model(torch.ones(3, 4)).sum().backward()
        optimizer.step()
        torch.nn.init.normal_(encoder.weight)
    write = Write(
        parameter="0.weight",
        operation="normal_",
        from_parameters=False,
        at=Place(file="train.py", line=12),
    )
    watch.saw(ParameterWrites(writes=(write,)))


def passes_when_the_frozen_part_is_an_average_of_the_trained_one(_: Watch) -> None:
    import torch

    model = torch.nn.ModuleDict(
        {"student": torch.nn.Linear(4, 2), "teacher": torch.nn.Linear(4, 2).requires_grad_(False)}
    )
    optimizer = torch.optim.SGD(model["student"].parameters(), lr=0.1)
    for _step in range(2):
        optimizer.zero_grad()
        target = model["teacher"](torch.ones(3, 4))
        (model["student"](torch.ones(3, 4)) - target).square().sum().backward()
        optimizer.step()
        pairs = zip(model["teacher"].parameters(), model["student"].parameters(), strict=True)
        with torch.no_grad():
            for slow, fast in pairs:
                slow.lerp_(fast, 0.1)


def passes_when_weights_are_loaded_into_it(watch: Watch) -> None:
    import torch

    from stepscope.core import Place
    from stepscope.evidence.intent import Intent
    from stepscope.evidence.parameters import ParameterWrites, Write

    watch.saw(Intent(frozen=("0",)))
    model = torch.nn.Sequential(torch.nn.Linear(4, 4).requires_grad_(False), torch.nn.Linear(4, 2))
    optimizer = torch.optim.SGD(model[1].parameters(), lr=0.1)
    for _step in range(2):
        optimizer.zero_grad()
        model(torch.ones(3, 4)).sum().backward()
        optimizer.step()
        model[0].load_state_dict(torch.nn.Linear(4, 4).state_dict())
    watch.saw(
        ParameterWrites(
            writes=tuple(
                Write(
                    parameter=name,
                    operation="load_state_dict",
                    from_parameters=False,
                    at=Place(file="train.py", line=12),
                )
                for name in ("0.weight", "0.bias")
            )
        )
    )


def passes_when_an_optimizer_moves_it(watch: Watch) -> None:
    import torch

    from stepscope.evidence.intent import Intent

    watch.saw(Intent(frozen=("0",)))
    model = torch.nn.Sequential(torch.nn.Linear(4, 4).requires_grad_(False), torch.nn.Linear(4, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.1)
    for _step in range(2):
        optimizer.zero_grad()
        model(torch.ones(3, 4)).sum().backward()
        for parameter in model[0].parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()


def passes_when_the_frozen_part_keeps_its_bits(watch: Watch) -> None:
    import torch

    from stepscope.evidence.intent import Intent

    watch.saw(Intent(frozen=("0",)))
    model = torch.nn.Sequential(torch.nn.Linear(4, 4).requires_grad_(False), torch.nn.Linear(4, 2))
    optimizer = torch.optim.SGD(model[1].parameters(), lr=0.1)
    for _step in range(2):
        optimizer.zero_grad()
        model(torch.ones(3, 4)).sum().backward()
        optimizer.step()


def fails_when_a_declared_frozen_part_changes_late_in_a_run(watch: Watch) -> None:
    import torch

    from stepscope.evidence.intent import Intent

    watch.saw(Intent(frozen=("0",)))
    encoder = torch.nn.Linear(4, 4).requires_grad_(False)
    model = torch.nn.Sequential(encoder, torch.nn.Linear(4, 2))
    optimizer = torch.optim.SGD(model[1].parameters(), lr=0.1)
    for step in range(6):
        optimizer.zero_grad()
        model(torch.ones(3, 4)).sum().backward()
        optimizer.step()
        if step == 4:  # noqa: PLR2004 - far from the beginning
            encoder.weight.data.mul_(0.5)


def fails_when_the_change_was_seen_between_two_looks_only(watch: Watch) -> None:
    from stepscope.evidence.course.frozen_curves import FrozenCurves
    from stepscope.evidence.course.movements import Moved, Movements
    from stepscope.evidence.course.series import Series
    from stepscope.evidence.intent import Intent

    watch.saw(
        Intent(frozen=("encoder",)),
        FrozenCurves(series={"parameters": Series((0, 400, 500), (2.0, 2.0, 2.0))}),
        Movements(
            seen=((500, Moved(parameters=("encoder.weight",), since=401, until=501)),), count=1
        ),
    )


def passes_when_it_changes_late_and_nobody_declared_it(watch: Watch) -> None:
    from stepscope.evidence.course.frozen_curves import FrozenCurves
    from stepscope.evidence.course.movements import Moved, Movements
    from stepscope.evidence.course.series import Series

    watch.saw(
        FrozenCurves(series={"parameters": Series((0, 400, 500), (2.0, 2.0, 2.0))}),
        Movements(
            seen=((500, Moved(parameters=("encoder.weight",), since=401, until=501)),), count=1
        ),
    )


def skips_when_no_step_is_taken(_: Watch) -> None:
    pass
