"""What the intent declares is judged by what is built in the first steps, or at a run's end."""

from stepscope.core import Evidence, Finding, Recording, Severity, judge
from stepscope.core.report import Outcome, Status
from stepscope.evidence.built_modules import BuiltModules
from stepscope.evidence.course.endings import Endings, RunEnded
from stepscope.evidence.course.module_uses import ModulesUsed, ModuleUse, ModuleUses
from stepscope.evidence.course.progress import Progress
from stepscope.evidence.environment import Ending, Run
from stepscope.evidence.intent import Intent
from stepscope.rules.configuration.declared_module_not_built import declared_module_not_built

INTENT = Intent(modules=("Bank", "Head"))
GOING_ON = Progress(first=0, step=5, sampled=5, seconds=1.0)
ENDED = Endings(seen=((5, RunEnded(finished=True)),), count=1)


def outcome(*evidence: Evidence, steps: int = 3, rank: int = 0) -> Outcome:
    run = Run(program="train.py", steps=steps, asked=3, ending=Ending.RECORDED, rank=rank)
    (said,) = judge([declared_module_not_built], Recording(run, *evidence))
    return said


def uses(
    *modules: ModuleUse,
    others: tuple[str, ...] = (),
    is_whole: bool = True,
    is_complete: bool = True,
) -> ModuleUses:
    told = ModulesUsed(modules=modules, others=others, is_whole=is_whole, is_complete=is_complete)
    return ModuleUses(seen=((5, told),), count=1)


def finding(said: Outcome) -> Finding:
    (one,) = said.findings
    return one


def test_in_the_first_steps_what_is_not_built_by_then_is_found_with_the_nearest_name() -> None:
    said = outcome(INTENT, BuiltModules(kinds=("Head", "MemoryBank")))
    assert finding(said).subject == "Bank"
    assert finding(said).severity is Severity.ERROR
    assert "MemoryBank" in finding(said).measured


def test_in_the_first_steps_what_is_built_passes_called_or_not() -> None:
    assert outcome(INTENT, BuiltModules(kinds=("Bank", "Head"))).status is Status.PASSED


def test_without_a_step_or_a_declaration_nothing_is_judged() -> None:
    assert outcome(INTENT, BuiltModules(kinds=("Head",)), steps=0).status is Status.SKIPPED
    assert outcome(Intent(), BuiltModules(kinds=("Head",))).status is Status.SKIPPED


def test_a_window_of_a_run_says_nothing_before_the_end() -> None:
    said = outcome(INTENT, BuiltModules(kinds=("Head",)), GOING_ON)
    assert said.status is Status.SKIPPED
    assert "its own end" in said.reason


def test_a_class_of_a_library_that_is_built_is_not_missing() -> None:
    head = ModuleUse(kind="Head", built=1, used=True)
    assert outcome(INTENT, GOING_ON, ENDED, uses(head, others=("Bank",))).status is Status.PASSED


def test_what_was_left_out_or_built_before_the_watching_is_not_missing() -> None:
    head = ModuleUse(kind="Head", built=1, used=True)
    for seen in (uses(head, is_whole=False), uses(head, is_complete=False)):
        assert outcome(INTENT, GOING_ON, ENDED, seen).status is Status.PASSED
    assert finding(outcome(INTENT, GOING_ON, ENDED, uses(head))).subject == "Bank"


def test_what_is_not_known_to_be_idle_passes() -> None:
    head = ModuleUse(kind="Head", built=1, used=True)
    for used, status in ((None, Status.PASSED), (True, Status.PASSED), (False, Status.FAILED)):
        bank = ModuleUse(kind="Bank", built=1, used=used)
        assert outcome(INTENT, GOING_ON, ENDED, uses(head, bank)).status is status


def test_of_several_ranks_the_first_is_judged() -> None:
    for rank, status in ((0, Status.FAILED), (1, Status.SKIPPED)):
        assert outcome(INTENT, BuiltModules(kinds=("Head",)), rank=rank).status is status
