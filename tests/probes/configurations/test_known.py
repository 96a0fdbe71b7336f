"""Of one configuration the first reads are kept, and of each setting one for sure."""

from stepscope.core import Place
from stepscope.evidence.course.readings import Phase
from stepscope.probes.configurations.known import MOST, Known


def code_of() -> None:
    pass


def known(held: dict[str, object]) -> Known:
    return Known(kind="dict", root=lambda: held, at=Place(file="train.py", line=1))


def test_when_there_are_too_many_reads_each_setting_still_has_its_first() -> None:
    configuration = known({"hot": 1, "late": 2})
    for line in range(MOST + 9):
        configuration.read("hot", Phase.TRAINING, code_of.__code__, line)
    configuration.read("late", Phase.TRAINING, code_of.__code__, 1)
    said = configuration.told()
    assert len(said.reads) == MOST + 1
    assert {each.key for each in said.reads} == {"hot", "late"}


def test_what_was_given_and_is_true_or_false_is_a_switch() -> None:
    configuration = known({"fusion": True, "dim": 3, "bias": False})
    configuration.given = frozenset({"fusion", "dim", "gone"})
    said = configuration.told()
    assert said.given == ("dim", "fusion")
    assert said.switches == ("fusion",)


def test_a_configuration_that_is_gone_is_told_as_it_was_last_seen() -> None:
    held: list[dict[str, object]] = [{"a": 1}]
    configuration = Known(kind="dict", root=lambda: held[0] if held else None, at=Place())
    configuration.look()
    held.clear()
    assert configuration.told().keys == ("a",)
