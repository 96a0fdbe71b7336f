"""Which of a checkpoint's tensors are the model's."""

from stepscope.checkpoint_files.content import Content, Key, TensorAt, Tree

KEYS = ("state_dict", "model", "model_state_dict", "module", "net", "network", "weights", "params")


def model_tensors(content: Content) -> dict[str, TensorAt]:
    """Return the model's tensors by the names that `state_dict()` gives them.

    They are the tensors at the root if there are any, or those below the first of `KEYS`.
    """
    root = content.tree
    if not isinstance(root, dict):
        return {}
    if any(isinstance(value, TensorAt) for value in root.values()):
        return _flat(root)
    chosen: Tree = next((root[key] for key in KEYS if isinstance(root.get(key), dict)), None)
    if isinstance(chosen, dict) and not any(isinstance(v, TensorAt) for v in chosen.values()):
        below = next((chosen[key] for key in KEYS if isinstance(chosen.get(key), dict)), None)
        chosen = below if below is not None else chosen
    return _flat(chosen) if isinstance(chosen, dict) else {}


def _flat(tree: dict[Key, Tree], prefix: str = "") -> dict[str, TensorAt]:
    found: dict[str, TensorAt] = {}
    for key, value in tree.items():
        if not isinstance(key, str):
            continue
        if isinstance(value, TensorAt):
            found[prefix + key] = value
        elif isinstance(value, dict):
            found |= _flat(value, f"{prefix}{key}.")
    return found
