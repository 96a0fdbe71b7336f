"""The command line of the system: `stepscope train rgbt-detection stage1 --preset nano`."""

import difflib
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from types import MappingProxyType
from typing import Any, NoReturn

import msgspec
from jsonargparse import SUPPRESS, ArgumentError, ArgumentParser, Namespace

from stepscope_systems.rgbt_detection.commands import datasets
from stepscope_systems.rgbt_detection.config import (
    PRESETS,
    Config,
    DataConfig,
    LossWeights,
    ModelConfig,
    OptimizerConfig,
    RunConfig,
    Stage,
    for_stage,
)
from stepscope_systems.rgbt_detection.meanings import heading, meanings

Command = Callable[[Sequence[str]], int]

HELP = """\
usage: stepscope train rgbt-detection COMMAND [OPTIONS]

Find people in visible/infrared pairs: Faster R-CNN with MSP, MACL and DHN, in two stages.

commands:
  stage1      train on the first domain
  stage2      carry a stage 1 over to the second domain, its body frozen
  evaluate    AP, miss rate and alignment of a checkpoint, beside its baselines; a report
  predict     detect in a pair, a folder or a video
  validate    check a data set, and list all that is wrong with it
  convert     write a data set's annotations in another format
  synthesise  write the synthetic data set

examples:
  stepscope train rgbt-detection stage1 --preset nano
  stepscope train rgbt-detection stage2 --checkpoint runs/rgbt-detection/stage1/best.ckpt
  stepscope train rgbt-detection stage1 --preset r50 --data llvip:/data/LLVIP --run.devices 2
  stepscope train rgbt-detection stage1 --preset nano --optimizer.lr 5e-4 --model.fusion max
  stepscope train rgbt-detection evaluate runs/rgbt-detection/stage1/best.ckpt

`COMMAND --help` shows its options.
"""
_SHORT = MappingProxyType(
    {
        "--data": "--data.source",
        "--checkpoint": "--run.checkpoint",
        "--init": "--run.init",
        "--weights": "--run.weights",
        "--resume": "--run.resume",
        "--epochs": "--run.epochs",
        "--seed": "--run.seed",
        "--output": "--run.output",
    }
)
# What jsonargparse says of a value that an option does not take.
_WRONG_TYPE = re.compile(
    r'Parser key "(?P<key>[\w.]+)":\s+Expected an? (?P<wanted>.+)\. Got value: (?P<value>.*)',
    re.DOTALL,
)
# The same, of an option that may also be left open.
_NO_SUBTYPE = re.compile(
    r'Parser key "(?P<key>[\w.]+)":\s+Does not validate against any of the Union subtypes\s+'
    r"Subtypes: \[(?P<wanted>.+)\]\s+Errors:.+Given value: (?P<value>.*)",
    re.DOTALL,
)
_SECTIONS: MappingProxyType[str, type] = MappingProxyType(
    {
        "model": ModelConfig,
        "loss": LossWeights,
        "data": DataConfig,
        "optimizer": OptimizerConfig,
        "run": RunConfig,
    }
)


def main(arguments: Sequence[str]) -> int:
    """Run a command, and return its exit code: 0 done, 2 could not be done."""
    if not arguments or arguments[0] in ("-h", "--help"):
        sys.stdout.write(HELP)
        return 0
    name, *rest = arguments
    commands = _commands()
    if name not in commands:
        _refuse(f"there is no command {name!r}{_nearest(name, commands)}")
    try:
        return commands[name](rest)
    except (ValueError, OSError) as mistake:  # OSError: a place that cannot be read or written
        _refuse(str(mistake))


def _commands() -> dict[str, Command]:
    # Imported when called: help and refusals need no torch.
    def evaluate(arguments: Sequence[str]) -> int:
        from stepscope_systems.rgbt_detection.commands import evaluate

        return evaluate.main(arguments)

    def predict(arguments: Sequence[str]) -> int:
        from stepscope_systems.rgbt_detection.commands import predict

        return predict.main(arguments)

    return {
        "stage1": lambda arguments: _train(arguments, "stage1"),
        "stage2": lambda arguments: _train(arguments, "stage2"),
        "evaluate": evaluate,
        "predict": predict,
        "validate": datasets.validate,
        "convert": datasets.convert,
        "synthesise": datasets.write_synthetic,
    }


