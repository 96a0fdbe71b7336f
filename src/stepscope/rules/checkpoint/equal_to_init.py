"""A file was loaded, and not one bit of the model changed.

## What it proves
The tensors came from a file, they matched, and each held the file's bits before the load already,
although nothing that the observer saw had loaded them: the file holds the model's initial values.

## Why it matters
A checkpoint of an untrained model is what a stage leaves that never trained, or that saved another
object than the one it trained. With a fixed seed its weights equal those of a fresh model exactly.

## What to do
Look at how the file was made: save after training, and the module that the optimizer holds.

## Limits
A file that was written after the program began (rank 0 shares its initial weights with the others)
is left alone, as is a second load of weights that an earlier load had brought, and any load after
a file was read in a way that is not seen to reach the model (`from_pretrained`). States that never
were in a file (a target network) are not judged.

## Sources
- https://docs.pytorch.org/tutorials/intermediate/ddp_tutorial.html#save-and-load-checkpoints
"""

from stepscope.core import Finding, Findings, NotJudged, Severity, Watch, rule
from stepscope.evidence.checkpoints import Checkpoints


@rule("CKP004", Severity.WARNING)
def equal_to_init(checkpoints: Checkpoints) -> Findings:
    if not checkpoints.loads:
        raise NotJudged("no load into a module was seen")
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


def skips_when_nothing_was_loaded(_: Watch) -> None:
    import torch

    torch.nn.Linear(4, 2)
