"""The scale of contrastive logits is outside what such losses work with, or not what was declared.

## What it proves
Cosines (rows of unit norm, compared by a matrix product) are multiplied by the number shown before
they become logits. It lies outside 1 to 100; or its parameter is named as a logarithm, holds a
well-known logarithm and is used without `exp`; or it differs by more than 5 % from the scale that
was declared, which is an error.

## Why it matters
Below 1 the loss cannot fall: with scale s and N candidates it is at least ln(1 + (N-1) exp(-2s)).
Above 100 a difference of cosines of 0.05 already decides a row, and rounding in half precision
drives it. A forgotten `exp` leaves a scale of 2.66 where 14.3 was meant.

## What to do
Start at ln(1/0.07) = 2.6593 from scratch (exp: 14.3), keep the trained scale when fine-tuning,
clamp the logarithm to ln 100, and use it through `exp`.

## Limits
Judged where the logits of a `cross_entropy` are a product of two matrices. ln(1/0.07), ln 10
and ln 100 are all in use and none of them is called wrong. Products that are not cosines may have
any scale.

## Sources
- https://arxiv.org/abs/2103.00020 section 2.5 (initial 0.07; clipped so as not to scale by more
  than 100)
- https://arxiv.org/abs/2303.15343 (starts at ln 10)
- 3 % beyond either end: bfloat16 near 4.6 has a spacing of 1/32, that is 3 % after `exp`.
"""

import math

from stepscope.core import Finding, Findings, Place, Severity, Watch, rule
from stepscope.evidence.intent import Intent
from stepscope.evidence.losses import Similarities, Similarity, Temperature, Temperatures

_LOGARITHMS = (math.log(1 / 0.07), math.log(100), math.log(10), math.log(20), math.log(14.3))


@rule("CON001", Severity.WARNING)
def temperature_out_of_range(
    similarities: Similarities,
    temperatures: Temperatures | None,
    intent: Intent | None,
    *,
    least: float = 1.0,
    most: float = 100.0,
    rounding: float = 0.03,
) -> Findings:
    parameters = {t.name: t for t in temperatures.temperatures} if temperatures else {}
    judged: set[tuple[str, int, str]] = set()
    for each in similarities.similarities:
        key = (each.at.file, each.at.line, each.scale_from)
        if key in judged or not each.diagonal or each.scale is None:
            continue
        judged.add(key)
        scale = abs(each.scale)
        raw = _raw(each, parameters.get(each.scale_from))
        declared = intent.temperature if intent is not None else None
        subject = each.scale_from or "scale of the logits"
        if declared and abs(scale / declared - 1) > 0.05:  # noqa: PLR2004 - of the page
            message, expected = "is not the declared scale", f"{declared:.4g}, as declared"
            severity = Severity.ERROR
        elif raw:
            message, severity = "is named as a logarithm and used without exp", Severity.WARNING
            expected = f"exp({raw:.4f}) = {math.exp(raw):.4g}"
        elif _is_cosine(each) and not least * (1 - rounding) <= scale <= most * (1 + rounding):
            message = "scales cosines out of the usual range"
            expected, severity = f"{least:g} to {most:g}", Severity.WARNING
        else:
            continue
        yield Finding(
            subject=subject,
            message=message,
            measured=f"logits = {scale:.4g} x similarity, in step {each.step}"
            + (f"; {each.dtype}" if each.dtype != "float32" else ""),
            expected=expected,
            at=Place(
                parameter=each.scale_from,
                file=each.at.file,
                line=each.at.line,
                function=each.at.function,
            ),
            severity=severity,
        )


def _is_cosine(each: Similarity) -> bool:
    return abs(each.shortest - 1) < 0.02 and abs(each.longest - 1) < 0.02  # noqa: PLR2004 - rounding in half precision


def _raw(each: Similarity, parameter: Temperature | None) -> float | None:
    """Return the logarithm that is used as if it were the scale."""
    if each.exponential or each.scale is None or parameter is None or not parameter.exponential:
        return None
    known = min(_LOGARITHMS, key=lambda value: abs(value - each.scale))  # type: ignore[operator]  # not None
    return each.scale if abs(known - each.scale) < 0.02 else None  # noqa: PLR2004 - half a spacing of bfloat16 near 4


def fails_when_the_scale_is_110(_: Watch) -> None:
    import math

    import torch
    from torch.nn.functional import cross_entropy, normalize

    model = torch.nn.ModuleDict({"image": torch.nn.Linear(8, 8), "text": torch.nn.Linear(8, 8)})
    model.logit_scale = torch.nn.Parameter(torch.tensor(math.log(110)))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-6)
    image = normalize(model["image"](torch.randn(4, 8)), dim=-1)
    text = normalize(model["text"](torch.randn(4, 8)), dim=-1)
    logits = model.logit_scale.exp() * image @ text.T
    cross_entropy(logits, torch.arange(4)).backward()
    optimizer.step()


def passes_when_the_scale_is_100(_: Watch) -> None:
    import math

    import torch
    from torch.nn.functional import cross_entropy, normalize

    model = torch.nn.ModuleDict({"image": torch.nn.Linear(8, 8), "text": torch.nn.Linear(8, 8)})
    model.logit_scale = torch.nn.Parameter(torch.tensor(math.log(100)))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-6)
    image = normalize(model["image"](torch.randn(4, 8)), dim=-1)
    text = normalize(model["text"](torch.randn(4, 8)), dim=-1)
    logits = model.logit_scale.exp() * image @ text.T
    cross_entropy(logits, torch.arange(4)).backward()
    optimizer.step()


