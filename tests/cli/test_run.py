"""`stepscope run` as a user meets it: findings while it goes, what is kept, and how it ends."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Command

LOOP = """\
import os, sys, time, torch
torch.set_num_threads(1)
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(4, 4))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
def step():
    optimizer.zero_grad()
    model(torch.ones(3, 4)).square().sum().backward()
    optimizer.step()
"""
FAULT = "model.append(torch.nn.Linear(4, 2))\n"  # in no optimizer: OPT001, an error
ONLY = ("run", "--select", "OPT001")


@pytest.fixture
def train(tmp_path: Path) -> Callable[[str], None]:
    """Return a function that writes a program."""
    return lambda program: (tmp_path / "train.py").write_text(LOOP + program, "utf-8") and None


def recorded(folder: Path) -> list[dict[str, object]]:
    """Read the entries of the latest recording, the torn end of a line left out."""
    (run,) = (each for each in (folder / ".stepscope").iterdir() if each.is_dir())
    files = sorted((run / "rank-0").glob("lines-*.jsonl"))
    texts = [text for file in files for text in file.read_bytes().splitlines(keepends=True)]
    return [json.loads(text) for text in texts if text.endswith(b"\n")]


def test_a_finding_is_said_once_while_the_run_goes_and_reported_at_the_end(
    stepscope: Command, train: Callable[[str], None], tmp_path: Path
) -> None:
    train(FAULT + "for i in range(200): step()\nprint('trained', file=sys.stderr)\n")
    done = stepscope(*ONLY, "train.py")
    assert done.returncode == 1
    assert done.stdout == ""
    live, _, report = done.stderr.partition("trained\n")
    assert live.startswith("stepscope: step 0: error OPT001 not-in-optimizer\n")
    assert live.count("OPT001") == 2  # with the advice on what to read
    assert "error   OPT001 not-in-optimizer" in report
    assert "200 optimizer steps of train.py" in report
    entries = recorded(tmp_path)
    assert entries[-1]["ended"] == "finished"
    assert [entry for entry in entries if "found" in entry]


@pytest.mark.parametrize(
    ("program", "code", "said"),
    [
        ("step(); sys.exit(3)", 3, "SystemExit: 3"),
        ("step(); sys.exit('no data')", 1, "no data"),
        ("step(); raise KeyError('lr')", 1, "KeyError: 'lr'"),
        ("step(); os._exit(4)", 4, "os._exit(4)"),
        ("step(); os.kill(os.getpid(), 2)", 130, "KeyboardInterrupt"),
        ("step(); raise torch.cuda.OutOfMemoryError('CUDA out of memory')", 1, "out of memory"),
        ("print('no step')", 2, "optimizer step"),
    ],
)
def test_a_run_ends_with_the_exit_code_of_its_program_and_with_its_report(
    stepscope: Command, train: Callable[[str], None], program: str, code: int, said: str
) -> None:
    train(program)
    done = stepscope(*ONLY, "train.py")
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "adapters" not in done.stderr


def test_an_error_stops_the_run_between_two_steps_where_that_is_asked_for(
    stepscope: Command, train: Callable[[str], None]
) -> None:
    train(
        FAULT
        + """
try:
    for i in range(100): step()
except Exception:
    print("swallowed")
finally:
    print("left after", i, float(model[0].weight.grad.abs().sum()) > 0)
"""
    )
    done = stepscope(*ONLY, "--on-error", "stop", "train.py")
    assert done.returncode == 1
    assert done.stdout == "left after 3 True\n"
    assert "the run was stopped by a finding" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_forked_child_that_reaches_the_programs_end_reports_nothing(
    stepscope: Command, train: Callable[[str], None]
) -> None:
    train("step()\nchild = os.fork()\nif child: os.waitpid(child, 0)\nelse: step()\nprint('end')\n")
    done = stepscope(*ONLY, "train.py")
    assert done.returncode == 0
    assert done.stdout == "end\nend\n"
    assert done.stderr.count("observed") == 1


# --- bars


BARS = """
from tqdm import tqdm
for i in tqdm(range(60), ncols=60, mininterval=0): step()
"""
RICH = """
from rich.console import Console
from rich.progress import Progress
console = Console(stderr=True, force_terminal=True, width=60)
with Progress(console=console, auto_refresh=False) as progress:
    task = progress.add_task("epoch", total=60)
    for i in range(60):
        step()
        progress.advance(task)
        progress.refresh()
