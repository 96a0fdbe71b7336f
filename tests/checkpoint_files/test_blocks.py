"""What `blocks` yields is what torch loads, bit by bit."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stepscope.checkpoint_files.blocks import blocks, loaded
from stepscope.checkpoint_files.content import ITEM_BYTES, TensorAt, UnreadableCheckpoint
from stepscope.checkpoint_files.reading import read


def saved(folder: Path, tensor: torch.Tensor) -> TensorAt:
    torch.save({"x": tensor}, folder / "x.pth")
    tree = read(folder / "x.pth").tree
    assert isinstance(tree, dict)
    place = tree["x"]
    assert isinstance(place, TensorAt)
    return place


def joined(place: TensorAt, size: int) -> torch.Tensor:
    rows = []
    for row in blocks(place, size):
        assert row.dim() == 1
        assert row.is_contiguous()
        rows.append(row.clone())
    assert all(row.nbytes <= size for row in rows)
    return torch.cat(rows)


def octets(tensor: torch.Tensor) -> list[int]:
    return tensor.contiguous().view(-1).view(torch.uint8).tolist()


@pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental")
@pytest.mark.parametrize("dtype", sorted(ITEM_BYTES))
def test_every_dtype_comes_bit_by_bit(dtype: str, tmp_path: Path) -> None:
    width = ITEM_BYTES[dtype]
    random = torch.randint(0, 2 if dtype == "bool" else 256, (37 * width,), dtype=torch.uint8)
    tensor = random.view(getattr(torch, dtype))
    place = saved(tmp_path, tensor)
    assert (place.dtype, place.shape, place.nbytes) == (dtype, (37,), 37 * width)
    assert octets(joined(place, 64)) == random.tolist()
    assert octets(loaded(place)) == random.tolist()


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_view_comes_in_the_order_of_memory(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    shape = data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
    base = torch.arange(int(torch.tensor(shape).prod()), dtype=torch.int32).view(shape)
    view = base.permute(data.draw(st.permutations(range(len(shape)))))
    for dim, length in enumerate(view.shape):
        first = data.draw(st.integers(0, length - 1))
        step = data.draw(st.integers(1, 3))
        view = view[(slice(None),) * dim + (slice(first, None, step),)]
    place = saved(tmp_path_factory.mktemp("view"), view)
    size = data.draw(st.integers(16, 64))
    assert joined(place, size).tolist() == sorted(view.flatten().tolist())
    assert torch.equal(loaded(place), view)


def test_an_expanded_tensor_comes_as_it_is_stored(tmp_path: Path) -> None:
    place = saved(tmp_path, torch.tensor([[1.0], [2.0]]).expand(2, 10**6))
    assert place.nbytes == 8
    assert joined(place, 64).tolist() == [1.0, 2.0]
    with pytest.raises(ValueError, match=r"shape \(2, 1000000\)"):
        loaded(place)


def test_overlapping_windows_come_once(tmp_path: Path) -> None:
    place = saved(tmp_path, torch.arange(6.0).unfold(0, 3, 1))
    assert place.elements == 12
    assert joined(place, 16).tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]


@pytest.mark.parametrize("shape", [(0,), (3, 0, 2), ()])
def test_nothing_and_one_element_are_tensors(shape: tuple[int, ...], tmp_path: Path) -> None:
    place = saved(tmp_path, torch.ones(shape))
    assert [row.tolist() for row in blocks(place)] == ([[1.0]] if shape == () else [])
    assert torch.equal(loaded(place), torch.ones(shape))


def test_a_file_cut_short_meanwhile_is_said_so(tmp_path: Path) -> None:
    place = saved(tmp_path, torch.ones(1000))
    with place.file.open("r+b") as file:
        file.truncate(place.start + 100)
    with pytest.raises(UnreadableCheckpoint, match="shorter than when it was looked into"):
        list(blocks(place))
