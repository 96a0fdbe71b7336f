"""A checkpoint, whatever its format, as `Content`."""

from pathlib import Path

from stepscope.checkpoint_files.content import Content, UnreadableCheckpoint
from stepscope.checkpoint_files.formats.distributed import INDEX, read_distributed
from stepscope.checkpoint_files.formats.folders import read_folder, read_weights


def read(path: Path) -> Content:
    """Describe a checkpoint file or folder. No tensor value is read, nothing is executed.

    The bytes decide what it is, not the suffix. An index of a sharded checkpoint stands for all
    its parts, a folder for everything in it that a resume would load.

    Raises:
        UnreadableCheckpoint: it is no checkpoint, is damaged, or asks for code to be run.
    """
    try:
        if not path.is_dir():
            part, files = read_weights(path)
        elif (path / INDEX).is_file():
            part, files = read_distributed(path)
        else:
            part, files = read_folder(path)
    except (OSError, ValueError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else None
        raise UnreadableCheckpoint(
            path,
            f"the folder cannot be opened: {reason or problem}",
            expected="a file or a folder that you may read",
            advice="check the path and its permissions",
        ) from problem
    return Content(
        path=path,
        format=part.format,
        nbytes=part.nbytes,
        files=tuple(files),
        tree=part.tree,
        metadata=part.metadata,
        classes=tuple(sorted(part.classes)),
    )
