"""A trainable temperature is under weight decay.

## What it proves
A single-element parameter that scales logits, by its name or by what was seen of its use, is
trained in a parameter group whose weight decay is above 0.

## Why it matters
Weight decay pulls it towards 0 whatever the loss says: `exp(logit_scale)` goes towards 1, a raw
temperature towards a division by 0. Default groupings exclude what is called "bias" or "norm", and
so they decay the scale; CLIP's own recipe excludes all gains and biases.

## What to do
Put it into a group with `weight_decay=0`. Excluding all parameters with fewer than two dimensions
does that, and is what most recipes do for biases and normalisation weights as well.

## Limits
Judges by the names `logit_scale`, `temperature` and `tau`, and by what the operations of the run
show. A gain that scales features, such as those of a detection head, is not meant. Frozen scales
and groups with a learning rate of 0 are left alone.

## Sources
- Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", 2021,
  section 2.5 ("decoupled weight decay regularization applied to all weights that are not gains or
  biases")
"""

import re

from stepscope.core import Finding, Findings, Place, Severity, Watch, rule
from stepscope.evidence.losses import Temperatures
from stepscope.evidence.optimizers import Optimizers
from stepscope.evidence.parameters import Parameters

NAMES = re.compile(r"(^|[._])(logit_?scale|temperature|tau)(_?(exp|log|param))?$", re.IGNORECASE)


@rule("OPT009", Severity.WARNING)
def decayed_scale(
    parameters: Parameters, optimizers: Optimizers, temperatures: Temperatures | None
) -> Findings:
    seen = {scale.name for scale in temperatures.temperatures} if temperatures else set()
    for parameter in parameters.parameters:
        is_scale = parameter.name in seen or NAMES.search(parameter.name)
        if not is_scale or parameter.numel != 1 or not parameter.trainable:
            continue
        for group in optimizers.groups_of(parameter.name):
            if group.weight_decay > 0 and any(group.lrs):
                kind = optimizers.optimizers[group.optimizer].kind
                value = f", value {parameter.values[-1]:.4g}" if parameter.values else ""
                yield Finding(
                    subject=parameter.name,
                    message=f"is pulled towards 0 by the weight decay of {kind}",
                    measured=f"weight decay {group.weight_decay:g} at lr {max(group.lrs):.2g}, in "
                    f"group {group.index}{value}",
                    expected="weight decay 0 for a temperature",
                    at=Place(parameter=parameter.name),
                )
                break


def fails_when_one_group_holds_everything(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 4)
    model.logit_scale = torch.nn.Parameter(torch.tensor(2.66))
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.1)
    optimizer.zero_grad()
    (model.logit_scale.exp() * model(torch.ones(2, 4))).sum().backward()
    optimizer.step()


def passes_when_gains_and_biases_are_not_decayed(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 4)
    model.logit_scale = torch.nn.Parameter(torch.tensor(2.66))
    groups = [
        {"params": [p for p in model.parameters() if p.ndim > 1], "weight_decay": 0.1},
        {"params": [p for p in model.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups)
    optimizer.zero_grad()
    (model.logit_scale.exp() * model(torch.ones(2, 4))).sum().backward()
    optimizer.step()


def passes_for_the_gain_of_a_detection_head_and_a_single_bias(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 1)
    model.scale = torch.nn.Parameter(torch.tensor(1.0))
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.1)
    optimizer.zero_grad()
    (model.scale * model(torch.ones(2, 4))).exp().sum().backward()
    optimizer.step()


def passes_when_the_temperature_is_frozen(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 4)
    model.temperature = torch.nn.Parameter(torch.tensor(0.07), requires_grad=False)
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.1)
    optimizer.zero_grad()
    (model(torch.ones(2, 4)) / model.temperature).sum().backward()
    optimizer.step()
