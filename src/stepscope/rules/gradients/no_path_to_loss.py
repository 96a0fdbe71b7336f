"""A trainable parameter in a stepping optimizer reaches no loss.

## What it proves
No backward of the recorded steps led to the parameter through autograd's graph, and nothing else
put a gradient other than 0 into it, though an optimizer that holds it stepped and it requires a
gradient. No cut explains it (GRD002, GRD004, GRD010 name the line where there is one).

## Why it matters
The parameter keeps its value for the whole run, weight decay aside. The optimizer passes over it
without a word.

## What to do
Find where the module's output is dropped, use it in the loss, or take the parameter out of the
optimizer and freeze it.

## Limits
It is a warning where the module ran in a recorded step and its output led nowhere, and only a
note where it never ran (experts without tokens and dropped layers come round in other steps) or
where the part belongs to an installed library, whose models give more than one is bound to use (the
pooler of BERT). A parameter that the program itself writes or replaces is left alone. It
is an error where the intent declares the parameter trainable. A parameter whose optimizer did not
step in the recording is not judged.

## Sources
- https://docs.pytorch.org/docs/stable/notes/ddp.html, on unused parameters
- https://docs.pytorch.org/docs/stable/generated/torch.optim.Optimizer.step.html
"""

from stepscope.core import Finding, Findings, Severity, Watch, rule
from stepscope.evidence.gradient_paths import GradientPaths
from stepscope.evidence.intent import Intent, matches
from stepscope.evidence.modules import Modules
from stepscope.evidence.optimizers import Optimizers
from stepscope.evidence.parameters import Parameters, ancestors
from stepscope.evidence.subtrees import subtrees


@rule("GRD001", Severity.WARNING)
def no_path_to_loss(
    paths: GradientPaths,
    parameters: Parameters,
    optimizers: Optimizers,
    modules: Modules | None,
    intent: Intent | None,
) -> Findings:
    explained = {name for cut in paths.cuts for name in cut.dead}
    explained |= {name for each in paths.checkpointed for name in each.parameters}
    frozen = intent.frozen if intent else ()
    trainable = intent.trainable if intent else ()
    everything = tuple(each.name for each in parameters.parameters)
    moved = parameters.moved
    by_severity: dict[Severity, list[str]] = {}
    for name in paths.unreached:
        if name in explained or matches(name, frozen) or name in moved:
            continue
        is_dropped = name in paths.used and not _is_of_library(name, modules)
        severity = Severity.WARNING if is_dropped else Severity.NOTE
        if trainable and matches(name, trainable):
            severity = Severity.ERROR
        by_severity.setdefault(severity, []).append(name)
    steps = len(optimizers.steps)
    for severity, names in by_severity.items():
        ran = sum(name in paths.used for name in names)
        for tree in subtrees(names, everything):
            yield Finding(
                subject=tree.subject,
                message=(
                    "is in the optimizer, but no backward reaches it: it gets no gradient"
                    if ran
                    else "is in the optimizer, but did not take part in any recorded step"
                ),
                measured=f"0 of {steps} steps with a gradient; {len(tree.members)} parameters,"
                f" {'used in a forward' if ran else 'never used'}",
                expected="a path from a loss to the parameter, or requires_grad=False",
                at=tree.place,
                severity=severity,
            )


def _is_of_library(name: str, modules: Modules | None) -> bool:
    """Tell whether the innermost module around it that is not torch's own is a library's."""
    if modules is None:
        return False
    around = (modules.named(above) for above in ancestors(name))
    found = next((m for m in around if m is not None and (m.file or m.of_library)), None)
    return found is not None and found.of_library


def fails_when_the_output_of_a_branch_is_dropped(_: Watch) -> None:
    import torch

    backbone, branch, head = (torch.nn.Linear(4, 4) for _ in range(3))
    model = torch.nn.ModuleList([backbone, branch, head])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _step in range(2):
        features = backbone(torch.randn(3, 4))
        branch(features)
        optimizer.zero_grad()
        head(features).sum().backward()
        optimizer.step()


def passes_when_no_element_of_it_lies_on_this_rank(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    elsewhere = torch.nn.Parameter(torch.empty(0))  # as FullyShardedDataParallel leaves it
    optimizer = torch.optim.SGD([*model.parameters(), elsewhere], lr=0.1)
    for _step in range(2):
        optimizer.zero_grad()
        model(torch.randn(3, 4)).sum().backward()
        optimizer.step()


def passes_when_the_program_replaces_the_parameter(_: Watch) -> None:
    import torch

    class Codebook(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.codes = torch.nn.Parameter(torch.randn(4))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.codes = torch.nn.Parameter(0.9 * self.codes + 0.1 * x.detach().mean(0))
            return x + (self.codes - x).detach()

    model = torch.nn.Sequential(torch.nn.Linear(4, 4), Codebook())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _step in range(3):
        optimizer.zero_grad()
        model(torch.randn(3, 4)).square().sum().backward()
        optimizer.step()


def fails_as_a_note_when_a_branch_never_ran(_: Watch) -> None:
    import torch

    model = torch.nn.ModuleDict({"used": torch.nn.Linear(4, 4), "unused": torch.nn.Linear(4, 4)})
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _step in range(2):
        optimizer.zero_grad()
        model["used"](torch.randn(3, 4)).sum().backward()
        optimizer.step()


def fails_as_an_error_when_declared_trainable(watch: Watch) -> None:
    fails_as_a_note_when_a_branch_never_ran(watch)
    watch.saw(Intent(trainable=("unused",)))


def passes_when_experts_take_turns(_: Watch) -> None:
    import torch

    experts = torch.nn.ModuleList(torch.nn.Linear(4, 4) for _ in range(2))
    optimizer = torch.optim.SGD(experts.parameters(), lr=0.1)
    for step in range(2):
        optimizer.zero_grad()
        experts[step](torch.randn(3, 4)).sum().backward()
        optimizer.step()


def passes_when_the_optimizer_of_the_branch_has_not_stepped(_: Watch) -> None:
    import torch

    generator, critic = torch.nn.Linear(4, 4), torch.nn.Linear(4, 1)
    first = torch.optim.SGD(critic.parameters(), lr=0.1)
    torch.optim.SGD(generator.parameters(), lr=0.1)
    first.zero_grad()
    critic(generator(torch.randn(3, 4)).detach()).sum().backward()
    first.step()
