"""How far gates are open: results of a sigmoid or a softmax that multiply features."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, NamedTuple

from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from stepscope.evidence.course.gates import HIGHEST, LOWEST, GateFound
from stepscope.probes.course.notes import Notes
from stepscope.probes.course.rarely import FIRST, Rarely
from stepscope.probes.course.sampler import Sampler
from stepscope.probes.live_run import LiveRun
from stepscope.probes.loss_graph import VIEWS, below, saved

SUBJECT = "gate"
MOST = 16  # gates in a run
NODES = 20_000  # of a graph; a larger one is not looked at
SMALL = 2000  # nodes, that are gone through in about two milliseconds
NEAREST = 32  # parameters below a feature that are named
HOPS = 8  # from a product up to the function that made the gate
FUNCTIONS = {"SigmoidBackward0": "sigmoid", "SoftmaxBackward0": "softmax"}
ON_THE_WAY = VIEWS | {  # parts of a gate, and the other side of it: 1 - g
    "IndexBackward0", "IndexSelectBackward0", "RsubBackward1", "SelectBackward0", "SliceBackward0",
    "SplitBackward0", "SplitWithSizesBackward0", "SubBackward0", "UnbindBackward0",
}  # fmt: skip
Key = tuple[tuple[int, ...], int]  # ids of the parameters around it, and which of several


class _Product(NamedTuple):
    function: str
    factor: Tensor
    gate: Any  # the node of the function
    feature: Any  # the node of the other operand


class GateSampler(Sampler):
    """Looks into the graphs of sampled steps, and no more where the first ones have no gate.

    Large graphs are looked into more rarely.
    """

    def __init__(self, run: LiveRun, notes: Notes) -> None:
        super().__init__(run, notes)
        self._rarely = Rarely()
        self._numbers: dict[Key, int] = {}
        self._is_over = self._is_small = False
        self._step, self._looks = -1, 0
        # What reads a saved tensor would run the program's own hooks: a recomputation, a load.
        run.patch(saved_tensors_hooks, "__init__", self._around_hooks, is_inert=True)

    def _around_hooks(self, begin: Callable[..., None]) -> Callable[..., None]:
        def observed(*args: Any, **kwargs: Any) -> None:
            self._is_over = True
            begin(*args, **kwargs)

        return observed

    def backward_called(self, roots: tuple[Tensor, ...]) -> None:
        """Look at the first graph of a step, when it is time to."""
        if self._is_over or self._step == self.run.step:
            return
        self._step = self.run.step
        if not (self._rarely.is_due() or self._is_small):
            return
        self._looks += 1
        nodes = list(islice(below(r.grad_fn for r in roots if r.grad_fn is not None), NODES))
        if len(nodes) == NODES:
            self._is_over = True
            return
        self._is_small = len(nodes) < SMALL
        alike: dict[tuple[int, ...], int] = {}
        for product in _products(nodes):
            gate, gated = _leaves(product.gate, 1), _leaves(product.feature, NEAREST)
            if gate and gated:
                around = tuple(map(id, gate + gated))
                alike[around] = alike.get(around, -1) + 1
                self._note(product, (around, alike[around]), gate[0], gated)
        self._is_over = self._looks >= FIRST and not self._numbers

    def _note(self, product: _Product, key: Key, gate: Tensor, gated: list[Tensor]) -> None:
        if key not in self._numbers:
            if len(self._numbers) == MOST:
                return
            self._numbers[key] = len(self._numbers)
            self.notes.happen(
                GateFound(
                    number=self._numbers[key],
                    function=product.function,
                    gate=self.run.names.tensor(gate),
                    gated=tuple(map(self.run.names.tensor, gated)),
                )
            )
        number = self._numbers[key]
        lowest, highest = product.factor.detach().aminmax()
        self.notes.number(SUBJECT, f"{number} {LOWEST}", lowest)
        self.notes.number(SUBJECT, f"{number} {HIGHEST}", highest)


def _products(nodes: list[Any]) -> Iterator[_Product]:
    for node in nodes:
        if node.name() != "MulBackward0":
            continue
        (mine, _), (others, _) = node.next_functions
        for gate, feature, name in ((mine, others, "self"), (others, mine, "other")):
            made_by = _function_above(gate)
            if made_by is None or feature is None:
                continue
            factor = saved(node, name)
            is_own = made_by.next_functions[0][0] is feature  # x * sigmoid(x), an activation
            if factor is not None and factor.numel() and not is_own:
                yield _Product(FUNCTIONS[made_by.name()], factor, made_by, feature)


def _leaves(node: Any, most: int) -> list[Tensor]:
    """Return the nearest parameters that a value was computed with."""
    found = (getattr(each, "variable", None) for each in below([node]))
    return list(islice((leaf for leaf in found if leaf is not None), most))


def _function_above(node: Any) -> Any:
    """Go up from a factor to the sigmoid or softmax that it is a part of; None for any other."""
    for _hop in range(HOPS):
        if node is None or node.name() in FUNCTIONS:
            return node
        if node.name() not in ON_THE_WAY:
            return None
        above = [each for each, _ in node.next_functions if each is not None]
        if len(above) != 1:  # a difference of two values is no gate
            return None
        node = above[0]
    return None
