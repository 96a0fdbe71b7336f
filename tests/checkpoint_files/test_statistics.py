"""One pass over a file finds what torch finds in memory."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stepscope.checkpoint_files.content import TensorAt, UnreadableCheckpoint
from stepscope.checkpoint_files.reading import read
from stepscope.checkpoint_files.statistics import (
    BLOCK,
    Statistics,
    fingerprints,
    fingerprints_of,
    measure,
)
from stepscope.probes.fingerprints import fingerprints as of_memory

FLOATS = ("float16", "bfloat16", "float32", "float64", "float8_e4m3fn", "float8_e5m2")
INTEGERS = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "int64")


def tensors_in(path: Path, tensors: dict[str, torch.Tensor]) -> dict[str, TensorAt]:
    torch.save(tensors, path)
    tree = read(path).tree
    assert isinstance(tree, dict)
    return {str(name): place for name, place in tree.items() if isinstance(place, TensorAt)}


def measured(folder: Path, tensor: torch.Tensor) -> Statistics:
    return measure(tensors_in(folder / "x.pth", {"x": tensor}))["x"]


def close(found: float | None, expected: float, scale: float = 0.0) -> bool:
    return found is not None and abs(found - expected) <= 1e-5 * max(abs(expected), scale)


@pytest.mark.parametrize("dtype", FLOATS)
def test_floats_are_as_torch_finds_them(dtype: str, tmp_path: Path) -> None:
    tensor = (torch.randn(1001) * 3 + 1).to(getattr(torch, dtype))
    tensor[::7] = 0
    found, wide = measured(tmp_path, tensor), tensor.double()
    assert (found.smallest, found.largest) == (wide.min().item(), wide.max().item())
    assert close(found.mean, wide.mean().item())
    assert close(found.deviation, wide.std(correction=0).item())
    assert found.zeros == int((wide == 0).sum()) >= 143
    assert (found.elements, found.non_finite, found.is_constant) == (1001, 0, False)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers_are_as_torch_finds_them(dtype: str, tmp_path: Path) -> None:
    kind = getattr(torch, dtype)
    limits = torch.iinfo(kind)
    tensor = torch.randint(max(limits.min, -(2**40)), min(limits.max, 2**40), (501,)).to(kind)
    found, wide = measured(tmp_path, tensor), tensor.to(torch.int64).double()
    assert (found.smallest, found.largest) == (wide.min().item(), wide.max().item())
    assert close(found.mean, wide.mean().item())
    assert close(found.deviation, wide.std(correction=0).item())


def test_flags_and_large_unsigned_integers_are_numbers(tmp_path: Path) -> None:
    flags = measured(tmp_path, torch.tensor([True, False, True, True]))
    assert (flags.zeros, flags.mean, flags.smallest, flags.largest) == (1, 0.75, 0, 1)
    large = measured(tmp_path, torch.tensor([2**63, 2**63], dtype=torch.uint64))
    assert (large.largest, large.is_constant) == (2.0**63, True)


def test_complex_elements_are_their_parts(tmp_path: Path) -> None:
    found = measured(tmp_path, torch.tensor([1 + 2j, -3 + 0j]))
    assert (found.smallest, found.largest, found.mean, found.zeros) == (-3.0, 2.0, 0.0, 1)


def test_non_finite_values_are_counted_and_left_out(tmp_path: Path) -> None:
    inf, nan = float("inf"), float("nan")
    found = measured(tmp_path, torch.tensor([1.0, nan, inf, -inf, 3.0]))
    assert (found.non_finite, found.smallest, found.largest) == (3, 1.0, 3.0)
    assert (found.mean, found.deviation, found.is_constant) == (2.0, 1.0, False)
    nothing = measured(tmp_path, torch.tensor([nan, inf]))
    assert (nothing.non_finite, nothing.smallest, nothing.mean) == (2, None, None)


@pytest.mark.parametrize(
    ("values", "expected"),
    [([2.0, 2.0], True), ([2.0], False), ([2.0, 2.0000002], False), ([float("nan")] * 2, False)],
)
def test_constant_is_two_or_more_equal_ones(
    values: list[float],
    expected: bool,  # noqa: FBT001  # a case
    tmp_path: Path,
) -> None:
    assert measured(tmp_path, torch.tensor(values)).is_constant is expected


@pytest.mark.parametrize(("mean", "spread"), [(1e4, 1e-1), (0, 1e-18), (0, 1e25), (1e-20, 1e-21)])
def test_the_deviation_survives_extreme_values(mean: float, spread: float, tmp_path: Path) -> None:
    tensor = torch.randn(10_000, dtype=torch.float64).mul(spread).add(mean).float()
    found = measured(tmp_path, tensor)
    assert close(found.deviation, tensor.double().std(correction=0).item())
    assert close(found.mean, tensor.double().mean().item(), scale=spread)


def test_several_blocks_are_one_tensor(tmp_path: Path) -> None:
    drifting = torch.linspace(-5, 20, 5 * BLOCK // 8 + 3)  # each block has another mean
    assert drifting.nbytes > 2 * BLOCK
    found, wide = measured(tmp_path, drifting), drifting.double()
    assert close(found.mean, wide.mean().item())
    assert close(found.deviation, wide.std(correction=0).item())
    assert found.fingerprint == of_memory([drifting])[0]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 5000), st.sampled_from([torch.uint8, torch.bfloat16, torch.float64]))
def test_fingerprints_are_those_of_the_tensor_in_memory(
    tmp_path_factory: pytest.TempPathFactory, count: int, dtype: torch.dtype
) -> None:
    tensor = torch.randn(count).mul(100).to(dtype)
    places = tensors_in(tmp_path_factory.mktemp("f") / "x.pth", {"x": tensor})
    expected = of_memory([tensor])[0] if count else 0
    assert fingerprints_of(places) == {"x": expected}
    assert measure(places)["x"].fingerprint == expected


def test_one_changed_bit_changes_the_fingerprint(tmp_path: Path) -> None:
    tensor = torch.randn(100_000)
    before = measured(tmp_path, tensor).fingerprint
    tensor.view(torch.int32)[77_777] ^= 1
    assert measured(tmp_path, tensor).fingerprint != before


def test_a_channels_last_tensor_has_the_fingerprint_of_its_memory(tmp_path: Path) -> None:
    tensor = torch.randn(2, 3, 5, 7).to(memory_format=torch.channels_last)
    assert measured(tmp_path, tensor).fingerprint == of_memory([tensor])[0]


def test_tied_tensors_are_read_once_and_progress_adds_up(tmp_path: Path) -> None:
    weight = torch.randn(1000)
    told: list[int] = []
    places = tensors_in(tmp_path / "x.pth", {"a": weight, "b": weight, "c": torch.ones(3)})
    found = measure(places, told.append)
    assert found["a"] == found["b"]
    assert sum(told) == 4000 + 12


def test_tensors_laid_over_each_other_are_refused(tmp_path: Path) -> None:
    base = torch.zeros(5000)
    views = {str(i): base[i:] for i in range(100)}
    with pytest.raises(UnreadableCheckpoint, match="lie over each other"):
        measure(tensors_in(tmp_path / "x.pth", views))


def test_a_path_gives_the_fingerprints_of_the_model(tmp_path: Path) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    state = model.state_dict()
    torch.save(
        {"epoch": 1, "state_dict": state, "ema": {"0.weight": torch.ones(1)}}, tmp_path / "x"
    )
    expected = dict(zip(state, of_memory(list(state.values())), strict=True))
    assert fingerprints(tmp_path / "x") == expected
    torch.save(state, tmp_path / "bare")
    assert fingerprints(tmp_path / "bare") == expected
