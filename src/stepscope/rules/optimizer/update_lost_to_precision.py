"""A half-precision parameter cannot move, because its updates round to nothing.

## What it proves
The parameter is bf16 or fp16, an optimizer with a learning rate above 0 holds it and received a
gradient other than 0, and its bits are the same after every recorded step. The largest update that
the optimizer can make of it, also at the largest learning rate that is known, is below half the
distance between neighbouring numbers of the dtype. An update that only *usually* is below it is a
warning, and so is an optimizer under which less than 5 % of the elements changed.

## Why it matters
`parameter - update` rounds back to `parameter`, at each step, for ever. bf16 has 8 significant
bits: near 2.66 its numbers are 1/64 apart, and AdamW at a learning rate of 1e-4 moves by about
1e-4. Temperatures and normalisation weights, which stand near or above 1, freeze first.

## What to do
Keep the parameters in float32 and compute under `torch.autocast`, or use an optimizer that keeps
master copies or rounds stochastically. A larger learning rate for the one parameter helps as well.

## Limits
Judges torch's own Adam family, Lion, RMSprop, Adagrad and SGD, whose update has a known size;
optimizers that keep what rounding lost are others. During a warm-up the learning rate that counts
is the one it leads to. Single elements of a tensor that moves are not judged one by one.

## Sources
- Kingma & Ba, "Adam", ICLR 2015, section 2.1 (at most lr (1-beta1) / sqrt(1-beta2) = 3.17 lr)
- Zamirai et al., "Revisiting BFloat16 Training", 2020 (nearest rounding cancels small updates)
- 5 %: with AdamW at lr 1e-6, a CLIP model in bf16 changed 1.9 % of its elements in 6 steps, in
  float32 96 %
"""

import math
from statistics import median

from stepscope.core import Finding, Findings, Severity, Watch, rule
from stepscope.evidence.environment import Beginning
from stepscope.evidence.gradients import Gradients
from stepscope.evidence.optimizers import Group, Optimizers
from stepscope.evidence.parameters import Parameter, Parameters
from stepscope.evidence.subtrees import subtrees

BITS = {"bfloat16": 8, "float16": 11}  # significant, the hidden one included
LARGEST_UPDATE = {  # in learning rates, at torch's default settings
    **dict.fromkeys(("Adam", "AdamW", "NAdam"), 3.17),
    **dict.fromkeys(("Adamax", "Lion", "Adagrad"), 1.0),
    "RMSprop": 10.0,  # 1/sqrt(1-alpha), at its first step
}
SAMPLED = 1024  # elements from which `Parameter.spacing` is read


@rule("OPT007", Severity.ERROR)
def update_lost_to_precision(
    parameters: Parameters,
    optimizers: Optimizers,
    gradients: Gradients,
    _: Beginning,
    *,
    least_changed: float = 0.05,
) -> Findings:
    stuck: dict[Severity, dict[str, str]] = {Severity.ERROR: {}, Severity.WARNING: {}}
    for parameter in parameters.parameters:
        gradient = gradients.of(parameter.name)
        groups = [g for g in optimizers.groups_of(parameter.name) if any(g.lrs)]
        if parameter.dtype not in BITS or len(groups) != 1 or parameter.ever_changed:
            continue
        if gradient is None or not gradient.ever_nonzero or not parameter.trainable:
            continue
        kind = optimizers.optimizers[groups[0].optimizer].kind
        largest = max((size for size in gradient.largest if size is not None), default=0.0)
        usual, most = _update(kind, groups[0], largest, parameter)
        exact = _gap(parameter) / 2
        if usual < exact:
            proved = most < exact and parameter.numel <= SAMPLED
            severity = Severity.ERROR if proved else Severity.WARNING
            stuck[severity][parameter.name] = (
                f"numbers of {parameter.dtype}{_near(parameter)} are {_gap(parameter):.3g} apart; "
                f"{kind} moves by about {usual:.2g}, at most {most:.2g}"
            )
    among = [p.name for p in parameters.parameters if p.dtype in BITS]
    for severity, found in stuck.items():
        for tree in subtrees(found, among):
            yield Finding(
                subject=tree.subject,
                message="cannot move: each update rounds to nothing",
                measured=f"{found[tree.members[0]]}; bits unchanged after every step",
                expected="an update above half the distance, or a float32 parameter",
                at=tree.place,
                severity=severity,
            )
    yield from _hardly_moved(parameters, optimizers, gradients, least_changed)


def _update(kind: str, group: Group, gradient: float, parameter: Parameter) -> tuple[float, float]:
    """Return the usual and the largest update; infinite for an optimizer that is not known."""
    rates = (*group.lrs, group.lr_next, group.initial_lr or 0.0, group.made_lr or 0.0)
    lr = max((rate for rate in rates if not math.isnan(rate)), default=math.inf)
    value = abs(parameter.values[-1]) if parameter.values else _magnitude(parameter)
    decay = lr * group.weight_decay * value
    if kind == "SGD":
        most = lr * gradient / max(1.0 - group.momentum, 1e-9) + decay
        return most, most
    factor = LARGEST_UPDATE.get(kind, math.inf)
    return (lr if factor < math.inf else math.inf) + decay, lr * factor + decay


