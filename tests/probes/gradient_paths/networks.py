"""A small network with many ways to join its parts: some cut a gradient, some only look so."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from stepscope.core import Recording
from stepscope.evidence.gradient_paths import Cut, GradientPaths
from stepscope.session import record_example

STEPS = 3


class Squared(torch.autograd.Function):
    @staticmethod
    def forward(ctx, a, b):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN205
        ctx.save_for_backward(a)
        return a * a * b

    @staticmethod
    def backward(ctx, g):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN205
        (a,) = ctx.saved_tensors
        return 2 * a * g, None


class Net(nn.Module):
    """A backbone, a side branch and a head, joined by one of many forwards."""

    def __init__(self, forward: Callable[["Net", Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.join = forward
        self.backbone = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.Linear(16, 16))
        self.branch = nn.Linear(8, 16)
        self.head = nn.Linear(16, 4)
        self.register_buffer("queue", torch.randn(16, 16))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.join(self, self.backbone(x), x))


def scores(f: Tensor) -> Tensor:
    return torch.softmax(f @ f.t() / 4, -1)


def no_grad(net: Net, f: Tensor, x: Tensor) -> Tensor:
    with torch.no_grad():
        a = scores(f)
    return a @ net.branch(x)


def no_grad_partly(net: Net, f: Tensor, x: Tensor) -> Tensor:
    with torch.no_grad():
        a = scores(f)
    return a @ f + net.branch(x)


def in_place(net: Net, f: Tensor, x: Tensor) -> Tensor:
    a = torch.zeros(len(x), len(x))
    with torch.no_grad():
        computed = scores(f)
        for i in range(len(x)):
            a[i] = computed[i]
    return a @ net.branch(x)


def into_a_view(net: Net, f: Tensor, x: Tensor) -> Tensor:
    a = torch.zeros(2, len(x), len(x))
    row = a[0]
    with torch.no_grad():
        row.copy_(scores(f))
    return a.sum(0) @ net.branch(x)


def out_argument(net: Net, f: Tensor, x: Tensor) -> Tensor:
    a = torch.empty(len(x), len(x))
    with torch.no_grad():
        torch.mm(f, f.t(), out=a)
    return a @ net.branch(x)


@torch.no_grad()
def decorated_scores(f: Tensor) -> Tensor:
    return scores(f)


def decorated(net: Net, f: Tensor, x: Tensor) -> Tensor:
    return decorated_scores(f) @ net.branch(x)


def switched_off(net: Net, f: Tensor, x: Tensor) -> Tensor:
    torch.set_grad_enabled(False)
    a = scores(f)
    torch.set_grad_enabled(True)
    return a @ net.branch(x)


def inference(net: Net, f: Tensor, x: Tensor) -> Tensor:
    with torch.inference_mode():
        a = scores(f)
    return a.clone() @ net.branch(x)


def data(net: Net, f: Tensor, x: Tensor) -> Tensor:
    return scores(f.data) @ net.branch(x)


def detached(net: Net, f: Tensor, x: Tensor) -> Tensor:
    return scores(f.detach()) @ net.branch(x)


def through_numpy(net: Net, f: Tensor, x: Tensor) -> Tensor:
    return torch.from_numpy(scores(f).detach().numpy()) @ net.branch(x)


def item(net: Net, f: Tensor, x: Tensor) -> Tensor:
    return net.branch(x) * f.mean().item()


def plain(net: Net, f: Tensor, x: Tensor) -> Tensor:
    return f + net.branch(x)


def straight_through(net: Net, f: Tensor, x: Tensor) -> Tensor:
    return f + (torch.round(f) - f).detach() + net.branch(x)


def reentrant(net: Net, f: Tensor, x: Tensor) -> Tensor:
    return f + checkpoint(net.branch, f[:, :8] + x, use_reentrant=True)


def not_reentrant(net: Net, f: Tensor, x: Tensor) -> Tensor:
    return f + checkpoint(net.branch, x, use_reentrant=False)


def custom_function(net: Net, f: Tensor, x: Tensor) -> Tensor:
    return Squared.apply(f, torch.ones(())) + net.branch(x)


def queue(net: Net, f: Tensor, x: Tensor) -> Tensor:
    with torch.no_grad():
        net.queue[:4] = f[:4]
    return f @ net.queue.clone().detach() + net.branch(x)


Program = Callable[[object], None]


def program(
    forward: Callable[[Net, Tensor, Tensor], Tensor] = plain,
    loss_of: Callable[[Net, Net, Tensor, Tensor, Tensor], Tensor] | None = None,
    after: Callable[[Net, Net], None] | None = None,
) -> Program:
    def run(_: object) -> None:
        net = Net(forward)
        teacher = copy.deepcopy(net)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
        for _step in range(STEPS):
            x, y = torch.randn(8, 8), torch.randint(0, 4, (8,))
            out = net(x)
            loss = functional.cross_entropy(out, y)
            if loss_of is not None:
                loss = loss_of(net, teacher, x, out, loss)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if after is not None:
                after(net, teacher)

    return run


def observe(run: Program) -> tuple[GradientPaths, Recording]:
    recording = record_example(run)
    found = recording.get(GradientPaths)
    assert found is not None
    return found, recording


def only_cut(run: Program) -> Cut:
    paths, _ = observe(run)
    (cut,) = paths.cuts
    return cut


BACKBONE = 6  # parameters
