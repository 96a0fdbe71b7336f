"""A tensor of a checkpoint, in one piece or, as several processes saved it, in many."""

from dataclasses import dataclass

from stepscope.checkpoint_files.content import ITEM_BYTES, Opaque, TensorAt, Tree
from stepscope.checkpoint_files.formats.distributed import SHARDS


@dataclass(frozen=True, slots=True)
class Stored:
    """A whole tensor, and where the pieces of it lie."""

    shape: tuple[int, ...]
    pieces: tuple[TensorAt, ...]

    @property
    def dtype(self) -> str:
        """Name of the dtype: "float32"."""
        return self.pieces[0].dtype

    @property
    def nbytes(self) -> int:
        """Bytes of all its elements; of those that are stored, where it is expanded."""
        return sum(
            min(piece.nbytes, piece.elements * ITEM_BYTES[piece.dtype]) for piece in self.pieces
        )

    @property
    def memory(self) -> object:
        """What tensors that are views of the same memory have in common; None for none."""
        piece = self.pieces[0]
        return (piece.storage, piece.start, piece.shape, piece.stride) if piece.nbytes else None


def stored(node: Tree) -> Stored | None:
    """Return the tensor that an entry is, or None."""
    if isinstance(node, TensorAt):
        return Stored(node.shape, (node,))
    if isinstance(node, Opaque) and node.name == SHARDS:
        (shape,) = node.args
        pieces = tuple(each for each in node.entries.values() if isinstance(each, TensorAt))
        assert isinstance(shape, tuple)
        assert pieces
        return Stored(tuple(int(str(each)) for each in shape), pieces)
    return None
