"""What a plan may say, and what it decides."""

from pathlib import Path

import pytest
from torch import nn

from stepscope.freezing.plans import AppliedPlan, Plan, Stage, read_plan
from stepscope.freezing.plans.resolution import decide

EXAMPLES = sorted((Path(__file__).parents[3] / "examples/freezing").glob("*.toml"))


def said(plan: Plan, model: nn.Module, stage: int = 0) -> dict[str, float | None]:
    """Return the multiplier of each parameter; None where it is frozen."""
    decisions = decide(plan, model, stage)
    return {name: None if each.frozen else each.multiplier for name, each in decisions.items()}


def test_the_longest_pattern_decides(network: nn.Module) -> None:
    plan = Plan(frozen=("*",), tuned={"neck": 0.1, "neck.1.*": 0.2, "head": 1.0})
    assert said(plan, network) == {
        "backbone.0.weight": None,
        "backbone.0.bias": None,
        "backbone.1.weight": None,
        "backbone.1.bias": None,
        "neck.0.weight": 0.1,
        "neck.0.bias": 0.1,
        "neck.1.weight": 0.2,
        "neck.1.bias": 0.2,
        "head.weight": 1.0,
        "head.bias": 1.0,
    }


def test_patterns_of_equal_length_that_disagree_are_refused(network: nn.Module) -> None:
    plan = Plan(tuned={"neck.?.bias": 0.1, "neck.1.*ias": 0.2})
    with pytest.raises(ValueError, match=r"neck\.1\.bias is matched by .* make one of them longer"):
        decide(plan, network, 0)


def test_a_stage_freezes_whatever_is_tuned_afterwards(network: nn.Module) -> None:
    plan = Plan(tuned={"neck.1": 0.1}, stages=(Stage(frozen=("neck",), until_epoch=1),))
    assert said(plan, network, 0)["neck.1.bias"] is None
    assert said(plan, network, 1)["neck.1.bias"] == 0.1


def test_a_tied_tensor_is_decided_on_once(network: nn.Module) -> None:
    network.neck[0].weight = nn.Parameter(network.neck[0].weight.detach())
    network.other = nn.Linear(8, 8)
    network.other.weight = network.neck[0].weight
    plan = Plan(frozen=("other",))
    assert said(plan, network)["neck.0.weight"] is None
    with pytest.raises(ValueError, match="equally long"):
        decide(Plan(frozen=("other",), tuned={"neck*0": 0.1}), network, 0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('frozn = ["a"]', r"frozn: unknown key; the nearest is 'frozen'"),
        ('[freez]\nfrozen = ["a"]', r"freez: unknown key; the nearest is 'freeze'"),
        ("freeze = []", r"freeze: expected a table, found \[\]"),
        ("", "says nothing; expected frozen, tuned, norm or stages"),
        ("[freeze]\nfrozen = []", "says nothing"),
        ("[freeze]\nfrozen = [1]", r"freeze\.frozen\[0\]: expected a text in quotes, found 1"),
        ("[freeze]\ntuned = { a = 'x' }", r"freeze\.tuned: expected a number"),
        ("tuned = { a = 0 }", "multiplier 0, which freezes nothing"),
        ("tuned = { a = -1.0 }", r"multiplier -1\.0; expected > 0"),
        ("tuned = { a = nan }", "multiplier nan; expected > 0"),
        ('frozen = ["a"]\ntuned = { a = 1.0 }', "'a' is both frozen and tuned"),
        ('stages = [{ frozen = ["a"] }]', "either until_epoch or until_step"),
        ('stages = [{ frozen = ["a"], until_epoch = 1, until_step = 1 }]', "either until_epoch or"),
        ('stages = [{ frozen = ["a"], until = 1 }]', r"stages\[0\]\.until: unknown key"),
        ('stages = [{ frozen = ["a"], until_epoch = 0 }]', "ends at 0 never begins"),
        (
            'stages = [{frozen=["a"],until_epoch=2},{frozen=["b"],until_epoch=2}]',
            r"until_epoch must grow from stage to stage, found \[2, 2\]",
        ),
        ("norm = 'off'", "norm: "),
        ("frozen = [", "cannot be understood"),
    ],
)
def test_a_mistake_in_a_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "plan.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as seen:
        read_plan(path)
    assert str(seen.value).startswith(str(path))


def test_one_text_is_not_taken_for_many_globs() -> None:
    with pytest.raises(TypeError, match=r"expected a tuple of globs: \('neck',\)"):
        Plan(frozen="neck")  # type: ignore[arg-type] # the mistake
    with pytest.raises(TypeError, match="is one text"):
        Stage(frozen="neck", until_epoch=1)  # type: ignore[arg-type] # the mistake


def test_all_three_ways_to_write_a_plan_are_read_alike(tmp_path: Path) -> None:
    texts = {
        "plan.toml": '[freeze]\nfrozen = ["a"]\nnorm = { b = "train" }\ntuned = { c = 0.5 }',
        "plan.yaml": "freeze:\n  frozen: [a]\n  norm: {b: train}\n  tuned: {c: 0.5}",
        "plan.json": '{"frozen": ["a"], "norm": {"b": "train"}, "tuned": {"c": 0.5}}',
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    plans = [read_plan(tmp_path / name) for name in texts]
    assert plans == [Plan(frozen=("a",), norm={"b": "train"}, tuned={"c": 0.5})] * 3


def test_a_yaml_file_cannot_call_anything(tmp_path: Path) -> None:
    path, canary = tmp_path / "plan.yaml", tmp_path / "canary"
    path.write_text(f"frozen: !!python/object/apply:pathlib.Path.touch [{canary}]")
    with pytest.raises(ValueError, match="cannot be understood"):
        read_plan(path)
    assert not canary.exists()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_fit_the_model_they_are_made_for(path: Path) -> None:
    from bench.faults.sensor_fusion.cmt import CMT

    applied = AppliedPlan(read_plan(path), CMT())
    groups = applied.parameter_groups(lr=1.4e-4, weight_decay=0.01)
    assert applied.frozen is not None or path.stem == "conservative"
    assert sum(len(group["params"]) for group in groups)
    assert EXAMPLES
