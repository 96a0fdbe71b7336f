"""Programs of every kind are left after their steps, and nothing of theirs is swallowed."""

import os
import time

import psutil
import pytest

from tests.adapters.conftest import Check


def test_a_plain_loop_is_ended_after_the_steps_asked_for(check: Check) -> None:
    checked = check("for i in range(100): step(i)", options=("--steps", "4"))
    assert (checked.code, checked.steps_printed) == (0, 4)
    assert checked.report["run"]["steps"] == 4
    assert checked.report["run"]["ending"] == "recorded"


def test_a_program_that_ends_first_is_judged_by_what_it_did(check: Check) -> None:
    checked = check("step(0)")
    assert checked.code == 0
    assert checked.report["run"]["steps"] == 1
    assert checked.report["run"]["ending"] == "finished"


def test_the_script_sees_the_arguments_and_the_name_that_python_would_give_it(check: Check) -> None:
    checked = check(
        """
        import sys
        assert __name__ == "__main__", __name__
        assert sys.modules["__main__"].step is step
        print("argv", sys.argv, __file__)
        step(0)
        """,
        "--steps",
        "7",
        "--help",
    )
    assert "argv ['train.py', '--steps', '7', '--help']" in checked.err
    assert checked.code == 0


def test_except_exception_does_not_swallow_the_end(check: Check) -> None:
    checked = check(
        """
        for i in range(100):
            try:
                step(i)
            except Exception:
                print("swallowed")
        """
    )
    assert checked.steps_printed == 3
    assert "swallowed" not in checked.err


def test_a_bare_except_swallows_the_end_only_a_few_times(check: Check) -> None:
    checked = check(
        """
        i = 0
        while True:
            i += 1
            try:
                step(i)
            except:
                print("swallowed")
        """
    )
    assert checked.code == 0
    assert checked.steps_printed == 3
    assert 1 <= checked.err.count("swallowed") <= 4


def test_sys_exit_ends_the_program_and_not_the_check(check: Check) -> None:
    checked = check("step(0); import sys; sys.exit(0)")
    assert checked.code == 0
    assert checked.report["run"]["steps"] == 1


def test_a_crash_before_the_first_step_shows_its_own_traceback_and_cannot_be_judged(
    check: Check,
) -> None:
    checked = check("def build():\n    raise KeyError('backbone')\nbuild()", loop=False)
    assert checked.code == 2
    assert checked.report["verdict"] == "not-judged"
    assert "KeyError: 'backbone'" in checked.err
    assert 'train.py", line 2, in build' in checked.err
    assert "adapters" not in checked.err
    assert checked.report["run"]["error"] == "KeyError: 'backbone'"


def test_no_optimizer_step_cannot_be_judged(check: Check) -> None:
    checked = check("model(torch.randn(8, 4)).sum().backward()")
    assert checked.code == 2
    assert checked.report["verdict"] == "not-judged"


def test_an_endless_loop_is_ended_by_the_timeout_and_its_line_named(check: Check) -> None:
    began = time.monotonic()
    checked = check(
        "import time\nwhile True:\n    time.sleep(0.01)", options=("--timeout", "3"), loop=False
    )
    assert checked.code == 2
    assert checked.report["run"]["ending"] == "timed-out"
    assert checked.report["run"]["error_at"]["line"] in (2, 3)
    assert time.monotonic() - began < 60


def test_processes_of_the_program_do_not_outlive_the_check(check: Check) -> None:
    checked = check(
        """
        import subprocess
        left = subprocess.Popen(["sleep", "600"])
        print("left", left.pid)
        for i in range(100): step(i)
        """
    )
    pid = int(checked.err.partition("left ")[2].split()[0])
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    assert "sleep 600" in str(checked.report["notes"])


def test_workers_of_a_data_loader_are_neither_observed_nor_left_behind(check: Check) -> None:
    checked = check(
        """
        from torch.utils.data import DataLoader, Dataset
        class Pictures(Dataset):
            def __len__(self): return 400
            def __getitem__(self, i):
                assert "observed" not in torch.nn.Module._call_impl.__qualname__
                return torch.randn(4)
        for i, x in enumerate(DataLoader(Pictures(), batch_size=4, num_workers=2)):
            optimizer.zero_grad(); model(x).sum().backward(); optimizer.step(); print("step", i)
        """
    )
    assert checked.code == 0, checked.err
    assert checked.report["run"]["steps"] == 3
    children = psutil.Process(os.getpid()).children(recursive=True)
    assert not [child for child in children if child.status() != psutil.STATUS_ZOMBIE]


