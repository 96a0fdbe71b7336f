"""`STEPSCOPE=run` and `STEPSCOPE=check`: programs that are started as ever, and know nothing."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SOURCES = Path(__file__).parents[2] / "src"
LOOP = """\
import os, sys, torch
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
ONLY = "--select OPT001"
Start = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Return a function that writes train.py and starts Python with the switch set.

    The .pth file is read as from `site-packages`, whether or not this installation has it there.
    """
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(f"import site\nsite.addsitedir({str(SOURCES)!r})\n")

    def started(
        program: str, *words: str, switch: str = "run", options: str = ONLY
    ) -> subprocess.CompletedProcess[str]:
        (tmp_path / "train.py").write_text(program)
        paths = [str(site), os.environ.get("PYTHONPATH", "")]
        return subprocess.run(
            [sys.executable, *(words or ("train.py",))],
            cwd=tmp_path,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(filter(None, paths)),
                "STEPSCOPE": switch,
                "STEPSCOPE_ARGS": options,
                "OMP_NUM_THREADS": "1",
            },
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )

    return started


def runs(folder: Path) -> list[Path]:
    """Return the recordings there."""
    return sorted(each.parent for each in folder.glob(".stepscope/*/run.json"))


def test_a_program_is_watched_to_its_end_which_stays_its_own(start: Start, tmp_path: Path) -> None:
    done = start(LOOP + FAULT + "for i in range(30): step()\nprint(sys.argv)\n", "train.py", "--x")
    assert done.returncode == 0
    assert done.stdout == "['train.py', '--x']\n"
    live, _, report = done.stderr.partition("\n\n")
    assert live.startswith("stepscope: step 0: error OPT001 not-in-optimizer\n")
    assert "30 optimizer steps of train.py" in report
    assert "The run is at fault: 1 error." in report
    (run,) = runs(tmp_path)
    header = json.loads((run / "run.json").read_text())
    assert (header["program"], header["arguments"]) == ("train.py", ["--x"])
    entries = [
        json.loads(line)
        for file in sorted((run / "rank-0").glob("lines-*.jsonl"))
        for line in file.read_text().splitlines()
    ]
    assert {entry["step"] for entry in entries if "numbers" in entry} >= set(range(20))
    assert entries[-1]["ended"] == "finished"


def test_the_report_is_that_of_the_command(start: Start, tmp_path: Path) -> None:
    start(LOOP + FAULT + "for i in range(9): step()\n", options="--format json --output a.json")
    words = ("-m", "stepscope", "run", "--format", "json", "--output", "b.json", "train.py")
    subprocess.run([sys.executable, *words], cwd=tmp_path, capture_output=True, check=False)
    switched, commanded = (json.loads((tmp_path / f"{n}.json").read_text()) for n in "ab")
    for part in ("verdict", "findings", "passed"):
        assert switched[part] == commanded[part]
    assert switched["run"]["steps"] == commanded["run"]["steps"] == 9


def test_an_exception_is_shown_by_python_and_said_in_the_report(start: Start) -> None:
    done = start(LOOP + "step(); raise KeyError('lr')\n")
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback")
    assert "KeyError: 'lr'" in done.stderr.partition("observed")[2]


def test_a_program_that_leaves_its_process_on_the_spot_is_reported_first(start: Start) -> None:
    done = start(LOOP + FAULT + "step(); step(); os._exit(4)\n")
    assert done.returncode == 4
    assert "2 optimizer steps" in done.stderr


def test_an_error_stops_the_run_where_that_is_asked_for(start: Start) -> None:
    ended = "finally: print('left after', i)\n"
    done = start(
        f"{LOOP}{FAULT}try:\n    for i in range(99): step()\n{ended}",
        options=f"{ONLY} --on-error stop",
    )
    assert done.returncode == 1
    assert done.stdout == "left after 3\n"
    assert "the run was stopped by a finding" in done.stderr
    assert "Traceback" not in done.stderr


def test_checked_the_program_ends_after_three_steps_with_the_verdict(
    start: Start, tmp_path: Path
) -> None:
    done = start(LOOP + FAULT + "for i in range(99): step()\nprint('end')\n", switch="check")
    assert (done.returncode, done.stdout) == (1, "")
    assert "observed  3 optimizer steps of train.py" in done.stderr
    assert "Traceback" not in done.stderr
    assert runs(tmp_path) == []


def test_checked_a_program_of_fewer_steps_keeps_its_exit_code(start: Start) -> None:
    done = start(LOOP + FAULT + "step()\nsys.exit(5)\n", switch="check")
    assert done.returncode == 5
    assert "observed  1 of 3 optimizer steps of train.py" in done.stderr


def test_a_module_of_a_package_that_loads_torch_is_watched(start: Start, tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("import torch\n")
    (tmp_path / "package" / "train.py").write_text(LOOP + "step()\n")
    done = start("", "-m", "package.train")
    assert done.returncode == 0, done.stderr
    assert "1 optimizer step of -m package.train" in done.stderr


HELPERS = """
if __name__ == "__main__":
    import subprocess
    from torch.utils.data import DataLoader
    batches = DataLoader(torch.ones(9, 4), 3, num_workers=1, multiprocessing_context="spawn")
    for batch in batches: step()
    code = "import torch; torch.nn.Linear(2, 2)(torch.ones(1, 2)).sum().backward()"
    subprocess.run([sys.executable, "-c", code], check=True)
    subprocess.run([sys.executable, "-c", "import torch, os; os._exit(0)"], check=True)
    child = os.fork()
    if child: os.waitpid(child, 0)
