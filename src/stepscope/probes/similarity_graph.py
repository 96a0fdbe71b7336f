"""Finds the similarity matrix above logits in the autograd graph: its operands and its scale."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from stepscope.probes.loss_graph import VIEWS, number, saved, skip_views

_PRODUCTS = ("MmBackward0", "BmmBackward0")
_MASKS = (
    "AddBackward0",
    "MaskedFillBackward0",
    "WhereBackward0",
    "ClampBackward0",
    "ClampMaxBackward0",
)
_DEPTH = 12


@dataclass(slots=True)
class Scale:
    """The single numbers met on the way, multiplied; and the last parameter behind them."""

    factor: float = 1.0
    found: bool = False
    source: Tensor | None = None
    exponential: bool = False

    def take(self, node: Any) -> Any:
        """Take the number this product or quotient scales by; return the node of what it scales."""
        divides = node.name() == "DivBackward0"
        edges = [edge for edge, _ in node.next_functions]
        operands = [saved(node, "self"), saved(node, "other")]
        for index in (1,) if divides else (1, 0):
            value = number(operands[index])
            if value is None or (divides and not value):
                continue
            self.factor *= 1 / value if divides else value
            self.found = True
            self._trace(edges[index] if index < len(edges) else None)
            return edges[0 if divides else 1 - index] if len(edges) > 1 or not index else edges[0]
        return None

    def _trace(self, node: Any) -> None:
        for _ in range(_DEPTH):
            if node is None:
                return
            if node.name() == "ExpBackward0":
                self.exponential = True
            if (leaf := getattr(node, "variable", None)) is not None:
                self.source = leaf
                return
            node = next((edge for edge, _ in node.next_functions if edge is not None), None)


@dataclass(slots=True)
class Product:
    """A product of two matrices whose rows are compared, on its way to logits."""

    scale: Scale
    operands: list[Tensor]  # those the graph has kept: (rows, D)
    edges: list[Any]  # their nodes; None where one carries no gradient
    norms_scaled_by: list[float]


def product_above(logits: Tensor) -> Product | None:
    """Return the product that became the logits; None where a parameter is one of its operands."""
    scale = Scale()
    node = logits.grad_fn
    for _ in range(_DEPTH):
        node = skip_views(node)
        if node is None:
            return None
        name = node.name()
        if name in _PRODUCTS:
            return _read(node, scale)
        if name in ("MulBackward0", "DivBackward0"):
            node = scale.take(node)
        elif name in _MASKS:
            node = next((edge for edge, _ in node.next_functions if edge is not None), None)
        else:
            return None
    return None


def _read(node: Any, scale: Scale) -> Product | None:
    edges = [edge for edge, _ in node.next_functions]
    tensors = [saved(node, "self"), saved(node, "mat2")]
    if tensors[1] is not None:
        tensors[1] = tensors[1].transpose(-1, -2)
    operands, factors = [], []
    for edge, tensor in zip(edges, tensors, strict=True):
        source = skip_views(edge)
        if getattr(source, "variable", None) is not None:
            return None  # a layer's weight, not a second set of features
        own = Scale()
        if source is not None and source.name() in ("MulBackward0", "DivBackward0"):
            own.take(source)
            if own.found:
                scale.factor *= own.factor
                scale.found = True
                scale.source = own.source if own.source is not None else scale.source
                scale.exponential |= own.exponential
        if tensor is not None:
            operands.append(tensor.detach().reshape(-1, tensor.shape[-1]))
            factors.append(own.factor if own.found else 1.0)
    return Product(scale, operands, edges, factors)


def row_norms(product: Product, most: int = 4096) -> Tensor | None:
    """Return the shortest and the longest row norm over the operands, left on the device."""
    ends = []
    for operand, factor in zip(product.operands, product.norms_scaled_by, strict=True):
        norms = torch.linalg.vector_norm(operand[:most].float(), dim=-1) / abs(factor)
        if norms.numel():
            ends += list(torch.aminmax(norms))
    if not ends:
        return None
    pair = torch.stack(ends)
    return torch.stack([pair.min(), pair.max()])


def made_by(tensor: Tensor) -> str:
    """Name what made a tensor, past changes of shape and dtype: "softmax", "linear"."""
    node = tensor.grad_fn
    while node is not None and (
        node.name() in VIEWS or node.name() in ("SelectBackward0", "SliceBackward0")
    ):
        node = node.next_functions[0][0]
    if node is None:
        return ""
    name = node.name().removesuffix("0").removesuffix("1").removesuffix("Backward")
    words = "".join("_" + c.lower() if c.isupper() else c for c in name).lstrip("_")
    return {"addmm": "linear", "mm": "linear"}.get(words, words)