def test_children_started_by_torch_spawn_are_recorded_one_a_rank(check: Check) -> None:
    checked = check(
        """
        import torch.multiprocessing as mp
        def train(rank):
            for i in range(100): step(i)
        if __name__ == "__main__":
            mp.spawn(train, nprocs=2)
        """
    )
    assert checked.code == 0, checked.err
    assert checked.steps_printed == 6
    assert checked.report["run"]["steps"] == 3


def test_compiled_models_run_eagerly_while_recorded_and_the_report_says_so(check: Check) -> None:
    checked = check(
        """
        model = torch.compile(model)
        for i in range(100): step(i)
        """
    )
    assert checked.code == 0, checked.err
    assert checked.report["run"]["compiled"] is True


def test_two_optimizers_both_get_their_steps(check: Check) -> None:
    checked = check(
        """
        other = torch.nn.Linear(4, 2)
        second = torch.optim.SGD(other.parameters(), lr=0.1)
        for i in range(100):
            step(i)
            if i % 2:
                second.zero_grad()
                other(torch.randn(8, 4)).square().mean().backward()
                second.step()
        """
    )
    assert checked.code == 0, checked.err
    assert checked.report["run"]["steps"] == 9


CHILD_TAKES = """
import sys
import torch.multiprocessing as mp
def train(rank):
    optimizer.param_groups[0]["lr"] = 0.0
    for i in range({steps}): step(i)
    sys.exit(0)
if __name__ == "__main__":
    for i in range(2): step(i)
    child = mp.get_context("spawn").Process(target=train, args=(0,))
    child.start()
    child.join()
"""


def test_children_that_took_as_many_steps_as_their_parent_are_judged_in_its_place(
    check: Check,
) -> None:
    checked = check(CHILD_TAKES.format(steps=2))
    run = checked.report["run"]
    assert checked.code == 1, checked.err
    assert (run["steps"], run["ending"], run["error"]) == (2, "finished", "")
    assert run["wall_s"] > 0
    assert checked.report["notes"] == [
        "not judged: 2 optimizer steps of the process that started the others"
    ]


def test_children_that_took_fewer_steps_than_their_parent_are_mentioned(check: Check) -> None:
    checked = check(CHILD_TAKES.format(steps=1))
    assert checked.code == 0, checked.err
    assert checked.report["notes"] == [
        "not judged: 1 process that it started, with 1 optimizer step"
    ]


def test_a_child_that_swallows_the_end_hands_its_recording_over(check: Check) -> None:
    checked = check(
        """
        import torch.multiprocessing as mp
        def train(rank):
            for i in range(20):
                try: step(i)
                except: pass
        if __name__ == "__main__":
            mp.spawn(train, nprocs=1)
        """
    )
    assert checked.code == 0, checked.err
    assert (checked.report["run"]["steps"], checked.report["run"]["ending"]) == (3, "recorded")


def test_a_program_that_swallows_the_end_and_waits_is_complete_when_its_time_is_up(
    check: Check,
) -> None:
    checked = check(
        """
        import time
        try:
            for i in range(9): step(i)
        except:
            while True: time.sleep(0.01)
        """,
        options=("--timeout", "8"),
    )
    assert checked.code == 0, checked.err
    assert (checked.report["run"]["steps"], checked.report["run"]["ending"]) == (3, "recorded")


SLOWLY_GATHERED = """
import time
from stepscope.probes.environment import EnvironmentProbe
gather = EnvironmentProbe.evidence
def slowly(probe):
    end = time.monotonic() + 6
    while time.monotonic() < end: time.sleep(0.01)
    yield from gather(probe)
EnvironmentProbe.evidence = slowly
"""


@pytest.mark.parametrize(("steps", "ending"), [(1, "finished"), (9, "recorded")])
def test_a_time_that_is_up_while_the_evidence_is_gathered_costs_none_of_it(
    check: Check, steps: int, ending: str
) -> None:
    program = f"{SLOWLY_GATHERED}for i in range({steps}): step(i)"
    checked = check(program, options=("--timeout", "4"))
    assert checked.code == 0, checked.err
    assert checked.report["run"]["ending"] == ending
    assert checked.report["run"]["environment"]["devices"] == ["cpu"]


FREEZING = """
from stepscope.freezing import freeze
model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 2))
frozen = freeze(model, "0")
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
"""


def test_what_a_program_freezes_through_us_is_held_to_it(check: Check) -> None:
    checked = check(f"{FREEZING}\nmodel.requires_grad_()\nfor i in range(3): step(i)")
    errors = [each for each in checked.report["findings"] if each["severity"] == "error"]
    assert [(each["rule"], each["subject"]) for each in errors] == [
        ("FRZ006", "0 (2 of 2 parameters)")
    ]
