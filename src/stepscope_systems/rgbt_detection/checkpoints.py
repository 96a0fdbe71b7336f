"""A trained detector, read back from the folder of its run."""

from dataclasses import dataclass
from pathlib import Path

import msgspec
import yaml
from torch import nn

from stepscope_systems.rgbt_detection.config import Config, ModelConfig, Stage
from stepscope_systems.rgbt_detection.initialisation import load, weights_in
from stepscope_systems.rgbt_detection.model import Detector

CONFIG = "config.yaml"  # beside a run's checkpoints


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A detector in evaluation mode, and the run that it comes from."""

    detector: Detector
    config: Config
    stage: Stage
    checkpoint: Path


def write_config(folder: Path, config: Config, stage: Stage) -> None:
    """Write the resolved configuration into the folder of a run."""
    table = {"stage": stage} | msgspec.to_builtins(config)
    (folder / CONFIG).write_text(yaml.safe_dump(table, sort_keys=False))


def read_config(path: Path) -> tuple[Config, Stage]:
    """Read what `write_config` wrote.

    Raises:
        FileNotFoundError: it is not there.
        ValueError: it holds something else.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is not there; expected the configuration that a run writes beside its "
            "checkpoints"
        )
    try:
        table = yaml.safe_load(path.read_text())
        stage = msgspec.convert(table.pop("stage"), Stage)
        return msgspec.convert(table, Config, strict=True), stage
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise ValueError(f"{path} is not a configuration of a run ({error})") from None


def read_trained(checkpoint: Path) -> Trained:
    """Rebuild the detector of a checkpoint, by the configuration beside it.

    Raises:
        FileNotFoundError: the checkpoint or its configuration is not there.
        ValueError: one of them cannot be read, or they do not fit each other.
    """
    state = weights_in(checkpoint, inside="detector.")
    config, stage = read_config(checkpoint.parent / CONFIG)
    detector = Detector(config.model)
    loaded = load(detector, state, f"the checkpoint {checkpoint}", whole=True)
    if loaded.left or loaded.skipped:
        raise ValueError(
            f"{checkpoint} and the {CONFIG} beside it do not fit each other: {loaded.summary()}; "
            "expected both from one run"
        )
    return Trained(detector=detector.eval(), config=config, stage=stage, checkpoint=checkpoint)


def with_options(trained: Trained, config: ModelConfig) -> Detector:
    """Return the same weights in a detector of other options, such as another fusion."""
    detector = Detector(config)
    kept = detector.state_dict().keys()
    state = {name: each for name, each in trained.detector.state_dict().items() if name in kept}
    detector.load_state_dict(state)
    return detector.eval()


def moved(detector: nn.Module, device: str) -> None:
    """Move a detector to a device, as a user names it.

    Raises:
        ValueError: there is no such device here.
    """
    try:
        detector.to(device)
    except (RuntimeError, AssertionError) as error:  # the latter: torch was built without it
        raise ValueError(
            f"the device {device!r} cannot be had here ({str(error).splitlines()[0]}); expected "
            "cpu, or cuda where there is a GPU"
        ) from None
