"""Whether torch runs the program for its graph, and not for its values.

`torch.jit.trace`, `torch.export` and the transforms of `torch.func` run the same modules on
stand-ins for tensors. Those cannot be read, and a tracer takes down whatever is done to them.
"""

import torch

_KINDS = torch._C._TorchDispatchModeKey
_tracing_state = torch._C._get_tracing_state  # asked in each step: no name is looked up twice
_peek, _mode = torch._C._functorch.peek_interpreter_stack, torch._C._get_dispatch_mode
_FAKE, _PROXY = _KINDS.FAKE, _KINDS.PROXY


def is_being_traced() -> bool:
    """Tell whether what runs now is a tracing of the program: nothing to look at."""
    return (
        _tracing_state() is not None
        or _peek() is not None
        or _mode(_FAKE) is not None
        or _mode(_PROXY) is not None
        or torch.compiler.is_compiling()
    )
