"""What is recorded is read back as it was, for every kind of evidence there is."""

import math
from collections.abc import Iterator

import msgspec
import pytest
from msgspec import inspect

from stepscope.core import Evidence, Place, Recording
from stepscope.evidence.checkpoints import Checkpoints, FileTried
from stepscope.evidence.gradients import Gradient, Gradients
from stepscope.evidence.intent import Intent
from stepscope.evidence.kinds import every_kind

LARGEST_FINGERPRINT = 2**63 - 1


PLAIN: dict[type[inspect.Type], tuple[object, ...]] = {
    inspect.BoolType: (True, False),
    inspect.IntType: (LARGEST_FINGERPRINT, -LARGEST_FINGERPRINT - 1),
    inspect.FloatType: (0.1, -math.inf, 1e-300),
    inspect.StrType: ("", 'model."é"\n', "nan"),
    inspect.NoneType: (None,),
}


WORDED = {"milestones": [(), ("epoch 5: acc > 0.2",)]}  # by field: what not every text can be


def samples(kind: inspect.Type) -> Iterator[object]:
    """Yield values of a type: every branch of a union, every enum member, empty and filled."""
    match kind:
        case inspect.EnumType():
            yield from kind.cls
        case inspect.UnionType():
            for each in kind.types:
                yield from samples(each)
        case inspect.VarTupleType():
            yield from ((), tuple(samples(kind.item_type)))
        case inspect.TupleType():
            yield tuple(next(samples(each)) for each in kind.item_types)
        case inspect.DictType():
            yield dict(zip(samples(kind.key_type), samples(kind.value_type), strict=False))
        case inspect.StructType():
            yield from structs(kind)
        case _:
            yield from PLAIN[type(kind)]  # a KeyError here: evidence may not hold such a type


def structs(kind: inspect.StructType) -> Iterator[object]:
    columns = {
        field.name: WORDED.get(field.name) or list(samples(field.type)) for field in kind.fields
    }
    for row in range(max((len(column) for column in columns.values()), default=1)):
        yield kind.cls(**{name: column[row % len(column)] for name, column in columns.items()})


@pytest.mark.parametrize("kind", every_kind(), ids=lambda kind: kind.__name__)
def test_every_kind_of_evidence_survives_the_file(kind: type[Evidence]) -> None:
    described = inspect.type_info(kind)
    found = list(samples(described))
    assert found
    for evidence in found:
        assert isinstance(evidence, kind)
        read = Recording.from_json(Recording(evidence).to_json(), every_kind())
        assert list(read) == [evidence]


def test_a_gradient_that_is_not_a_number_does_not_come_back_as_no_gradient() -> None:
    norms = (math.nan, math.inf, None, 1.0)
    gradient = Gradient(
        parameter="w", norms=norms, largest=norms, nbytes=4, reached=(True, True, False, True)
    )
    data = Recording(Gradients(gradients=(gradient,))).to_json()
    read = Recording.from_json(data, [Gradients]).get(Gradients)
    assert read is not None
    first, *others = read.gradients[0].norms
    assert first is not None
    assert math.isnan(first)
    assert others == [math.inf, None, 1.0]


def test_a_path_whose_bytes_are_no_text_can_be_written() -> None:
    path = b"weights-\xff.pt".decode("utf-8", "surrogateescape")
    tried = FileTried(path=path, existed=True, loaded=True, named_on_command_line=False, at=Place())
    data = Recording(Checkpoints(tried=(tried,), loads=())).to_json()
    read = Recording.from_json(data, [Checkpoints]).get(Checkpoints)
    assert read is not None
    assert read.tried[0].path == "weights-\\udcff.pt"


def test_one_piece_of_each_kind_is_kept_the_last() -> None:
    recording = Recording(Intent(classes=1), Intent(classes=2))
    assert list(recording) == [Intent(classes=2)]
    assert recording.get(Gradients) is None


def test_kinds_that_are_not_asked_for_are_left_out() -> None:
    data = Recording(Intent(classes=1), Gradients(gradients=())).to_json()
    assert list(Recording.from_json(data, [Intent])) == [Intent(classes=1)]


def test_a_fact_that_does_not_fit_its_kind_is_refused() -> None:
    with pytest.raises(msgspec.DecodeError, match="classes"):
        Recording.from_json(b'{"Intent": {"classes": "many"}}', [Intent])