"""


def test_processes_that_only_help_say_nothing_and_leave_nothing(
    start: Start, tmp_path: Path
) -> None:
    done = start(LOOP + HELPERS)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("observed") == 1
    assert "3 optimizer steps of train.py" in done.stderr
    assert [each.name for each in runs(tmp_path)[0].glob("rank-*")] == ["rank-0"]
    assert len(runs(tmp_path)) == 1


@pytest.mark.parametrize("switch", ["run", "check"])
def test_a_program_that_takes_no_step_is_left_alone(
    start: Start, tmp_path: Path, switch: str
) -> None:
    done = start("import torch, sys\nsys.exit(3)\n", switch=switch)
    assert (done.returncode, done.stdout, done.stderr) == (3, "", "")
    assert not (tmp_path / ".stepscope").exists()


@pytest.mark.parametrize(
    ("switch", "options", "said"),
    [
        ("watch", "", "STEPSCOPE is 'watch'; expected run or check"),
        ("run", "--evry 3", "STEPSCOPE_ARGS is '--evry 3': No such option"),
        ("run", "train.py", "expected options of `stepscope run` only"),
        ("run", "--format html", "add --output FILE"),
        ("check", "--select XYZ", "XYZ"),
    ],
)
def test_a_mistake_is_one_line_and_the_program_goes_on(
    start: Start, tmp_path: Path, switch: str, options: str, said: str
) -> None:
    done = start("import torch\nprint('end')\n", switch=switch, options=options)
    assert (done.returncode, done.stdout) == (0, "end\n")
    (line,) = done.stderr.splitlines()
    assert line.startswith("stepscope: this program is not watched: ")
    assert said in line
    assert not (tmp_path / ".stepscope").exists()


def test_a_program_that_loads_us_before_torch_is_told_so_and_goes_on(start: Start) -> None:
    done = start("from stepscope.adapters.loop import watch\nprint('end')\n")
    assert (done.returncode, done.stdout) == (0, "end\n")
    (line,) = done.stderr.splitlines()
    assert line.endswith("it imports parts of stepscope before torch; import torch first")


def test_a_loop_that_watches_itself_hands_on_what_it_knows(start: Start, tmp_path: Path) -> None:
    own = "import stepscope\nwith stepscope.watch(model, optimizer) as run: run.epoch(0); step()\n"
    done = start(LOOP + own + "print(run.report)\n")
    assert (done.returncode, done.stdout) == (0, "None\n")
    assert done.stderr.count("observed") == 1
    assert len(runs(tmp_path)) == 1


def test_under_the_command_the_switch_does_nothing(start: Start, tmp_path: Path) -> None:
    done = start(LOOP + "step()\n", "-m", "stepscope", "run", "--select", "OPT001", "train.py")
    assert done.returncode == 0
    assert done.stderr.count("observed") == 1
    assert len(runs(tmp_path)) == 1


RANKS = """
import torch.distributed as dist
if __name__ == "__main__":
    dist.init_process_group("gloo")
    wrapper = torch.nn.parallel.DistributedDataParallel(model)
    for _ in range(5):
        optimizer.zero_grad(); wrapper(torch.ones(3, 4)).sum().backward(); optimizer.step()
    dist.destroy_process_group()
"""


@pytest.mark.corpus
def test_ranks_of_torchrun_are_one_run_and_the_launcher_is_none(
    start: Start, tmp_path: Path
) -> None:
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "train.py")
    options = "--select DST --format json --output report.json"
    done = start(LOOP + RANKS, *launcher, options=options)
    assert done.returncode == 0, done.stderr
    report: Any = json.loads((tmp_path / "report.json").read_text())
    assert (report["run"]["steps"], report["run"]["ranks"]) == (5, [0, 1])
    (run,) = runs(tmp_path)
    assert {each.name for each in run.glob("rank-*")} == {"rank-0", "rank-1"}


SPAWNED = """
def work(rank):
    for _ in range(5): step()
if __name__ == "__main__":
    torch.multiprocessing.spawn(work, nprocs=2)
"""


@pytest.mark.corpus
def test_processes_that_it_spawns_to_train_are_ranks(start: Start, tmp_path: Path) -> None:
    done = start(LOOP + SPAWNED)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("observed  5 optimizer steps of train.py on ranks 0-1") == 1
    assert len(runs(tmp_path)) == 1