def passes_when_the_scale_starts_at_a_temperature_of_007(_: Watch) -> None:
    import math

    import torch
    from torch.nn.functional import cross_entropy, normalize

    model = torch.nn.ModuleDict({"image": torch.nn.Linear(8, 8), "text": torch.nn.Linear(8, 8)})
    model.logit_scale = torch.nn.Parameter(torch.tensor(math.log(1 / 0.07)))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-6)
    image = normalize(model["image"](torch.randn(4, 8)), dim=-1)
    text = normalize(model["text"](torch.randn(4, 8)), dim=-1)
    logits = model.logit_scale.exp() * image @ text.T
    cross_entropy(logits, torch.arange(4)).backward()
    optimizer.step()


def passes_when_the_scale_starts_at_10(_: Watch) -> None:
    import math

    import torch
    from torch.nn.functional import cross_entropy, normalize

    model = torch.nn.ModuleDict({"image": torch.nn.Linear(8, 8), "text": torch.nn.Linear(8, 8)})
    model.logit_scale = torch.nn.Parameter(torch.tensor(math.log(10)))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-6)
    image = normalize(model["image"](torch.randn(4, 8)), dim=-1)
    text = normalize(model["text"](torch.randn(4, 8)), dim=-1)
    logits = model.logit_scale.exp() * image @ text.T
    cross_entropy(logits, torch.arange(4)).backward()
    optimizer.step()


def fails_when_the_temperature_is_multiplied(_: Watch) -> None:
    import math

    import torch
    from torch.nn.functional import cross_entropy, normalize

    model = torch.nn.ModuleDict({"image": torch.nn.Linear(8, 8), "text": torch.nn.Linear(8, 8)})
    model.logit_scale = torch.nn.Parameter(torch.tensor(math.log(0.07)))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-6)
    image = normalize(model["image"](torch.randn(4, 8)), dim=-1)
    text = normalize(model["text"](torch.randn(4, 8)), dim=-1)
    logits = model.logit_scale.exp() * image @ text.T
    cross_entropy(logits, torch.arange(4)).backward()
    optimizer.step()


def fails_when_exp_is_forgotten(_: Watch) -> None:
    import math

    import torch
    from torch.nn.functional import cross_entropy, normalize

    model = torch.nn.ModuleDict({"image": torch.nn.Linear(8, 8), "text": torch.nn.Linear(8, 8)})
    model.logit_scale = torch.nn.Parameter(torch.tensor(math.log(1 / 0.07)))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-6)
    image = normalize(model["image"](torch.randn(4, 8)), dim=-1)
    text = normalize(model["text"](torch.randn(4, 8)), dim=-1)
    logits = model.logit_scale * image @ text.T
    cross_entropy(logits, torch.arange(4)).backward()
    optimizer.step()


def fails_when_the_scale_is_not_the_declared_one(watch: Watch) -> None:
    import math

    import torch
    from torch.nn.functional import cross_entropy, normalize

    from stepscope.evidence.intent import Intent

    watch.saw(Intent(temperature=100.0))
    model = torch.nn.ModuleDict({"image": torch.nn.Linear(8, 8), "text": torch.nn.Linear(8, 8)})
    model.logit_scale = torch.nn.Parameter(torch.tensor(math.log(1 / 0.07)))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-6)
    image = normalize(model["image"](torch.randn(4, 8)), dim=-1)
    text = normalize(model["text"](torch.randn(4, 8)), dim=-1)
    logits = model.logit_scale.exp() * image @ text.T
    cross_entropy(logits, torch.arange(4)).backward()
    optimizer.step()


def passes_when_the_scale_is_within_five_percent_of_the_declared_one(watch: Watch) -> None:
    import math

    import torch
    from torch.nn.functional import cross_entropy, normalize

    from stepscope.evidence.intent import Intent

    watch.saw(Intent(temperature=1 / 0.07))
    model = torch.nn.ModuleDict({"image": torch.nn.Linear(8, 8), "text": torch.nn.Linear(8, 8)})
    model.logit_scale = torch.nn.Parameter(torch.tensor(math.log(14)))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-6)
    image = normalize(model["image"](torch.randn(4, 8)), dim=-1)
    text = normalize(model["text"](torch.randn(4, 8)), dim=-1)
    logits = model.logit_scale.exp() * image @ text.T
    cross_entropy(logits, torch.arange(4)).backward()
    optimizer.step()


def passes_when_the_products_are_not_cosines(_: Watch) -> None:
    import torch
    from torch.nn.functional import cross_entropy

    model = torch.nn.ModuleDict({"image": torch.nn.Linear(8, 8), "text": torch.nn.Linear(8, 8)})
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-6)
    image, text = model["image"](torch.randn(4, 8)), model["text"](torch.randn(4, 8))
    cross_entropy(image @ text.T / 8**0.5, torch.arange(4)).backward()
    optimizer.step()


def skips_without_a_contrastive_loss(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    torch.nn.functional.cross_entropy(model(torch.randn(8, 4)), torch.arange(8) % 3).backward()
    optimizer.step()