"""


def test_a_finding_stands_above_a_bar_of_tqdm(train: Callable[[str], None], tmp_path: Path) -> None:
    train(FAULT + BARS)
    done = subprocess.run(
        [sys.executable, "-m", "stepscope", *ONLY, "train.py"],
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    before, _, after = done.stderr.partition(b"stepscope: step 0: error OPT001")
    *_, bar, blank, line = before.split(b"\r")
    assert b"3/60" in bar
    assert not blank.strip()  # the bar is taken away
    assert line == b""
    assert b"\r  5%|" in after  # and drawn anew
    assert b"60/60" in after


def test_a_finding_stands_above_a_bar_of_rich(
    stepscope: Command, train: Callable[[str], None]
) -> None:
    train(FAULT + RICH)
    done = stepscope(*ONLY, "train.py")
    lines = done.stderr.splitlines()
    at = next(i for i, line in enumerate(lines) if "stepscope: step 0: error OPT001" in line)
    assert lines[at] == "\x1b[2Kstepscope: step 0: error OPT001 not-in-optimizer"
    assert any("epoch" in line for line in lines[at + 1 :])  # drawn anew, below it
    assert "100%" in done.stderr


# --- faults survived


def test_a_folder_that_cannot_be_written_is_said_once_and_the_run_goes_on(
    stepscope: Command, train: Callable[[str], None], tmp_path: Path
) -> None:
    train("for i in range(30): step()\nprint('trained')\n")
    (tmp_path / ".stepscope").write_text("in the way")  # root may write anywhere else
    done = stepscope(*ONLY, "train.py")
    assert done.returncode == 0
    assert done.stdout == "trained\n"
    assert done.stderr.count("no recording is kept") == 1
    assert "30 optimizer steps" in done.stderr


FULL = """
import errno
write = os.write
def full(file, data):
    if ".stepscope" in os.readlink(f"/proc/self/fd/{file}"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return write(file, data)
os.write = full
for i in range(30): step()
time.sleep(1.2)
for i in range(30): step()
print("trained")
"""


def test_a_full_disk_is_said_once_and_the_run_goes_on(
    stepscope: Command, train: Callable[[str], None]
) -> None:
    train(FULL)
    done = stepscope(*ONLY, "train.py")
    assert done.returncode == 0
    assert done.stdout == "trained\n"
    assert done.stderr.count("No space left on device; the run goes on") == 1


def test_a_run_that_is_killed_leaves_all_but_its_last_second(
    train: Callable[[str], None], tmp_path: Path
) -> None:
    train(
        FAULT
        + """
for i in range(10 ** 6):
    step()
    if i > 20:
        time.sleep(0.01)
        with open("seen", "a") as file: print(i, file=file)
"""
    )
    command = [sys.executable, "-m", "stepscope", *ONLY, "--every", "1", "train.py"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL)
    seen = tmp_path / "seen"
    while not seen.exists():
        assert process.poll() is None
        time.sleep(0.1)
    time.sleep(1.5 + random.random())  # noqa: S311
    process.send_signal(signal.SIGKILL)
    process.wait()
    step = int(seen.read_text().rpartition("\n")[0].splitlines()[-1])
    entries = recorded(tmp_path)
    assert max(entry["step"] for entry in entries) > step - 110  # of 10 ms at least each
    assert entries[0]["step"] == 0
    assert any("found" in entry for entry in entries)
    assert "ended" not in entries[-1]


CLOCK = """
clocks = {name: getattr(time, name) for name in ("time", "monotonic", "perf_counter")}
for name, clock in clocks.items():
    setattr(time, name, lambda clock=clock: -clock())
for i in range(60): step()
for name, clock in clocks.items():
    setattr(time, name, clock)
print("trained")
"""


def test_a_clock_that_goes_back_is_survived(
    stepscope: Command, train: Callable[[str], None], tmp_path: Path
) -> None:
    train(FAULT + CLOCK)
    done = stepscope(*ONLY, "train.py")
    assert done.returncode == 1, done.stderr
    assert done.stdout == "trained\n"
    assert done.stderr.count("stepscope: step 0: error OPT001") == 1
    assert "fault of stepscope" not in done.stderr
    steps = [entry["step"] for entry in recorded(tmp_path) if "numbers" in entry]
    assert steps[:20] == list(range(20))


# --- what is left alone


COMPILED = """
import torch._dynamo
torch._dynamo.config.suppress_errors = False
calls = []
def backend(graph, example):
    calls.append(len(graph.graph.nodes))
    return graph.forward
model = torch.compile(model, backend=backend)
for i in range(40): step()
print(len(calls), float(sum(p.double().sum() for p in model.parameters())))
"""


def test_a_compiled_model_runs_compiled_and_computes_the_same(
    stepscope: Command, train: Callable[[str], None], tmp_path: Path
) -> None:
    train(COMPILED)
    plain = subprocess.run(
        [sys.executable, "train.py"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    done = stepscope("run", "train.py")
    assert done.returncode == 0, done.stderr
    assert done.stdout == plain.stdout
    assert done.stdout.startswith("1 ")


WORKERS = """
from torch.utils.data import DataLoader, Dataset
class Pictures(Dataset):
    def __len__(self): return 400
    def __getitem__(self, i):
        torch.nn.Linear(4, 4)(torch.ones(4))
        return torch.full((4,), float(i))
for x in DataLoader(Pictures(), batch_size=4, num_workers=2, shuffle=True):
    optimizer.zero_grad(); model(x).mean().backward(); optimizer.step()
print(float(model[0].weight.double().sum()))
"""


def test_workers_of_a_data_loader_are_left_alone(
    stepscope: Command, train: Callable[[str], None], tmp_path: Path
) -> None:
    train(WORKERS)
    plain = subprocess.run(
        [sys.executable, "train.py"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    done = stepscope("run", "train.py")
    assert done.stdout == plain.stdout
    assert done.returncode == 0, done.stderr
    assert [each.name for each in next((tmp_path / ".stepscope").glob("*-train")).iterdir()] != []


LIGHTNING = """
import lightning, logging, warnings
warnings.simplefilter("ignore")
class Module(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = torch.nn.Linear(4, 4)
        self.head = torch.nn.Linear(4, 4)
    def training_step(self, batch, _): return self.head(self.net(batch)).square().mean()
    def configure_optimizers(self): return torch.optim.SGD(self.net.parameters(), lr=0.1)
class Ending(lightning.Callback):
    def on_exception(self, trainer, module, exception):
        print("in order", trainer.global_step, isinstance(exception, KeyboardInterrupt))
trainer = lightning.Trainer(
    max_steps=100, logger=False, enable_checkpointing=False, enable_progress_bar=False,
    enable_model_summary=False, callbacks=[Ending()], accelerator="cpu",
)
trainer.fit(Module(), torch.utils.data.DataLoader(torch.randn(400, 4), 4))
print("after")
"""


@pytest.mark.corpus
def test_lightning_ends_in_order_where_a_finding_stops_it(
    stepscope: Command, train: Callable[[str], None]
) -> None:
    train(LIGHTNING)
    done = stepscope(*ONLY, "--on-error", "stop", "train.py")
    assert done.returncode == 1, done.stderr
    stopped_at, is_interrupt = done.stdout.removeprefix("in order ").split()
    assert 3 <= int(stopped_at) < 100
    assert is_interrupt == "True"
    assert "the run was stopped by a finding" in done.stderr


@pytest.mark.skipif(os.name != "posix", reason="needs file permissions")
def test_a_mistake_of_the_user_is_one_sentence_and_nothing_runs(stepscope: Command) -> None:
    done = stepscope("run", "absent.py")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "there is no script absent.py" in line


DEAR = ("sympy", "torch._dynamo", "torch.distributed.tensor", "torch.distributed.fsdp", "lightning")


def test_nothing_dear_is_loaded_before_the_program_and_garbage_is_collected(
    stepscope: Command, tmp_path: Path
) -> None:
    (tmp_path / "train.py").write_text(
        f"import gc, sys\nprint([name for name in {DEAR} if name in sys.modules], gc.isenabled())\n"
    )
    done = stepscope(*ONLY, "train.py")
    assert done.stdout == "[] True\n"
