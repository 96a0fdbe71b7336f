"""The switch costs a look at the environment, and tells a program from what only helps it."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from torch import distributed
from torch.distributed import distributed_c10d

from stepscope import switch
from stepscope.switch import is_helper, program_of

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("words", "program", "arguments"),
    [
        ("python train.py --lr 1", "train.py", ("--lr", "1")),
        ("python -X dev -W error -u train.py -m", "train.py", ("-m",)),
        ("python -Wignore train.py", "train.py", ()),
        ("python -m package.train --lr 1", "-m package.train", ("--lr", "1")),
        ("python -um package.train", "-m package.train", ()),
        ("python -mpackage.train", "-m package.train", ()),
        ("python -c code one", "-c", ("one",)),
        ("python /venv/bin/train-it", "/venv/bin/train-it", ()),
        ("python --check-hash-based-pycs always train.py", "train.py", ()),
        ("python - one", "-", ("one",)),
        ("python -i", "", ()),
        ("python -m", "-m ", ()),
    ],
)
def test_the_program_is_what_python_was_asked_to_run(
    words: str, program: str, arguments: tuple[str, ...]
) -> None:
    assert program_of(words.split()) == (program, arguments)


@pytest.mark.parametrize(
    ("words", "helps"),
    [
        ("python train.py", False),
        ("python -m torchvision_training", False),
        ("python -m torch.distributed.run train.py", True),
        ("python /venv/bin/torchrun train.py", True),
        ("python -m accelerate.commands.launch train.py", True),
        ("python /venv/bin/accelerate launch train.py", True),
        ("python /x/site-packages/torch/_inductor/compile_worker/__main__.py", True),
        ("python -c spawn_main() --multiprocessing-fork", True),
    ],
)
def test_launchers_and_workers_are_helpers(words: str, *, helps: bool) -> None:
    assert is_helper(words.split()) is helps


def test_a_server_of_multiprocessing_is_a_helper() -> None:
    assert is_helper(["python", "-c", "from multiprocessing.forkserver import main; main(3)"])
    assert not is_helper(["python", "-c", "import train"])


def test_what_is_no_rank_yet_joins_with_a_process_group_of_several(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("RANK", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(distributed_c10d, "init_process_group", lambda *_: None)
    monkeypatch.setattr(distributed, "init_process_group", lambda *_: None)
    sizes = iter((1, 2, 2))
    monkeypatch.setattr(distributed_c10d, "get_world_size", lambda: next(sizes))
    joined: list[int] = []
    switch._when_a_rank(lambda: joined.append(1))
    counts = []
    for _ in range(3):
        distributed.init_process_group("gloo")
        counts.append(len(joined))
    assert counts == [0, 1, 1]


@pytest.mark.parametrize("name", ["RANK", "LOCAL_RANK"])
def test_what_is_meant_to_be_a_rank_joins_at_once(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "0")
    joined: list[int] = []
    switch._when_a_rank(lambda: joined.append(1))
    assert joined == [1]


def test_the_file_that_python_reads_at_its_start_lies_beside_the_installed_package() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wheel = declared["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["force-include"] == {"src/stepscope.pth": "stepscope.pth"}
    (line,) = (ROOT / "src" / "stepscope.pth").read_text().splitlines()
    assert line.startswith("import ")  # else it is read as a path


def test_without_the_variable_nothing_of_stepscope_is_loaded() -> None:
    seen = "import sys; print([name for name in sys.modules if 'stepscope' in name])"
    code = f"{(ROOT / 'src' / 'stepscope.pth').read_text()}\n{seen}"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], env={}, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
