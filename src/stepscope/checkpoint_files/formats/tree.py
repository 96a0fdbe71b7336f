"""Proof that what was read can be walked: no circles, bounded depth, bounded repetition."""

from stepscope.checkpoint_files.content import Opaque, TensorAt
from stepscope.checkpoint_files.formats.tensors import Malformed

DEPTH = 100  # containers within containers; configurations nest some ten deep
INTEGER_BITS = 8192  # beyond random states; text of longer ones is refused by Python itself
KEY_PARTS = 16  # of a tuple that is a key
UNFOLDED = 1_000_000  # visits that any file may cost, however small
PER_BYTE = 100  # visits that each byte of a pickle may add


def check_tree(root: object, nbytes: int) -> None:
    """Accept what a plain recursive walk finishes, in time in proportion to the file.

    A container that is referred to twice is walked twice: a few lines of a pickle can refer to
    the same list 2^60 times. Hence sizes are added up once a container, from the leaves.

    Raises:
        Malformed: a container contains itself, or the limits are exceeded.
    """
    limit = UNFOLDED + PER_BYTE * nbytes
    done: dict[int, tuple[int, int]] = {}  # what is below each container: visits, depth
    open_now: set[int] = set()
    stack: list[tuple[object, bool]] = [(root, False)]
    while stack:
        node, is_left = stack.pop()
        if id(node) in done or not _is_container(node):
            continue
        below = _below(node)
        if not is_left:
            if id(node) in open_now:
                raise Malformed("a container contains itself")
            if len(open_now) > DEPTH:
                raise Malformed(f"containers nest more than {DEPTH} deep")
            open_now.add(id(node))
            stack.append((node, True))
            stack += [(child, False) for child in below if _is_container(child)]
            continue
        open_now.remove(id(node))
        visits, depth = 1, 0
        for child in below:
            more, deeper = done.get(id(child), (_weight(child), 0))
            visits += more
            depth = max(depth, deeper)
        done[id(node)] = visits, depth + 1
        if visits > limit:
            raise Malformed(f"its containers refer to each other more than {limit} times")
        if depth >= DEPTH:
            raise Malformed(f"containers nest more than {DEPTH} deep")
    _weight(root)


def checked_key(key: object) -> object:
    """Return a key whose hash is cheap. That of nested tuples recurses in C, without a limit.

    Raises:
        Malformed: it is no text, number, tensor, or short tuple of them.
    """
    parts = key if isinstance(key, tuple) else (key,)
    if len(parts) > KEY_PARTS or not all(isinstance(part, _HASHABLE) for part in parts):
        raise Malformed("a dictionary has a key that is no text, number or short tuple of them")
    return key


def _is_container(node: object) -> bool:
    return isinstance(node, _CONTAINERS)


def _below(node: object) -> list[object]:
    if type(node) is dict:
        return [*node, *node.values()]
    if isinstance(node, Opaque):
        return [node.args, node.state, node.items, node.entries]
    assert isinstance(node, list | tuple)
    return list(node)


def _weight(leaf: object) -> int:
    if isinstance(leaf, str | bytes):
        return 1 + len(leaf) // 16
    if isinstance(leaf, int) and leaf.bit_length() > INTEGER_BITS:
        raise Malformed(f"an integer has more than {INTEGER_BITS} bits")
    if not (leaf is None or isinstance(leaf, (*_CONTAINERS, int, float, complex, TensorAt))):
        raise Malformed(f"{type(leaf).__name__.lower()} stands where a value should")
    return 1


_HASHABLE = str | int | float | complex | bytes | None | TensorAt | Opaque
_CONTAINERS = (dict, list, tuple, Opaque)
