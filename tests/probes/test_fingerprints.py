"""Fingerprints against the bits themselves."""

import numpy as np
import pytest
import torch

from stepscope.probes.fingerprints import fingerprints, largest, readable, samples, spacing

SHAPES = [(), (1,), (3,), (61, 7), (251, 4), (1000, 513)]
DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16, torch.int64, torch.bool]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_one_changed_bit_anywhere_changes_the_number(
    shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    tensor = torch.zeros(shape, dtype=dtype)
    octets = tensor.view(-1).view(torch.uint8)
    (before,) = fingerprints([tensor])
    for place in {0, octets.numel() // 2, octets.numel() - 1}:
        octets[place] ^= 1
        (after,) = fingerprints([tensor])
        octets[place] ^= 1
        assert after != before


def test_equal_bits_give_equal_numbers_wherever_they_lie() -> None:
    tensor = torch.randn(129, 31)
    shifted = torch.empty(129 * 31 + 1)[1:].view(129, 31)  # starts inside a 64-bit word
    shifted.copy_(tensor)
    one, other, third = fingerprints([tensor, shifted, tensor.clone()])
    assert one == other == third


def test_opposite_moves_of_two_classes_do_not_cancel() -> None:
    weight = torch.full((2, 64), 0.7)
    (before,) = fingerprints([weight])
    weight.view(torch.int32)[0] += 5
    weight.view(torch.int32)[1] -= 5
    assert fingerprints([weight]) != [before]


def test_memory_without_gaps_in_another_order_is_read_in_place() -> None:
    weight = torch.randn(8, 4, 3, 3).to(memory_format=torch.channels_last)
    (before,) = fingerprints([weight])
    assert fingerprints([weight.permute(0, 2, 3, 1).contiguous()]) == [before]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("number", [1.0, 0.999, 3.7, 1e-3, 0.0])
def test_spacing_is_that_of_numpy(dtype: type[np.floating], number: float) -> None:
    rounded = dtype(number)
    found = spacing(float(rounded), torch.from_numpy(np.array(rounded)).dtype)
    assert found == float(np.spacing(rounded))


def test_a_sample_is_spread_over_the_tensor() -> None:
    (few, many) = samples([torch.arange(5), torch.arange(10_000)])
    assert few.tolist() == [0, 1, 2, 3, 4]
    assert len(many) <= 1024
    assert many[-1] >= 9_980


def test_the_largest_element_is_found_by_its_magnitude() -> None:
    assert largest([torch.tensor([1.0, -3.0]), torch.tensor([7])]) == [3.0, 0.0]


@pytest.mark.parametrize(
    "tensor",
    [
        torch.empty(3, device="meta"),
        torch.eye(3).to_sparse(),
        torch.nn.parameter.UninitializedParameter(),
    ],
)
def test_a_tensor_without_readable_bits_is_passed_over(tensor: torch.Tensor) -> None:
    assert readable(tensor) is None
