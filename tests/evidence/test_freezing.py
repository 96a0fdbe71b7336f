"""The record of a freeze is read back as it was written, and a freeze counts as declared."""

from pathlib import Path

import msgspec
import pytest

from stepscope.core import Place, Recording
from stepscope.evidence.environment import Messages
from stepscope.evidence.freezing import (
    Before,
    Comparison,
    Count,
    Freeze,
    FreezeCheck,
    FreezeRecord,
    Freezes,
    FrozenTensor,
    joined,
)
from stepscope.evidence.intent import Intent, matches
from stepscope.evidence.parameters import Parameter, Parameters

SOME = Count(tensors=2, elements=20)
TENSOR = FrozenTensor(
    name="body.weight",
    is_buffer=False,
    shape=(4, 5),
    dtype="float32",
    since_step=0,
    until_step=200,
    before=-(2**63),
    after=2**63 - 1,
)
RECORD = FreezeRecord(
    patterns=("body",),
    at=Place(file="train.py", line=3),
    steps=200,
    every=100,
    before=Before(frozen=SOME, trainable=SOME, buffers=SOME, optimized=SOME, strangers=SOME),
    checks=(
        FreezeCheck(step=100, changed_parameters=("body.weight",)),
        FreezeCheck(step=200, changed_parameters=("body.weight", "body.bias"), training=("body",)),
    ),
    tensors=(TENSOR, msgspec.structs.replace(TENSOR, name="body.bias", after=None)),
    identical_to=(Comparison(checkpoint="a.pth", identical=("x",), different=(), absent=("y",)),),
)


def test_a_record_is_read_back_exactly(tmp_path: Path) -> None:
    path = tmp_path / "freeze.json"
    RECORD.save(path)
    assert FreezeRecord.read(path) == RECORD
    assert [*tmp_path.iterdir()] == [path]


def test_a_record_says_each_breach_once_with_its_first_step() -> None:
    assert RECORD.breaches == (
        "1 frozen tensors are not in a.pth: y",
        "2 frozen parameters changed: body.weight, body.bias, first seen after 100 steps",
        "1 frozen modules are in training mode: body, first seen after 200 steps",
    )
    assert not RECORD.holds
    assert msgspec.structs.replace(RECORD, checks=(), identical_to=()).holds


def test_a_record_that_cannot_be_written_leaves_what_was_there(tmp_path: Path) -> None:
    folder = tmp_path / "freeze.json"
    folder.mkdir()
    with pytest.raises(OSError, match="directory"):
        RECORD.save(folder)
    assert [*tmp_path.iterdir()] == [folder]
    with pytest.raises(FileNotFoundError):
        RECORD.save(tmp_path / "nowhere" / "freeze.json")


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"FreezeRecord": {"steps": "many"}}'])
def test_what_is_no_record_is_refused_by_name(text: bytes, tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_bytes(text)
    with pytest.raises(ValueError, match=r"other\.json: .*FreezeRecord\.save"):
        FreezeRecord.read(path)


def test_a_recording_without_a_record_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_bytes(Recording(Messages(messages=())).to_json())
    with pytest.raises(ValueError, match="holds no record of a freeze"):
        FreezeRecord.read(path)


def parameters(*names: str) -> Parameters:
    return Parameters(
        parameters=tuple(
            Parameter(
                name=name,
                owner="",
                shape=(1,),
                dtype="float32",
                nbytes=4,
                requires_grad=(),
                before=(),
                after=(),
            )
            for name in names
        )
    )


def freezes(*names: str, step: int = 0, is_active: bool = True) -> Freezes:
    at = Place(step=step)
    return Freezes(freezes=(Freeze(patterns=("*",), parameters=names, is_active=is_active, at=at),))


def test_what_is_frozen_by_code_counts_as_declared() -> None:
    meant = joined(Intent(frozen=("neck",)), freezes("a.b", "neck.w"), parameters("a.b", "neck.w"))
    assert meant.frozen == ("neck", "a.b")


@pytest.mark.parametrize(
    "freeze", [None, freezes("a", is_active=False), freezes("a", step=1), freezes("unrecorded")]
)
def test_what_was_undone_or_came_later_or_was_not_recorded_does_not(freeze: Freezes | None) -> None:
    intent = Intent(trainable=("a",))
    assert joined(intent, freeze, parameters("a")) is intent


def test_a_name_with_a_bracket_means_itself() -> None:
    name = "experts[0].weight"
    assert matches(name, joined(Intent(), freezes(name), parameters(name)).frozen)


def test_a_layer_left_in_training_is_told_from_one_that_is_held() -> None:
    kept = Freeze(patterns=("body",), parameters=("body.w", "body.n.w"), modules=("body",))
    found = Freezes(freezes=(kept,))
    assert found.leaves_in_training("body.n", ("body.n.w",))
    assert not found.leaves_in_training("body", ("body.w",))
    assert not found.leaves_in_training("head", ("head.w",))
