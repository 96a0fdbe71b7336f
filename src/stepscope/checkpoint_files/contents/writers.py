"""Which program wrote a checkpoint, by the marks that each one leaves."""

from stepscope.checkpoint_files.content import Content, Opaque, Tree


def writer(content: Content) -> str:  # noqa: PLR0911 - one line a writer
    """Return the name of the writer, with its version where the file has it."""
    tree = content.tree
    keys: set[str] = {str(key) for key in tree} if isinstance(tree, dict) else set()
    if "pytorch-lightning_version" in keys:
        return f"Lightning {_text(tree, 'pytorch-lightning_version')}"
    meta = tree.get("meta") if isinstance(tree, dict) else None
    if isinstance(meta, dict) and "mmengine_version" in meta:
        return f"MMEngine {_text(meta, 'mmengine_version')}"
    if isinstance(meta, dict) and "pytorch-lightning_version" in meta:
        return f"Lightning {_text(meta, 'pytorch-lightning_version')}, sharded"
    if isinstance(meta, dict) and ("mmcv_version" in meta or "mmdet_version" in meta):
        return "MMCV"
    if "trainer_state" in keys or "training_args" in keys:
        return "Transformers Trainer"
    if content.format.startswith("folder"):
        random = any(key.startswith("rng_state_") for key in keys)
        return "Accelerate" if random or "optimizer" in keys else "Transformers"
    if content.format == "DCP":
        return "torch.distributed.checkpoint"
    if "safetensors" in content.format:
        form = content.metadata.get("format", "")
        return f"safetensors, from {_frameworks(form)}" if form else "safetensors"
    return "torch.save"


def _text(tree: Tree, key: str) -> str:
    value = tree.get(key) if isinstance(tree, dict) else ""
    if isinstance(value, Opaque):  # Lightning writes a subclass of str
        value = value.args[0] if value.args else ""
    return value if isinstance(value, str) else ""


def _frameworks(form: str) -> str:
    return {"pt": "PyTorch", "tf": "TensorFlow", "flax": "Flax", "np": "NumPy"}.get(form, form)
