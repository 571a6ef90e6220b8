"""The parts of a step that have more than one way: attention, AdamW, moving average, patch embedding, each alone.

Sizes are those of ViT-S/14 on 128 views; every way is timed forwards and, where it has one, backwards, best of several.
"""

import time
from collections.abc import Callable, Iterator
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kit.kernels.timing import FAULTS, first_line
from kit.model.attention import BACKENDS, attend

RUNS = 10
Way = Callable[[], object]


def best_ms(way: Way, device: torch.device, runs: int = RUNS) -> float:
    """Return the best time of a call, ms, after one to warm up."""
    way()
    best = float("inf")
    for _ in range(runs):
        if device.type == "cuda":
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            way()
            end.record()
            end.synchronize()
            best = min(best, begin.elapsed_time(end))
        else:
            start = time.perf_counter()
            way()
            best = min(best, 1e3 * (time.perf_counter() - start))
    return best


def copy_rate(device: torch.device) -> float:
    """Return what a plain copy in the device's memory moves, bytes a second, reads and writes counted."""
    source, target = (torch.ones(2**30 if device.type == "cuda" else 2**24, dtype=torch.uint8, device=device) for _ in range(2))
    return 2 * source.numel() / best_ms(lambda: target.copy_(source), device) * 1e3


def ops(device: torch.device, dtype: torch.dtype, *, tiny: bool) -> Iterator[tuple[str, Callable[[], tuple[dict, str]]]]:
    """Yield name and measurement of every op; its inputs are made when it is measured."""
    views, depth, side = (2, 2, 28) if tiny else (128, 12, 518)
    tables: dict[str, Callable[[], dict[str, Way]]] = {
        f"attention, {tokens} tokens": partial(attentions, views, tokens, device, dtype)
        for tokens in ((10, 17) if tiny else (257, 1370))
    }
    tables["AdamW"] = partial(optimisers, depth, device)
    tables["moving average"] = partial(averages, depth, device)
    tables["patch embedding"] = partial(embeddings, views, side, device, dtype)
    yield from ((name, partial(_table, name, make, device)) for name, make in tables.items())


def _table(name: str, make: Callable[[], dict[str, Way]], device: torch.device) -> tuple[dict, str]:
    """Time every way of one op; one that cannot run here is named with the reason."""
    found: dict[str, float | str] = {}
    for way, run in make().items():
        try:
            found[way] = best_ms(run, device)
        except FAULTS as error:
            found[way] = first_line(error)
    text = ", ".join(f"{way} {ms:.3g}" if isinstance(ms, float) else f"{way} not to be had ({ms})" for way, ms in found.items())
    return {"name": name, "ms": found}, f"{name}, ms: {text}"


def attentions(views: int, tokens: int, device: torch.device, dtype: torch.dtype) -> dict[str, Way]:
    """Return attention of 6 heads of 64, forwards and backwards, by backend."""
    q, k, v = (torch.randn(views, 6, tokens, 64, device=device, dtype=dtype, requires_grad=True) for _ in range(3))
    slope = torch.randn(views, 6, tokens, 64, device=device, dtype=dtype)

    def run(backend: str) -> None:
        torch.autograd.grad(attend(q, k, v, backend), (q, k, v), slope)

    return {backend: partial(run, backend) for backend in ("auto", *BACKENDS)}


def _parameters(depth: int, device: torch.device) -> list[nn.Parameter]:
    """Return as many parameters as a backbone and a head of 65,536 prototypes have (fewer with a small depth)."""
    dim = 384 if depth == 12 else 16
    shapes = [
        (3 * dim, dim),
        (3 * dim,),
        (dim, dim),
        (dim,),
        (dim,),
        (dim,),
        (8 * dim, dim),
        (dim, 4 * dim),
        (dim,),
        (dim,),
    ] * depth
    shapes += [(65_536 if depth == 12 else 64, 256 if depth == 12 else 8), (2048, 2048) if depth == 12 else (8, 8)]
    parameters = [nn.Parameter(torch.randn(shape, device=device)) for shape in shapes]
    for parameter in parameters:
        parameter.grad = torch.randn_like(parameter)
    return parameters


def optimisers(depth: int, device: torch.device) -> dict[str, Way]:
    """Return AdamW over the parameters of ViT-S and its head, in torch's three forms."""
    forms = {"fused": (None, True), "foreach": (True, None), "one by one": (False, False)}
    return {
        name: torch.optim.AdamW(_parameters(depth, device), lr=1e-6, foreach=foreach, fused=fused).step
        for name, (foreach, fused) in forms.items()
    }


@torch.no_grad()
def _one_by_one(old: list[Tensor], new: list[Tensor]) -> None:
    for one, other in zip(old, new, strict=True):
        one.lerp_(other, 0.006)


def averages(depth: int, device: torch.device) -> dict[str, Way]:
    """Return the teacher's moving average: all parameters at once, or one by one."""
    old, new = ([parameter.detach() for parameter in _parameters(depth, device)] for _ in range(2))
    return {"foreach": lambda: torch._foreach_lerp_(old, new, 0.006), "one by one": lambda: _one_by_one(old, new)}


def embeddings(views: int, side: int, device: torch.device, dtype: torch.dtype) -> dict[str, Way]:
    """Return the linear map of patches of 14 px and 5 channels: a convolution in either layout, or a matrix product."""
    x = torch.randn(views, 5, side, side, device=device, dtype=dtype)
    weight = torch.randn(384, 5, 14, 14, device=device, dtype=dtype, requires_grad=True)
    n = side // 14
    slope = torch.randn(views, 384, n, n, device=device, dtype=dtype)

    def run(make: Callable[[], Tensor]) -> Way:
        return lambda: torch.autograd.grad(make(), weight, slope)

    def product() -> Tensor:
        patches = x.view(views, 5, n, 14, n, 14).permute(0, 2, 4, 1, 3, 5).reshape(views, n * n, -1)
        return (patches @ weight.flatten(1).T).transpose(1, 2).unflatten(2, (n, n))

    last = torch.channels_last
    return {
        "convolution": run(lambda: F.conv2d(x, weight, stride=14)),
        "channels last": run(
            lambda: F.conv2d(x.contiguous(memory_format=last), weight.contiguous(memory_format=last), stride=14)
        ),
        "matrix product": run(product),
    }
