"""A checkpoint that training was to start from was not there, and training started all the same.

## What it proves
Either the checkpoint that the intent declares was read neither by `torch.load` nor by safetensors
before the recording ended, although optimizer steps were taken; or a path that the command line
names in an option that says "read this" did not exist, and optimizer steps were taken.

## Why it matters
"No checkpoint found, training from scratch" is one line in a long log. The run then trains another
stage than its author believes, often with a frozen backbone of random weights.

## What to do
Correct the path, or let the program raise where the file is missing.

## Limits
A path that only the program's code names is a note, and only where nothing else was read. Names
that a program looks for to resume by itself (`last.ckpt`, `checkpoint.pth`) are left alone, as
are options that say where to write. An option that may mean either (`--checkpoint`) is a warning,
and `--resume last.ckpt` a note: a job that is queued again starts with it the first time too.
Files that neither torch nor safetensors reads (`.npz`, `.h5`, `.msgpack`) are not judged, nor is
a declared file where a checkpoint was read from bytes in memory.
Reading a file does not prove that it reached the model: that is CKP002.

## Sources
- https://github.com/pytorch/examples/blob/main/imagenet/main.py (`--resume`: prints, and goes on)
"""

import re
from fnmatch import fnmatchcase

from stepscope.core import Finding, Findings, NotJudged, Place, Severity, Watch, rule
from stepscope.evidence.checkpoints import Checkpoints, FileTried
from stepscope.evidence.environment import Run
from stepscope.evidence.intent import Intent

READS = re.compile(r"resume|load|pretrain|restore|init|from|fine-?_?tune|weights|teacher|stage")
WRITES = re.compile(r"out|save|export|dest|dump|log|write")
EITHER = re.compile(r"checkpoint|ckpt|snapshot")
RESUMES = re.compile(r"(last|latest|resume|checkpoint|ckpt|snapshot|state|epoch|step|iter|model)")
LAST = re.compile(r"(last|latest)")
WEIGHTS = (".pth", ".pt", ".ckpt", ".safetensors", ".pth.tar")
UNSEEN = (".npz", ".npy", ".h5", ".msgpack", ".onnx", ".pkl")


@rule("CKP001", Severity.ERROR)
def missing_checkpoint(checkpoints: Checkpoints, run: Run, intent: Intent | None) -> Findings:
    if run.steps == 0:
        raise NotJudged("no optimizer step was taken: the program may still have loaded it")
    declared = intent.checkpoint if intent is not None else None
    if declared is not None and declared.endswith(UNSEEN) and not _tried(checkpoints, declared):
        raise NotJudged(f"reading a file such as {declared} is not observed")
    if declared is None and not checkpoints.tried:
        raise NotJudged("no checkpoint is declared, and none was looked for")
    read = [each.path for each in checkpoints.tried if each.loaded]
    absent = declared is not None and not any(_is(path, declared) for path in read)
    if absent and checkpoints.read_from_memory:
        raise NotJudged(f"a checkpoint was read from memory: it may have been {declared}")
    if declared is not None and absent:
        yield _declared(checkpoints, run, declared, read)
    for each in checkpoints.tried:
        if each.existed or each.loaded or (declared is not None and _is(each.path, declared)):
            continue
        severity = _weight(each, anything_read=bool(read))
        if severity is not None:
            named = f"named on the command line ({each.option or 'positional'})"
            yield Finding(
                subject=each.path,
                message="was looked for and did not exist; training started without it",
                measured=named if each.named_on_command_line else "named in the program",
                expected="the file is there, or the program stops",
                at=each.at,
                severity=severity,
            )


def _declared(checkpoints: Checkpoints, run: Run, declared: str, read: list[str]) -> Finding:
    tried = _tried(checkpoints, declared)
    absent = [each.path for each in tried if not each.existed]
    measured = [f"did not exist: {', '.join(absent)}"] if absent else []
    measured.append(f"read instead: {', '.join(read)}" if read else "no checkpoint was read")
    started = "" if read else "; training started from the values the program made"
    lines = [each.at for each in tried] + [load.at for load in checkpoints.loads]
    return Finding(
        subject=declared,
        message=f"is declared as the checkpoint to start from, and was not read{started}",
        measured="; ".join(measured),
        expected="read before the first optimizer step",
        at=lines[0] if lines else Place(file=run.program),
    )


def _tried(checkpoints: Checkpoints, declared: str) -> list[FileTried]:
    return [each for each in checkpoints.tried if _is(each.path, declared)]


def _is(path: str, declared: str) -> bool:
    """Tell whether a path is the declared file, lies in the declared folder, or fits the glob."""
    declared = declared.removeprefix("./").rstrip("/")
    hub = declared.replace("/", "--")  # openai/clip -> .../models--openai--clip/snapshots/...
    globs = (declared, f"*/{declared}", f"{declared}/*", f"*/{declared}/*", f"*--{hub}/*")
    return any(fnmatchcase(path, glob) for glob in globs) or f"/{declared}".endswith(f"/{path}")


