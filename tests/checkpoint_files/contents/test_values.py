"""Holes, banks and symptoms, from real files on either side of each threshold."""

from pathlib import Path

import pytest
import torch

from stepscope.checkpoint_files.contents.describing import describe
from stepscope.checkpoint_files.contents.symptoms import symptom
from stepscope.evidence.checkpoint_file import CheckpointFile

PAGE = 4096


def saved(tmp_path: Path, **tensors: torch.Tensor) -> Path:
    torch.save(tensors, tmp_path / "a.pt")
    return tmp_path / "a.pt"


def overwrite(path: Path, start: int, length: int) -> None:
    with path.open("r+b") as file:
        file.seek(start)
        file.write(bytes(length))


def holes(path: Path) -> dict[str, int]:
    return {each.name: each.hole for each in describe(path).evidence.model}


def first_page_inside(path: Path, name: str) -> int:
    place = describe(path).found.model[name].pieces[0].start
    return -(-(place + 1) // PAGE) * PAGE


@pytest.mark.parametrize(("pages", "found"), [(1, PAGE), (3, 3 * PAGE)])
def test_pages_that_were_lost_are_a_hole(tmp_path: Path, pages: int, found: int) -> None:
    path = saved(tmp_path, w=torch.randn(100, 111), intact=torch.randn(100, 111))
    overwrite(path, first_page_inside(path, "w"), pages * PAGE)
    assert holes(path) == {"w": found, "intact": 0}


def test_less_than_a_page_is_no_hole(tmp_path: Path) -> None:
    path = saved(tmp_path, w=torch.randn(100, 111))
    overwrite(path, first_page_inside(path, "w"), PAGE - 8)
    assert holes(path) == {"w": 0}


def test_zero_rows_of_an_embedding_are_no_hole(tmp_path: Path) -> None:
    table = torch.randn(64, 1024)  # a row is a page
    table[10:20] = 0
    assert holes(saved(tmp_path, w=table)) == {"w": 0}


def test_zero_rows_that_do_not_end_where_pages_do_are_no_hole(tmp_path: Path) -> None:
    table = torch.randn(64, 700)
    table[10:20] = 0
    assert holes(saved(tmp_path, w=table)) == {"w": 0}


def test_the_rows_of_a_bank_that_were_never_written_are_counted(tmp_path: Path) -> None:
    queue = torch.randn(10, 4)
    queue[7:] = 0
    path = saved(tmp_path, queue=queue, queue_ptr=torch.tensor([7]))
    (bank,) = describe(path).evidence.banks
    assert (bank.pointer, bank.empty_rows) == (7, 3)


def scaled(tmp_path: Path, value: float) -> CheckpointFile:
    path = saved(tmp_path, logit_scale=torch.tensor(value), w=torch.randn(3))
    return describe(path).evidence


@pytest.mark.parametrize(
    ("value", "is_there", "confidence"),
    [
        (4.62, False, "certain"),
        (4.64, True, "possible"),  # were it no logarithm, 4.64 would be within the bounds
        (102.9, True, "possible"),
        (103.1, True, "certain"),
        (-0.04, True, "certain"),
    ],
)
def test_a_scale_beyond_its_bounds_is_a_symptom(
    tmp_path: Path, *, value: float, is_there: bool, confidence: str
) -> None:
    seen = symptom("CON001", (), scaled(tmp_path, value))
    assert seen is not None
    assert (seen.is_there, seen.confidence) == (is_there, confidence)


def test_a_file_without_a_scale_says_nothing_of_it(tmp_path: Path) -> None:
    assert symptom("CON001", (), describe(saved(tmp_path, w=torch.randn(3))).evidence) is None
    assert symptom("LOS003", (), scaled(tmp_path, 9.0)) is None


class Amplified(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.parts = torch.nn.ModuleDict({n: torch.nn.Linear(4, 4) for n in "abcdef"})

    def forward(self, inputs: torch.Tensor, factor: float) -> torch.Tensor:
        total = inputs.new_zeros(())
        for name, part in self.parts.items():
            loss = part(inputs).square().mean()
            total = total + (
                loss * factor - (loss * factor - loss).detach() if name == "c" else loss
            )
        return total


@pytest.mark.parametrize(("factor", "is_there"), [(1e2, False), (1e10, True)])
def test_second_moments_keep_an_amplified_gradient(
    tmp_path: Path, *, factor: float, is_there: bool
) -> None:
    model = Amplified()
    optimizer = torch.optim.AdamW(model.named_parameters())
    for _ in range(3):
        optimizer.zero_grad()
        model(torch.randn(8, 4), factor).backward()
        optimizer.step()
    torch.save(
        {"model": model.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "a.pt"
    )
    file = describe(tmp_path / "a.pt").evidence
    seen = symptom("GRD006", (), file)
    assert seen is not None
    assert seen.is_there is is_there
    assert ("parts.c" in seen.reason) is is_there
    elsewhere = symptom("GRD006", ("parts.a",), file)
    assert elsewhere is not None
    assert not elsewhere.is_there


@pytest.mark.parametrize(("held", "is_there"), [("ab", True), ("abc", False)])
def test_a_module_that_the_optimizer_does_not_hold_is_a_symptom(
    tmp_path: Path, *, held: str, is_there: bool
) -> None:
    model = torch.nn.ModuleDict({n: torch.nn.Linear(2, 2) for n in "abc"})
    named = [(n, p) for n, p in model.named_parameters() if n[0] in held]
    optimizer = torch.optim.SGD(named, lr=0.1, momentum=0.9)
    torch.save(
        {"model": model.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "a.pt"
    )
    seen = symptom("OPT001", ("c",), describe(tmp_path / "a.pt").evidence)
    assert seen is not None
    assert seen.is_there is is_there
