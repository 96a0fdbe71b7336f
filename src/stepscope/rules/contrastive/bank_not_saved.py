"""A queue, a pointer or a counter changes in training, and checkpoints to resume from lack it.

## What it proves
A checkpoint was saved with trained parameters and the state of an optimizer, so it is meant to
resume from. A buffer or an attribute of the model has another value than at the first step, and is
in none of the files that were written between two steps: neither the tensor itself nor its name.
A warning for queues, memories, prototypes and their pointers; a note for counters.

## Why it matters
After a resume a queue of negatives is full of noise again, a pointer writes at the front of it, and
a warm-up that counts its calls begins anew. The loss jumps, and the run is not the one that was
stopped.

## What to do
Register tensors as buffers (`register_buffer(name, tensor)`, persistent), counters too
(`torch.zeros((), dtype=torch.long)`), and save the `state_dict()` of every module that has some.
Or add the values to the checkpoint under their names.

## Limits
What may be needed is told by its name (queue, bank, memory, pointer, prototype, centre, step,
count, ...), in modules only. Weights that are saved alone are not meant to resume from and are not
judged. A value that is saved under another name, after it was copied, is taken for lacking.

## Sources
- He et al., "Momentum Contrast" (CVPR 2020): `queue` and `queue_ptr` are buffers.
- https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html (`register_buffer`,
  `persistent`)
"""

import re

from stepscope.core import Finding, Findings, Severity, Watch, rule
from stepscope.evidence.course.saves import LeftOutOfSaves

BANK = re.compile(r"queue|bank|memor|ptr|pointer|prototype|cent(er|roid)|cursor|filled")


@rule("CON006", Severity.WARNING)
def bank_not_saved(saves: LeftOutOfSaves) -> Findings:
    said: set[str] = set()
    for step, each in saves.seen:
        files = ", ".join(filter(None, each.paths)) or "what was saved"
        for name, why in zip(each.names, each.why, strict=True):
            if name not in said:
                said.add(name)
                yield Finding(
                    subject=name,
                    message="changes in training, and is not in the checkpoint to resume from",
                    measured=(
                        f"{why}; changed since the first step, and not in {files},"
                        f" written after {step} steps"
                    ),
                    expected="all that changes from step to step, saved together",
                    at=each.at,
                    severity=None if BANK.search(name) else Severity.NOTE,
                )


def fails_when_a_queue_is_not_persistent(_: Watch) -> None:
    _train_and_save(persistent=False, counter="calls")


def fails_when_a_pointer_is_a_plain_number(_: Watch) -> None:
    _train_and_save(persistent=True, counter="queue_ptr")


def fails_as_a_note_when_a_counter_is_a_plain_number(_: Watch) -> None:
    _train_and_save(persistent=True, counter="warmup_steps")


def passes_when_everything_is_in_the_checkpoint(_: Watch) -> None:
    _train_and_save(persistent=True, counter="calls")


def passes_when_the_pointer_is_saved_beside_the_model(_: Watch) -> None:
    _train_and_save(persistent=True, counter="queue_ptr", beside=True)


def skips_when_weights_are_saved_alone(_: Watch) -> None:
    _train_and_save(persistent=False, counter="queue_ptr", resumable=False)


def _train_and_save(
    *, persistent: bool, counter: str, beside: bool = False, resumable: bool = True
) -> None:
    import io

    import torch

    model = torch.nn.Linear(4, 2)
    model.register_buffer("queue", torch.zeros(8, 2), persistent=persistent)
    setattr(model, counter, 0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in range(3):
        optimizer.zero_grad()
        z = model(torch.randn(2, 4))
        model.queue[2 * step : 2 * step + 2] = z.detach()  # type: ignore[operator]
        setattr(model, counter, 2 * step + 2)
        z.square().mean().backward()
        optimizer.step()
    state: dict[str, object] = {"model": model.state_dict()}
    if resumable:
        state["optimizer"] = optimizer.state_dict()
    if beside:
        state[counter] = getattr(model, counter)
    torch.save(state, io.BytesIO())
