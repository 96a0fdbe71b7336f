"""However a program leaves, and wherever it trains, the verdict says what became of it."""

import pytest

from tests.adapters.conftest import Check


def test_a_program_that_ends_its_process_on_the_spot_is_judged_by_what_it_did(check: Check) -> None:
    checked = check("import os\nstep(0)\nos._exit(0)")
    assert checked.code == 0
    assert checked.report["run"]["steps"] == 1


REPLACED = """
import os, sys
os.execvp(sys.executable, [sys.executable, "-c", ""])
"""
IN_A_THREAD = """
import threading
thread = threading.Thread(target=step, args=(0,))
thread.start()
thread.join()
"""
IN_A_FORK = """
import os
child = os.fork()
if not child:
    step(0)
    os._exit(0)
os.waitpid(child, 0)
"""


@pytest.mark.parametrize(
    ("program", "sentences"),
    [
        (REPLACED, ("left with os.execv, which puts another program", "before an optimizer step")),
        (IN_A_THREAD, ("steps were taken only in a thread other than the main", "not observed")),
        (IN_A_FORK, ("steps were taken only in a forked process", "not observed")),
    ],
)
def test_what_is_out_of_sight_is_said_to_be(
    check: Check, program: str, sentences: tuple[str, str]
) -> None:
    checked = check(program)
    assert checked.code == 2
    assert all(sentence in checked.report["run"]["obstacle"] for sentence in sentences)


def test_an_interrupt_shows_where_the_program_was_and_judges_what_was_recorded(
    check: Check,
) -> None:
    checked = check(
        """
        import os, signal
        signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background
        step(0)
        class Slow(torch.nn.Module):
            def forward(self, x):
                os.kill(os.getpid(), signal.SIGINT)
                return x
        Slow()(torch.ones(1))
        """
    )
    assert checked.code == 2
    assert checked.report["run"]["obstacle"] == (
        "the program was interrupted after 1 of 3 optimizer steps"
    )
    assert "in forward" in checked.err
    assert "KeyboardInterrupt" in checked.err
    assert "stepscope" not in checked.err


def test_a_forked_process_may_be_started_with_any_function_of_the_program(check: Check) -> None:
    checked = check(
        """
        import functools, multiprocessing
        class Trainer:
            def __call__(self, steps):
                for i in range(steps): step(i)
        multiprocessing.get_context("fork").Process(
            target=functools.partial(Trainer(), steps=9)
        ).start()
        for child in multiprocessing.active_children(): child.join()
        """
    )
    assert checked.code == 0, checked.err
    assert checked.report["run"]["steps"] == 3


def test_a_model_may_be_nested_as_deep_as_without_the_observer(check: Check) -> None:
    checked = check(
        """
        for _ in range(300): model = torch.nn.Sequential(model)
        for i in range(9): step(i)
        """
    )
    assert checked.code == 0, checked.err


def test_a_program_that_leaves_the_training_to_another_is_told_so(check: Check) -> None:
    checked = check(
        """
        import subprocess, sys
        training = "import time\\nwhile time.process_time() < 1.5: pass"
        subprocess.run([sys.executable, "-c", training], check=True)
        """
    )
    assert checked.code == 2
    assert "are not observed" in str(checked.report["notes"])
