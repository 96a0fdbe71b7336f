"""What ranks have left that were ended, all of them, before they could hand anything over."""

from dataclasses import replace

from stepscope.core.verdict import Report
from stepscope.recordings.folder import RunFolder
from stepscope.recordings.reader import read
from stepscope.summing_up import Terms
from stepscope.watching.reviewing import review


def from_recordings(folder: RunFolder, terms: Terms, told: Report) -> Report:
    """Judge their recordings, as far as they go; `told` is what is known without them."""
    try:
        seen = review(read(folder.path), terms)
    except ValueError:  # they have not come to a step either
        return told
    run = replace(
        seen.run,
        ending=told.run.ending,
        error=told.run.error,
        error_at=told.run.error_at,
        notes=(*told.run.notes, *seen.run.notes),
    )
    return replace(seen, run=run)
