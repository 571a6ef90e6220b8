"""The views' share of a training step: ViT-S/14 on two views of 128 crops, 5 x 518 x 518, on a GPU.

The step is the network alone in plain PyTorch and bfloat16: the teacher forwards, the student forwards and backwards, view by
view. Heads, losses and the optimiser would only add to it, so the share printed is an upper bound.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from kit.kernels.bench_view import Job
from kit.kernels.timing import Contestant, Task

BATCH, CHANNELS, SIDE, PATCH = 128, 5, 518, 14
DIM, DEPTH, HEADS = 384, 12, 6  # ViT-S
VIEWS = 2
MEMORY = 60e9  # bytes, for what one view of the batch keeps for its way back: 12 blocks x 128 x 1370 tokens


class PlainVit(nn.Module):
    """Patches, a class token, positions and blocks."""

    def __init__(self, channels: int, side: int, *, dim: int = DIM, depth: int = DEPTH, heads: int = HEADS):
        super().__init__()
        self.patches = nn.Conv2d(channels, dim, PATCH, PATCH)
        self.cls_D = nn.Parameter(torch.zeros(dim))
        self.positions_ND = nn.Parameter(torch.zeros((side // PATCH) ** 2 + 1, dim))
        self.blocks = nn.Sequential(*(self._block(dim, heads) for _ in range(depth)))

    @staticmethod
    def _block(dim: int, heads: int) -> nn.Module:
        return nn.TransformerEncoderLayer(dim, heads, 4 * dim, dropout=0.0, activation="gelu", batch_first=True, norm_first=True)

    def forward(self, x_BCPP: Tensor) -> Tensor:
        patch_BND = self.patches(x_BCPP).flatten(2).transpose(1, 2)
        cls_B1D = self.cls_D.expand(len(x_BCPP), 1, -1)
        return self.blocks(torch.cat([cls_B1D, patch_BND], 1) + self.positions_ND)


def network_step(x_BCPP: Tensor, **sizes: int) -> Callable[[], None]:
    """Return a step of teacher and student that takes the same views each time."""
    student, teacher = (PlainVit(x_BCPP.shape[1], x_BCPP.shape[2], **sizes).to(x_BCPP.device) for _ in range(2))

    def step() -> None:
        student.zero_grad(set_to_none=True)
        for _ in range(VIEWS):
            with torch.autocast(x_BCPP.device.type, torch.bfloat16):
                with torch.no_grad():
                    target = teacher(x_BCPP)[:, 0]
                loss = (student(x_BCPP)[:, 0] - target).float().square().mean()
            loss.backward()

    return step


def tasks(device: str) -> list[Task]:
    """Return the one table; on a machine without a GPU it says that nothing was measured."""
    reason = _missing()
    if device == "cpu" and not reason:
        return []  # it comes with the GPU's tables
    names = f"kit, {VIEWS} views", "the network's step on them"
    pixels = VIEWS * BATCH * CHANNELS * SIDE**2
    if reason:
        rows = tuple(Contestant(name, skip=reason) for name in names)
    else:
        job = Job(BATCH, CHANNELS, SIDE, device)
        step = network_step(job.ours(torch.bfloat16))
        rows = (Contestant(names[0], lambda: [job.ours(torch.bfloat16) for _ in range(VIEWS)]), Contestant(names[1], step))
    title = f"{BATCH}x{CHANNELS}x{SIDE}x{SIDE} views in a ViT-S/14 step"
    return [Task(title, device, pixels, 3 * pixels, rows, part_of=names[1])]


def _missing() -> str:
    if not torch.cuda.is_available():
        return "no GPU"
    most = torch.cuda.get_device_properties(0).total_memory
    return "" if most >= MEMORY else f"the GPU has {most / 1e9:.0f} GB, the step needs {MEMORY / 1e9:.0f}"
