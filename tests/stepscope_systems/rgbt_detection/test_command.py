"""The command line: what it takes, what it refuses, and in which words."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from stepscope_systems.rgbt_detection.checkpoints import write_config
from stepscope_systems.rgbt_detection.command import configured, main
from stepscope_systems.rgbt_detection.config import PRESETS, for_stage, nano

pytestmark = pytest.mark.corpus


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Return what a command says before it leaves with 2."""
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("stepscope: ")
    assert said.count("\n") == 1, "one sentence"
    return said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["stage3"], "there is no command 'stage3'; did you mean stage2?"),
        (["stage1", "--optimizer.lrr", "1"], "did you mean --optimizer.lr?"),
        (["stage1", "--epoch", "1"], "did you mean --epochs?"),
        (["stage1", "--optimizer.l", "1"], "did you mean --optimizer.lr?"),
        (["stage1", "--optimizer.lr", "fast"], "--optimizer.lr is fast; expected float"),
        (["stage1", "--run.devices", "1.5"], "--run.devices is 1.5; expected int"),
        (
            ["stage1", "--model.fusion", "mix"],
            "--model.fusion is mix; expected one of 'mean', 'max', 'visible', 'infrared'",
        ),
        (["stage1", "--preset", "big"], "there is no preset 'big'; expected nano or r50"),
        (["stage1", "--preset"], "there is no preset ''; expected nano or r50"),
        (["stage1", "--model.frozen_stages", "6"], "model.frozen_stages is 6; expected 0 to 5"),
        (["stage1", "--checkpoint"], "--run.checkpoint: expected one argument"),
        (["stage1", "more"], "unrecognized arguments: more"),
        (["stage2"], "stage 2 starts from stage 1, and was given no checkpoint"),
        (["stage1", "--config", "nowhere.yaml"], "nowhere.yaml"),
        (["stage1", "--data", "rgbt:/data"], "rgbt"),
        (
            ["stage2", "--init", "scatch"],
            "--run.init is scatch; expected one of 'imagenet', 'coco', 'scratch', null",
        ),
        (["stage1", "--epochs", "0"], "run.epochs is 0; expected 1 or more"),
        (["stage1", "--output", "/dev/null/runs"], "/dev/null/runs"),
        (["stage2", "--init", "scratch", "--checkpoint", "a.ckpt"], "expected one of the two"),
        (["stage1", "--weights", "w.pt"], "--run.weights w.pt would not be read"),
    ],
)
def test_a_mistake_is_answered_in_one_sentence(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said in refused(arguments, capsys)


@pytest.mark.parametrize("preset", sorted(PRESETS))
@pytest.mark.parametrize("stage", ["stage1", "stage2"])
def test_without_options_a_run_is_its_preset(preset: str, stage: str) -> None:
    expected = for_stage(PRESETS[preset](), stage)  # type: ignore[arg-type]

    assert configured(["--preset", preset], stage) == expected  # type: ignore[arg-type]
    assert configured([f"--preset={preset}"], stage) == expected  # type: ignore[arg-type]


def test_options_are_laid_over_the_preset() -> None:
    expected = nano()
    expected = replace(
        expected,
        optimizer=replace(expected.optimizer, lr=5e-4),
        model=replace(expected.model, anchor_ratios=(2.0, 3.0), msp=False),
        data=replace(expected.data, scale=(0.5, 1.5)),
    )

    written = ["--optimizer.lr=5e-4", "--model.anchor_ratios", "[2,3]", "--model.msp", "false"]
    assert configured([*written, "--data.scale", "[0.5, 1.5]"], "stage1") == expected


@pytest.mark.parametrize(
    ("short", "long"),
    [
        (["--data", "llvip:/d"], ["--data.source", "llvip:/d"]),
        (["--data=llvip:/d"], ["--data.source=llvip:/d"]),
        (["--checkpoint", "a.ckpt"], ["--run.checkpoint", "a.ckpt"]),
        (["--epochs", "3"], ["--run.epochs", "3"]),
        (["--init", "coco"], ["--run.init", "coco"]),
        (["--weights", "w.pt"], ["--run.weights", "w.pt"]),
        (["--resume", "a.ckpt"], ["--run.resume", "a.ckpt"]),
        (["--seed", "3"], ["--run.seed", "3"]),
        (["--output", "o"], ["--run.output", "o"]),
    ],
)
def test_a_short_name_is_the_long_one(short: list[str], long: list[str]) -> None:
    assert configured(short, "stage1") == configured(long, "stage1") != nano()


@pytest.mark.parametrize("is_first", [True, False])
def test_the_file_of_a_former_run_is_taken_and_options_are_laid_over_it(
    tmp_path: Path, *, is_first: bool
) -> None:
    former = nano()
    former = replace(
        former,
        model=replace(former.model, channels=32),
        run=replace(former.run, epochs=3, checkpoint="a.ckpt"),
    )
    write_config(tmp_path, former, "stage1")
    file, option = ["--config", str(tmp_path / "config.yaml")], ["--epochs", "4"]

    assert configured(file, "stage1") == former
    both = [*file, *option] if is_first else [*option, *file]
    assert configured(both, "stage1") == replace(former, run=replace(former.run, epochs=4))


def test_the_file_of_a_run_of_the_other_stage_is_refused(tmp_path: Path) -> None:
    write_config(tmp_path, for_stage(nano(), "stage2"), "stage2")

    with pytest.raises(ValueError, match="stage2"):
        configured(["--config", str(tmp_path / "config.yaml")], "stage1")


def test_the_help_lists_the_commands_and_a_stage_lists_its_options(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--help"]) == 0
    said = capsys.readouterr().out
    for name in ("stage1", "stage2", "evaluate", "predict", "validate", "convert", "synthesise"):
        assert f"\n  {name} " in said

    with pytest.raises(SystemExit) as left:
        main(["stage1", "--help"])
    assert left.value.code == 0
    said = " ".join(capsys.readouterr().out.split())
    for option in ("--optimizer.lr", "--run.resume", "--data = --data.source"):
        assert option in said
    assert "data: The pairs, and what is done to them:" in said
    assert "--data.flip FLIP probability (type: float, default: 0.5)" in said


def test_help_and_refusals_need_no_torch() -> None:
    program = (
        "import sys\n"
        "from stepscope_systems.rgbt_detection.command import configured, main\n"
        "main(['--help'])\n"
        "configured(['--epochs', '3'], 'stage1')\n"
        "print('LOADED', 'torch' in sys.modules, 'lightning' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert done.stdout.splitlines()[-1] == "LOADED False False"