def _weight(each: FileTried, *, anything_read: bool) -> Severity | None:
    name = each.path.rpartition("/")[2]
    option = each.option.lower()
    if each.named_on_command_line:
        if WRITES.search(option):
            return None
        if READS.search(option):
            return Severity.NOTE if LAST.match(name) else Severity.ERROR
        if EITHER.search(option) and not RESUMES.match(name):
            return Severity.WARNING
    if each.by_program and not anything_read and name.endswith(WEIGHTS) and not RESUMES.match(name):
        return Severity.NOTE
    return None


def fails_when_the_declared_checkpoint_is_absent(watch: Watch) -> None:
    from pathlib import Path

    import torch

    watch.saw(Intent(checkpoint="work/stage1.pth"))
    model = torch.nn.Linear(4, 2)
    if Path("work/stage1.pth").exists():
        model.load_state_dict(torch.load("work/stage1.pth"))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(torch.ones(3, 4)).sum().backward()
    optimizer.step()


def fails_when_another_file_is_read_in_its_place(watch: Watch) -> None:
    import tempfile
    from pathlib import Path

    import torch

    watch.saw(Intent(checkpoint="stage1.pth"))
    model = torch.nn.Linear(4, 2)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "imagenet.pth"
        torch.save(model.state_dict(), path)
        model.load_state_dict(torch.load(path))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(torch.ones(3, 4)).sum().backward()
    optimizer.step()


def fails_when_the_path_to_resume_from_does_not_exist(watch: Watch) -> None:
    _take_a_step()
    watch.saw(Checkpoints(tried=(_absent("stage1.pth", "--resume"),), loads=()))


def fails_when_an_option_that_may_mean_reading_names_nothing(watch: Watch) -> None:
    _take_a_step()
    watch.saw(Checkpoints(tried=(_absent("stage1.pth", "--checkpoint"),), loads=()))


def fails_with_a_note_when_the_program_looks_in_vain(_: Watch) -> None:
    from pathlib import Path

    _take_a_step()
    assert not Path("work/backbone.pth").exists()


def fails_with_a_note_when_a_job_may_be_queued_again(watch: Watch) -> None:
    _take_a_step()
    watch.saw(Checkpoints(tried=(_absent("runs/last.ckpt", "--resume"),), loads=()))


def passes_when_a_file_of_the_declared_name_is_read(watch: Watch) -> None:
    import tempfile
    from pathlib import Path

    import torch

    watch.saw(Intent(checkpoint="stage*.pth"))
    model = torch.nn.Linear(4, 2)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "stage1.pth"
        torch.save(model.state_dict(), path)
        model.load_state_dict(torch.load(path))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(torch.ones(3, 4)).sum().backward()
    optimizer.step()


def passes_when_a_program_looks_for_its_own_last_checkpoint(_: Watch) -> None:
    from pathlib import Path

    _take_a_step()
    assert not Path("runs/last.ckpt").exists()


def passes_when_an_option_that_may_mean_either_names_a_file_to_resume(watch: Watch) -> None:
    _take_a_step()
    watch.saw(
        Checkpoints(tried=(_absent("runs/checkpoint.pth.tar", "--checkpoint-file"),), loads=())
    )


def passes_when_the_path_is_where_to_write(watch: Watch) -> None:
    _take_a_step()
    watch.saw(Checkpoints(tried=(_absent("detector.pth", "--output-weights"),), loads=()))


def skips_when_nothing_was_trained(watch: Watch) -> None:
    watch.saw(Intent(checkpoint="stage1.pth"))


def skips_when_nothing_is_declared_or_looked_for(_: Watch) -> None:
    _take_a_step()


def skips_when_torch_does_not_read_such_files(watch: Watch) -> None:
    watch.saw(Intent(checkpoint="ViT-B_16.npz"))
    _take_a_step()


def skips_when_a_checkpoint_was_read_from_memory(watch: Watch) -> None:
    import io

    import torch

    watch.saw(Intent(checkpoint="stage1.pth"))
    buffer = io.BytesIO()
    torch.save(torch.ones(2), buffer)
    buffer.seek(0)
    torch.load(buffer)
    _take_a_step()


def _take_a_step() -> None:
    import torch

    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.SGD([weight], lr=0.1)
    weight.sum().backward()
    optimizer.step()


def _absent(path: str, option: str) -> FileTried:
    at = Place(file="train.py", line=12)
    return FileTried(
        path=path, existed=False, loaded=False, named_on_command_line=True, option=option, at=at
    )
