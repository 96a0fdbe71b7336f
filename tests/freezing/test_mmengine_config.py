"""What a configuration of MMEngine really does; the defects are those of a real one."""

from pathlib import Path

import pytest
from torch import nn

from stepscope.evidence.explanation import Effect, Explanation
from stepscope.freezing.mmengine_config import decisive_keys, explain
from stepscope.freezing.plans import AppliedPlan, Plan

CONFIG = """
_base_ = ["base.py"]
base_lr = 1.4e-4
model = dict(
    img_backbone=dict(type="VoVNet", frozen_stages=4, norm_eval=True),
    pts_backbone=dict(type="SECOND", frozen_stages=4),
    img_neck=dict(type="CPFPN", norm_eval=True),
    pts_voxel_encoder=dict(type="HardSimpleVFE", frozen_stages=-1),
    pts_middle_encoder=dict(type="Other", frozen_stages=-1),
)
model = dict(pts_bbox_head=dict(type="CmtHead"))
optimizer = dict(
    type="AdamW",
    lr=base_lr,
    weight_decay=0.01,
    paramwise_cfg=dict(
        custom_keys={
            "img_backbone": dict(lr_mult=0.0),
            "pts_backbone": dict(lr_mult=0.01),
            "backbone": dict(lr_mult=0.3),
            "pts_voxel_encoder": dict(lr_mult=0.0),
            "query_embed": dict(lr_mult=0.5),
            "attention_bias_generator.bias_scale": dict(lr_mult=0.5),
            "neck": dict(lr_mult=0.05),
        }
    ),
)
lr_config = dict(policy="cyclic", target_ratio=(6, 1e-4))
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "base.py").write_text("max_epochs = 3\n")
    path = tmp_path / "cmt.py"
    path.write_text(CONFIG)
    return path


@pytest.fixture
def model() -> nn.Module:
    from bench.faults.sensor_fusion.cmt import CMT

    return CMT()


def said(explanation: Explanation, what: str) -> dict[Effect, str]:
    return {each.effect: each.sentence for each in explanation.said if each.what == what}


def test_lr_0_is_told_from_a_freeze(config: Path, model: nn.Module) -> None:
    found = explain(config, model)
    assert "is not frozen" in said(found, "img_backbone")[Effect.PSEUDO]
    (entry,) = [each for each in found.said if each.what == "img_backbone"]
    assert entry.elements == sum(p.numel() for p in model.img_backbone.parameters())
    assert entry.lr == 0


def test_a_second_assignment_erases_the_freeze_of_the_first(config: Path) -> None:
    sentence = said(explain(config), "model")[Effect.OVERWRITTEN]
    assert "assigned again in line 11" in sentence
    assert "img_backbone.frozen_stages" in sentence


def test_keys_that_match_nothing_say_why(config: Path, model: nn.Module) -> None:
    found = explain(config, model)
    assert "MMEngine says nothing of it" in said(found, "query_embed")[Effect.UNMATCHED]
    scale = said(found, "attention_bias_generator.bias_scale")[Effect.UNMATCHED]
    assert scale == "matches no parameter: attention_bias_generator.bias_scale is a buffer"
    assert "pts_voxel_encoder has none" in said(found, "pts_voxel_encoder")[Effect.UNMATCHED]
    assert (
        "the longer img_backbone, pts_backbone comes first"
        in (said(found, "backbone")[Effect.UNMATCHED])
    )


def test_a_key_that_means_more_than_one_part_says_which(config: Path, model: nn.Module) -> None:
    assert said(explain(config, model), "neck")[Effect.WIDE] == (
        "is a substring of names in img_neck, pts_neck"
    )


def test_the_rate_at_the_peak_of_the_schedule_is_told(config: Path) -> None:
    assert said(explain(config), "pts_backbone")[Effect.TUNED] == (
        "trains at 0.01 times the base rate: 1.4e-06, and 8.4e-06 where the schedule peaks"
    )


def test_arguments_that_a_class_does_not_have_are_refused(config: Path) -> None:
    config.write_text(CONFIG.replace('model = dict(pts_bbox_head=dict(type="CmtHead"))\n', ""))
    found = explain(config)
    assert (
        "SECOND has no argument frozen_stages" in said(found, "model.pts_backbone")[Effect.REFUSED]
    )
    assert "CPFPN has no argument norm_eval" in said(found, "model.img_neck")[Effect.REFUSED]
    assert "means that nothing" in said(found, "model.pts_middle_encoder")[Effect.TUNED]
    frozen = said(found, "model.img_backbone")[Effect.FROZEN]
    assert "the stem and the first 4 stages" in frozen
    assert Effect.OVERWRITTEN not in said(found, "model")


def test_the_class_of_a_live_model_decides_on_what_it_takes(config: Path, model: nn.Module) -> None:
    config.write_text("model = dict(img_neck=dict(norm_eval=True))")
    sentence = said(explain(config, model), "model.img_neck")[Effect.REFUSED]
    assert sentence == "its class has no argument norm_eval: the model is not built"


def test_a_floor_of_the_schedule_lifts_lr_0(config: Path) -> None:
    text = 'param_scheduler = [dict(type="CosineAnnealingLR", T_max=100, eta_min=1e-6)]\n'
    config.write_text(CONFIG + text)
    assert said(explain(config), "img_backbone")[Effect.REVIVED] == (
        "has lr 0, and CosineAnnealingLR(eta_min=1e-06) lifts it to 1e-06: it will train"
    )


def test_the_plan_that_is_meant_can_be_applied(config: Path, model: nn.Module) -> None:
    found = explain(config, model)
    assert found.frozen == ("img_backbone",)
    plan = Plan(
        frozen=tuple(f"*{key}*" for key in found.frozen),
        tuned={f"*{key}*": x for key, x in found.tuned.items()},
    )
    assert AppliedPlan(plan, model).frozen is not None


@pytest.mark.corpus
@pytest.mark.filterwarnings("ignore")
def test_keys_decide_as_in_mmengine_itself(model: nn.Module) -> None:
    from mmengine.optim import DefaultOptimWrapperConstructor

    keys = {
        "backbone": 0.3, "img_backbone": 0.1, "pts_": 0.7, "neck": 0.05, "bias": 2.0,
        "pts_bbox_head.transformer": 0.5, "0.0": 0.9, "nothing": 0.2,
    }  # fmt: skip
    constructor = DefaultOptimWrapperConstructor(
        {"type": "OptimWrapper", "optimizer": {"type": "SGD", "lr": 1.0}},
        {"custom_keys": {key: {"lr_mult": x} for key, x in keys.items()}},
    )
    names = {id(each): name for name, each in model.named_parameters()}
    theirs = {
        names[id(each)]: group["lr"]
        for group in constructor(model).optimizer.param_groups
        for each in group["params"]
    }
    ours = {name: keys[key] for name, key in decisive_keys(model, keys).items()}
    assert theirs == {name: ours.get(name, 1.0) for name in theirs}


@pytest.mark.parametrize(("stages", "frozen"), [(4, ("img_backbone",)), (1, ())])
def test_four_stages_are_a_whole_backbone_and_one_is_not(
    tmp_path: Path, stages: int, frozen: tuple[str, ...]
) -> None:
    path = tmp_path / "stages.py"
    path.write_text(f"model = dict(img_backbone=dict(type='VoVNet', frozen_stages={stages}))\n")
    explanation = explain(path)

    assert explanation.frozen == frozen
    assert ("all of it" in explanation.said[0].sentence) is bool(frozen)


def test_the_floor_of_an_older_schedule_lifts_lr_0(tmp_path: Path) -> None:
    path = tmp_path / "floor.py"
    path.write_text(
        "optimizer = dict(lr=1e-4, paramwise_cfg=dict(custom_keys=dict(neck=dict(lr_mult=0))))\n"
        "lr_config = dict(policy='CosineAnnealing', min_lr=1e-6)\n"
    )

    assert "lifts it to 1e-06" in said(explain(path), "neck")[Effect.REVIVED]
