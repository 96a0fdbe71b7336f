"""Folders that Transformers and Accelerate write: weights beside everything a resume needs."""

from pathlib import Path

from stepscope.checkpoint_files.content import Tree, UnreadableCheckpoint
from stepscope.checkpoint_files.formats.files import inside
from stepscope.checkpoint_files.formats.sharded import is_index, read_sharded
from stepscope.checkpoint_files.formats.single_file import Part, read_file

WEIGHTS = (  # the first that is there holds the model
    "model.safetensors.index.json",
    "model.safetensors",
    "pytorch_model.bin.index.json",
    "pytorch_model.bin",
    "diffusion_pytorch_model.safetensors",
    "adapter_model.safetensors",
    "adapter_model.bin",
)
BESIDE = {  # file: its key in the tree
    "optimizer.pt": "optimizer",
    "optimizer.bin": "optimizer",
    "scheduler.pt": "scheduler",
    "scheduler.bin": "scheduler",
    "sampler.bin": "sampler",
    "scaler.pt": "scaler",
    "trainer_state.json": "trainer_state",
    "config.json": "config",
    "adapter_config.json": "adapter_config",
}
RANDOM_STATES = ("rng_state*.pth", "random_states_*.pkl")
SETTINGS = "training_args.bin"  # pickled objects of classes that anyone may have subclassed


def read_folder(path: Path) -> tuple[Part, list[Path]]:
    """Return the tree of the folder: "model", "optimizer", "scheduler", "rng_state", ...

    A file of settings that asks for unknown classes is noted in the metadata and left out.

    Raises:
        UnreadableCheckpoint: there are no weights in it, or a part of it is unreadable.
    """
    names = {entry.name for entry in path.iterdir()}
    parts: dict[str, Part] = {}
    files: list[Path] = []
    weights = next((name for name in WEIGHTS if name in names), None)
    if weights:
        parts["model"], used = read_weights(inside(path, weights))
        files += used
    chosen = {name: key for name, key in BESIDE.items() if name in names}
    for pattern in RANDOM_STATES:
        for found in sorted(path.glob(pattern)):
            chosen[found.name] = found.stem.replace("random_states", "rng_state")
    for name, key in chosen.items():
        files.append(inside(path, name))
        parts[key] = read_file(files[-1])
    if not parts.keys() - {"config", "adapter_config"}:
        raise _without_weights(path, names)
    metadata = dict(parts["model"].metadata) if "model" in parts else {}
    if SETTINGS in names:
        try:
            parts["training_args"] = read_file(inside(path, SETTINGS))
            files.append(path / SETTINGS)
        except UnreadableCheckpoint as problem:
            metadata[SETTINGS] = f"not read: {problem.found}"
    tree: Tree = {key: part.tree for key, part in parts.items()}
    form = parts["model"].format if "model" in parts else "no weights"
    nbytes = sum(part.nbytes for part in parts.values())
    classes = frozenset().union(*[part.classes for part in parts.values()])
    return Part(f"folder, {form}", nbytes, tree, metadata, classes), files


def read_weights(path: Path) -> tuple[Part, list[Path]]:
    """Return what a file holds, or what all files hold that it is the index of."""
    part = read_file(path)
    if part.format != "JSON":
        return part, [path]
    if is_index(part.tree):
        return read_sharded(path, part)
    raise UnreadableCheckpoint(
        path,
        "this is a file of JSON that holds no tensors",
        expected="a file of torch.save or safetensors, or an index of such files",
        advice="give the file with the weights, or the folder",
    )


def _without_weights(path: Path, names: set[str]) -> UnreadableCheckpoint:
    suffixes = (".pt", ".pth", ".ckpt", ".safetensors", ".bin")
    near = sorted(name for name in names if name.endswith(suffixes) or "checkpoint" in name)
    return UnreadableCheckpoint(
        path,
        "this folder is no checkpoint" + ("" if names else ": it is empty"),
        expected="a file with weights, a folder of Transformers or Accelerate, or one of"
        " torch.distributed.checkpoint",
        advice=f"give one of those in it: {', '.join(near[:8])}" if near else "check the path",
    )