def configured(arguments: Sequence[str], stage: Stage) -> Config:
    """Return the configuration of a stage: a preset, a file over it, options over both.

    Raises:
        ValueError: an option is unknown or of another type.
    """
    parser = ArgumentParser(
        prog=f"stepscope train rgbt-detection {stage}",
        exit_on_error=False,
        default_env=False,
        allow_abbrev=False,
        epilog="Short: " + ", ".join(f"{short} = {long}" for short, long in _SHORT.items()),
    )
    parser.add_argument("--config", action="config", help="YAML file of options, such as a run's")
    # A run's file says of which stage it is.
    parser.add_argument("--stage", choices=[stage], default=stage, help=SUPPRESS)
    parser.add_argument(
        "--preset", default="nano", choices=sorted(PRESETS), help="what the options start from"
    )
    for name, section in _SECTIONS.items():
        group = parser.add_argument_group(f"{name}: {heading(section)}")
        group.add_class_arguments(section, name, as_group=False)
        for option, meaning in meanings(section).items():
            parser._option_string_actions[f"--{name}.{option}"].help = meaning
    written = _file_first([_long(each) for each in arguments])
    preset = _preset(written)
    defaults = msgspec.to_builtins(for_stage(preset, stage))
    parser.set_defaults(
        {f"{name}.{key}": value for name, table in defaults.items() for key, value in table.items()}
    )
    try:
        chosen = parser.parse_args(written)
    except ArgumentError as error:
        known = [each for action in parser._actions for each in action.option_strings]
        raise ValueError(_told(str(error), [*_SHORT, *known])) from None
    return _built(chosen)


def _built(chosen: Namespace) -> Config:
    sections: dict[str, Any] = {}
    for name, section in _SECTIONS.items():
        values = vars(chosen[name])
        sections[name] = msgspec.convert(
            {each.name: values[each.name] for each in fields(section)}, section
        )
    return Config(**sections)


def _train(arguments: Sequence[str], stage: Stage) -> int:
    config = configured(arguments, stage)
    from stepscope_systems.rgbt_detection.train import say, train

    folder = train(config, stage)
    say(f"{folder}: best.ckpt, last.ckpt, config.yaml")
    return 0


def _preset(arguments: Sequence[str]) -> Config:
    name = "nano"
    for index, each in enumerate(arguments):
        option, _, value = each.partition("=")
        if option == "--preset":
            name = value or next(iter(arguments[index + 1 :]), "")
    if name not in PRESETS:
        raise ValueError(f"there is no preset {name!r}; expected {' or '.join(sorted(PRESETS))}")
    return PRESETS[name]()


def _long(argument: str) -> str:
    option, sign, value = argument.partition("=")
    return _SHORT.get(option, option) + sign + value


def _file_first(arguments: list[str]) -> list[str]:
    """Move `--config FILE` to the front: what is said last counts, and options count over it."""
    for index, each in enumerate(arguments):
        if each.partition("=")[0] == "--config":
            end = index + (1 if "=" in each else 2)
            return arguments[index:end] + arguments[:index] + arguments[end:]
    return arguments


def _told(message: str, known: Sequence[str]) -> str:
    """Say in one sentence what the parser found wrong, and which option is near an unknown one."""
    if wrong := _WRONG_TYPE.search(message) or _NO_SUBTYPE.search(message):
        wanted = wrong["wanted"].replace("<class 'NoneType'>", "null")
        wanted = re.sub(r"<class '(\w+)'>|typing\.", r"\1", wanted)
        wanted = re.sub(r"Literal\[(.*?)\]", r"one of \1", wanted)
        return f"--{wrong['key']} is {wrong['value']}; expected {wanted}"
    unknown = message.rpartition("nrecognized arguments: ")[2].split(" ")[0].partition("=")[0]
    sentence = re.sub(r'Parser key "([\w.]+)":', r"--\1:", " ".join(message.split()))
    return sentence + _nearest(unknown, known) if unknown.startswith("--") else sentence


def _nearest(name: str, known: Any) -> str:
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else f"; expected one of {', '.join(known)}"


def _refuse(why: str) -> NoReturn:
    sys.stderr.write(f"stepscope: {why}\n")
    raise SystemExit(2)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
