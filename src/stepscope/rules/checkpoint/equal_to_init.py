"""A file was loaded, and not one bit of the model changed.

## What it proves
The tensors came from a file, they matched, and each held the file's bits before the load already,
although nothing that the observer saw had loaded them: the file holds the model's initial values.
Of a file alone (`stepscope inspect`), as a note: every normalisation layer scales by exactly 1 and
shifts by exactly 0, or its statistics are those of a layer that never saw a batch.

## Why it matters
A checkpoint of an untrained model is what a stage leaves that never trained, or that saved another
object than the one it trained. With a fixed seed its weights equal those of a fresh model exactly.

## What to do
Look at how the file was made: save after training, and the module that the optimizer holds.

## Limits
A file that was written after the program began (rank 0 shares its initial weights with the others)
is left alone, as is a second load of weights that an earlier load had brought, and any load after
a file was read in a way that is not seen to reach the model (`from_pretrained`). States that never
were in a file (a target network) are not judged. In a file alone, only modules that hold both a
scale and a shift count, and a module without training (a frozen one) looks the same: a note.

## Sources
- https://docs.pytorch.org/tutorials/intermediate/ddp_tutorial.html#save-and-load-checkpoints
"""

from stepscope.core import Finding, Findings, NotJudged, Place, Severity, Watch, rule
from stepscope.evidence.checkpoint_file import CheckpointFile, TensorFacts
from stepscope.evidence.checkpoints import Checkpoints

SHOWN = 3
LAYER = {"weight": 1.0, "bias": 0.0}  # of a normalisation layer as it is made
STATISTICS = {"running_mean": 0.0, "running_var": 1.0}


@rule("CKP004", Severity.WARNING)
def equal_to_init(checkpoints: Checkpoints, file: CheckpointFile | None) -> Findings:
    if not checkpoints.loads and file is None:
        raise NotJudged("no load into a module was seen")
    if file is not None:
        yield from _untouched(file)
    assigned = {each.path for each in checkpoints.tried if each.loaded}
    assigned -= {load.path for load in checkpoints.loads}
    brought = False  # values that did not come from the model's own initialisation
    for load in checkpoints.loads:
        same = load.matched > 0 and load.changed == 0
        if same and load.path and not (brought or assigned or load.raised or load.from_this_run):
            yield Finding(
                subject=load.path,
                message="holds exactly the values that the model had before it was loaded",
                measured=f"0 of {load.matched} matched tensors changed",
                expected="trained weights differ from initial ones",
                at=load.at,
            )
        brought = brought or load.changed > 0


def _untouched(file: CheckpointFile) -> Findings:
    """Say which layers look as they were made. A deep model may leave a few of them so."""
    layers: dict[str, dict[str, TensorFacts]] = {}
    for each in file.model:
        module, _, kind = each.name.rpartition(".")
        layers.setdefault(module, {})[kind] = each
    scaled = {
        name: _holds(layer, LAYER) for name, layer in layers.items() if _is_norm(layer, LAYER)
    }
    tracked = {
        name: _holds(layer, STATISTICS)
        for name, layer in layers.items()
        if STATISTICS.keys() <= layer.keys()
    }
    for found, message, expected in (
        (scaled, "scale by exactly 1 and shift by exactly 0, as they were made", "trained values"),
        (tracked, "have statistics of no batch: mean 0 and variance 1", "those of the data"),
    ):
        if found and all(found.values()):
            names = ", ".join(list(found)[:SHOWN]) + (", ..." if len(found) > SHOWN else "")
            yield Finding(
                subject=f"all {len(found)} normalisation layers of {file.path}",
                message=message,
                measured=names,
                expected=expected,
                at=Place(module=next(iter(found))),
                severity=Severity.NOTE,
            )


def _is_norm(layer: dict[str, TensorFacts], kinds: dict[str, float]) -> bool:
    """Tell a normalisation layer by its two vectors of one length."""
    shapes = {layer[kind].shape for kind in kinds if kind in layer}
    return kinds.keys() <= layer.keys() and len(shapes) == 1 and len(*shapes) == 1


def _holds(layer: dict[str, TensorFacts], values: dict[str, float]) -> bool:
    return all(layer[kind].smallest == each == layer[kind].largest for kind, each in values.items())


def fails_with_a_note_when_every_layer_of_a_file_is_as_it_was_made(watch: Watch) -> None:
    watch.saw(Checkpoints(tried=(), loads=()), _file(scale=1.0))


def fails_when_an_untrained_model_was_saved(_: Watch) -> None:
    import os
    import tempfile
    from pathlib import Path

    import torch

    model = torch.nn.Linear(4, 2)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "stage1.pth"
        torch.save(model.state_dict(), path)
        os.utime(path, (0, 0))  # by an earlier run
        model.load_state_dict(torch.load(path))


def passes_when_one_tensor_changed(_: Watch) -> None:
    import os
    import tempfile
    from pathlib import Path

    import torch

    model = torch.nn.Linear(4, 2)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "stage1.pth"
        torch.save({**model.state_dict(), "bias": torch.ones(2)}, path)
        os.utime(path, (0, 0))
        model.load_state_dict(torch.load(path))


def passes_when_the_same_file_is_loaded_twice(_: Watch) -> None:
    import os
    import tempfile
    from pathlib import Path

    import torch

    model = torch.nn.Linear(4, 2)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "stage1.pth"
        torch.save({"weight": torch.ones(2, 4), "bias": torch.ones(2)}, path)
        os.utime(path, (0, 0))
        model.load_state_dict(torch.load(path))
        model.load_state_dict(torch.load(path))


def passes_when_this_run_wrote_the_file(_: Watch) -> None:
    import tempfile
    from pathlib import Path

    import torch

    model = torch.nn.Linear(4, 2)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "shared.pth"
        torch.save(model.state_dict(), path)
        model.load_state_dict(torch.load(path))


def passes_when_another_file_was_read_and_assigned(_: Watch) -> None:
    import os
    import tempfile
    from pathlib import Path

    import torch

    model = torch.nn.Linear(4, 2)
    with tempfile.TemporaryDirectory() as folder:
        hub, path = Path(folder) / "hub.pth", Path(folder) / "stage1.pth"
        for each in (hub, path):
            torch.save({"weight": torch.ones(2, 4), "bias": torch.ones(2)}, each)
            os.utime(each, (0, 0))
        for key, value in torch.load(hub).items():
            setattr(model, key, torch.nn.Parameter(value))
        model.load_state_dict(torch.load(path))


def passes_when_a_target_network_is_synchronised(_: Watch) -> None:
    import copy

    import torch

    online = torch.nn.Linear(4, 2)
    target = copy.deepcopy(online)
    target.load_state_dict(online.state_dict())


def passes_when_one_layer_of_a_file_has_moved(watch: Watch) -> None:
    watch.saw(Checkpoints(tried=(), loads=()), _file(scale=1.0001))


def skips_when_nothing_was_loaded(_: Watch) -> None:
    import torch

    torch.nn.Linear(4, 2)


def _file(*, scale: float) -> CheckpointFile:
    values = {
        "norm.weight": scale,
        "norm.bias": 0.0,
        "head.norm.weight": 1.0,
        "head.norm.bias": 0.0,
    }
    tensors = [
        TensorFacts(
            name=name, part="model", shape=(8,), dtype="float32", nbytes=32, smallest=value,
            largest=value,
        )
        for name, value in values.items()
    ]  # fmt: skip
    return CheckpointFile(
        path="best.pth", format="torch", writer="torch.save", nbytes=100, tensors=tuple(tensors)
    )