def _gap(parameter: Parameter) -> float:
    """Return the smallest distance to a neighbour: half as large just below a power of two."""
    value = abs(parameter.values[-1]) if parameter.values else 0.0
    is_between = value > 0 and math.frexp(value)[0] != 0.5  # noqa: PLR2004 - mantissa of 2**n
    return parameter.spacing if is_between else parameter.spacing / 2


def _magnitude(parameter: Parameter) -> float:
    return float(max(parameter.coarsest, parameter.spacing) * 2 ** BITS[parameter.dtype])


def _near(parameter: Parameter) -> str:
    return f" near {parameter.values[-1]:.4g}" if parameter.values else ""


def _hardly_moved(
    parameters: Parameters, optimizers: Optimizers, gradients: Gradients, least: float
) -> Findings:
    for index, optimizer in enumerate(optimizers.optimizers):
        groups = [group for group in optimizers.groups if group.optimizer == index]
        if optimizer.kind not in (*LARGEST_UPDATE, "SGD") or not all(map(_at_height, groups)):
            continue
        names = {name for group in groups for name in group.parameters}
        half = [p for p in parameters.parameters if p.name in names and p.share_changed is not None]
        fed = [p for p in half if (g := gradients.of(p.name)) and g.ever_nonzero]
        shares = [p.share_changed or 0.0 for p in fed if p.numel > 1 and p.trainable]
        if any(shares) and median(shares) < least:
            yield Finding(
                subject=f"{optimizer.kind} ({len(shares)} half-precision parameters)",
                message="moves hardly any element: most updates round to nothing",
                measured=f"{median(shares):.1%} of the elements changed (median over parameters) "
                f"in {optimizer.stepped} steps at lr {max(max(g.lrs) for g in groups):.2g}",
                expected=f"more than {least:.0%}, or float32 parameters",
                at=optimizer.made_at,
                severity=Severity.WARNING,
            )


def _at_height(group: Group) -> bool:
    """Tell a group whose learning rate is near its base from one that warms up, or stands still."""
    return bool(group.lrs) and max(group.lrs) > 0.5 * max(group.initial_lr or 0, group.made_lr or 0)


def fails_when_a_temperature_is_bf16_and_the_rate_small(_: Watch) -> None:
    import torch

    scale = torch.nn.ParameterDict({"logit_scale": torch.tensor(2.6592, dtype=torch.bfloat16)})
    optimizer = torch.optim.AdamW(scale.parameters(), lr=1e-4)
    for _step in range(3):
        optimizer.zero_grad()
        (-scale["logit_scale"].exp()).backward()
        optimizer.step()


def fails_when_the_update_is_just_below_half_the_spacing(_: Watch) -> None:
    import torch

    scale = torch.nn.ParameterDict({"logit_scale": torch.tensor(2.6592, dtype=torch.bfloat16)})
    optimizer = torch.optim.Adam(scale.parameters(), lr=0.0077)  # 1/128 = 0.0078
    for _step in range(3):
        optimizer.zero_grad()
        (-scale["logit_scale"]).backward()
        optimizer.step()


def passes_when_the_update_is_just_above_half_the_spacing(_: Watch) -> None:
    import torch

    scale = torch.nn.ParameterDict({"logit_scale": torch.tensor(2.6592, dtype=torch.bfloat16)})
    optimizer = torch.optim.Adam(scale.parameters(), lr=0.0080)
    for _step in range(3):
        optimizer.zero_grad()
        (-scale["logit_scale"]).backward()
        optimizer.step()


def fails_when_normalisation_weights_are_bf16(_: Watch) -> None:
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.LayerNorm(8)).to(torch.bfloat16)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    for _step in range(2):
        optimizer.zero_grad()
        model(torch.randn(4, 8, dtype=torch.bfloat16)).square().mean().backward()
        optimizer.step()


def fails_when_few_elements_of_a_matrix_can_move(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(64, 64, bias=False, dtype=torch.bfloat16)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6)
    for _step in range(3):
        optimizer.zero_grad()
        model(torch.ones(4, 64, dtype=torch.bfloat16)).sum().backward()
        optimizer.step()


def passes_when_most_elements_move(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(64, 64, bias=False, dtype=torch.bfloat16)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for _step in range(3):
        optimizer.zero_grad()
        model(torch.ones(4, 64, dtype=torch.bfloat16)).sum().backward()
        optimizer.step()


def passes_when_the_parameters_are_float32_under_autocast(_: Watch) -> None:
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.LayerNorm(8))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)
    for _step in range(2):
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = model(torch.randn(4, 8)).square().mean()
        loss.backward()
        optimizer.step()


def passes_when_the_rate_is_still_warming_up(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(64, 64, bias=False, dtype=torch.bfloat16)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    warm_up = torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=1e-4, total_iters=1000)
    for _step in range(3):
        optimizer.zero_grad()
        model(torch.ones(4, 64, dtype=torch.bfloat16)).sum().backward()
        optimizer.step()
        warm_up.step()


def passes_when_the_optimizer_keeps_what_rounding_lost(_: Watch) -> None:
    import torch

    class CompensatedAdamW(torch.optim.AdamW):
        """Stands for an optimizer with Kahan summation."""

    model = torch.nn.ParameterDict({"logit_scale": torch.tensor(2.6592, dtype=torch.bfloat16)})
    optimizer = CompensatedAdamW(model.parameters(), lr=1e-4)
    for _step in range(3):
        optimizer.zero_grad()
        (-model["logit_scale"]).backward()
        optimizer.step()
