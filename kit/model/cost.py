"""What a step costs: floating-point operations and bytes, counted from the configuration.

FLOP = 2 x multiply-add. GB = 10**9 bytes. B samples of a process, N tokens, D embedding, R masked patches, K prototypes.
"""

import functools
from dataclasses import dataclass, replace
from itertools import pairwise

import torch

from kit.config import LossConfig, ModelConfig, RunConfig
from kit.model.arrangement import arrange
from kit.model.attention import MOST_TOKENS
from kit.model.blocks import Block
from kit.model.mae import decoder_config, visible_count
from kit.model.seeded import seeded_trained
from kit.model.stem import stem_flops

LOGITS_ALIVE = 3  # [chunk, K] tensors in float32 at the worst moment of the loss


def tokens_of(model: ModelConfig, side: int) -> int:
    """Return the tokens of a square view: patches, class, registers."""
    return (side // model.patch) ** 2 + 1 + model.registers


def forward_flops(model: ModelConfig, channels: int, side: int) -> float:
    """Return the FLOP of one view of so many channels forwards through the backbone; a bag takes them one by one."""
    if model.bag:
        return channels * forward_flops(replace(model, bag=False), 1, side)
    mixer = model.mixer_blocks * block_flops(model, channels * (side // model.patch) ** 2) if model.stem == "mixer" else 0
    return model.depth * block_flops(model, tokens_of(model, side)) + mixer + stem_flops(model, channels, side)


def block_flops(model: ModelConfig, n: int) -> float:
    """Return the FLOP of `n` tokens forwards through one block."""
    dim, hidden = model.dim, int(model.dim * model.ffn_ratio)
    if model.ffn == "swiglu":
        ffn = 3 * dim * ((int(hidden * 2 / 3) + 7) // 8 * 8)
    else:
        ffn = 2 * dim * hidden
    return 2 * n * (4 * dim * dim + ffn) + 4 * n * n * dim


@dataclass(frozen=True)
class Work:
    """FLOP of one step of the whole global batch."""

    backbone: float
    losses: float  # heads and prototypes

    @property
    def total(self) -> float:
        return self.backbone + self.losses


def step_flops(config: RunConfig, channels: int) -> Work:
    """Return the FLOP of a step; backwards counts as two forwards, recomputation as one more."""
    if config.loss.objective != "dino":
        return _teacherless_flops(config, channels)
    table, loss, B = arrange(config.loss, config.crops.local_crops), config.loss, config.train.batch
    large = forward_flops(config.model, channels, config.crops.global_side)
    small = forward_flops(config.model, channels, config.crops.local_side)
    again = config.train.checkpoint_activations + (config.train.micro_batches > 1)
    student = B * (len(table.student) * large + config.crops.local_crops * small)
    backbone = student * (3 + again) + B * len(table.teacher) * large
    widths = [config.model.dim, *[loss.head_hidden] * (loss.head_layers - 1), loss.head_bottleneck]
    head = 2 * sum(a * b for a, b in pairwise(widths))
    logits = 2 * loss.head_bottleneck * loss.prototypes
    masked, B = masked_rows(config), B * config.samples
    comparisons = B * (len(table.dino) + len(table.local))
    teacher_rows = B * len(table.teacher)
    passes = loss.sinkhorn_steps if loss.targets == "sinkhorn" else 0  # each recomputes the teacher's logits
    losses = (masked + B * (len(table.student) + config.crops.local_crops)) * 3 * head + (masked + teacher_rows) * head
    losses += (masked + teacher_rows) * passes * logits + (masked + comparisons) * 4 * logits
    losses += B * len(table.student) * 4 * logits * (loss.kl_weight > 0)
    return Work(backbone, losses)


def _teacherless_flops(config: RunConfig, channels: int) -> Work:
    model, loss, side = config.model, config.loss, config.crops.global_side
    again, B = int(config.train.checkpoint_activations), config.train.batch
    if loss.objective == "simclr":
        again += config.train.micro_batches > 1
        widths, rows = [model.dim, *[loss.head_hidden] * (loss.head_layers - 1), loss.head_bottleneck], 2 * B * config.samples
        projection, pairs = 2 * sum(a * b for a, b in pairwise(widths)), 2 * rows**2 * loss.head_bottleneck
        return Work(2 * B * forward_flops(model, channels, side) * (3 + again), 3 * (rows * projection + pairs))
    patches, decoder, n = (side // model.patch) ** 2, decoder_config(model, loss), visible_tokens(config)
    B, channels = B * config.samples, 1 if model.bag else channels
    seen = model.depth * block_flops(model, n) + stem_flops(model, channels, side)
    ends = 2 * decoder.dim * (n * model.dim + patches * channels * model.patch**2)
    return Work(B * seen * (3 + again), 3 * B * (decoder.depth * block_flops(decoder, patches + 1) + ends))


def visible_tokens(config: RunConfig) -> int:
    """Return the tokens of a global view that the student's blocks see: of MAE those of the visible patches."""
    tokens = tokens_of(config.model, config.crops.global_side)
    if config.loss.objective != "mae":
        return tokens
    patches = (config.crops.global_side // config.model.patch) ** 2
    return tokens - patches + visible_count(patches, config.loss.mae_mask)


def masked_rows(config: RunConfig) -> float:
    """Return the expected number of masked patches of a step."""
    table = arrange(config.loss, config.crops.local_crops)
    patches = (config.crops.global_side // config.model.patch) ** 2
    views = len(table.ibot) * config.train.batch * config.samples
    return views * config.loss.mask_share * sum(config.loss.mask_ratio) / 2 * patches


@functools.cache  # by every value of the backbone: the ways to fit into memory ask for the same block again
def saved_bytes(model: ModelConfig, half: bool) -> float:
    """Return the bytes per token that one block keeps for the backward pass: measured on a small block."""
    counts = []
    with torch.random.fork_rng(devices=[]):
        block = Block(model)
    for n in (MOST_TOKENS + 64, MOST_TOKENS + 128):  # where a CPU, too, attends as a GPU does
        kept: dict[int, int] = {}

        def keep(tensor: torch.Tensor, kept: dict[int, int] = kept) -> torch.Tensor:
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        x = torch.zeros(1, n, model.dim, requires_grad=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=half), torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
            alive = block(x)
        counts.append(sum(kept.values()))
        del alive
    return (counts[1] - counts[0]) / 64


@functools.cache
def parameter_count(model: ModelConfig, loss: LossConfig, channels: int) -> int:
    """Return the parameters of a backbone with its heads."""
    with torch.device("meta"):
        network = seeded_trained(model, loss, 1 if model.bag else channels, 0)
    return sum(parameter.numel() for parameter in network.parameters())


@dataclass(frozen=True)
class Memory:
    """Bytes of one process at the peak of a step."""

    weights: float
    activations: float
    losses: float
    views: float

    @property
    def total(self) -> float:
        return self.weights + self.activations + self.losses + self.views

    def text(self) -> str:
        parts = ("activations", "weights", "losses", "views")
        return f"{self.total / 1e9:.1f} GB (" + ", ".join(f"{name} {getattr(self, name) / 1e9:.1f}" for name in parts) + ")"


def front_bytes(config: RunConfig, channels: int, half: bool) -> float:
    """Return the bytes that CellRep's front keeps of one sample's views for the backward pass; 0 for other stems."""
    model, crops, table = config.model, config.crops, arrange(config.loss, config.crops.local_crops)
    if model.stem != "mixer":
        return 0.0
    kept, stream, total = saved_bytes(model, half), 4 * model.dim, 0.0
    for views, side in ((len(table.student), crops.global_side), (crops.local_crops, crops.local_side)):
        tokens = channels * (side // model.patch) ** 2
        again = config.train.checkpoint_activations
        mixer = tokens * (model.mixer_blocks * stream + kept if again else model.mixer_blocks * kept)
        encoder = channels * model.channel_filters * side**2 * (2 if half else 4)
        total += views * (mixer + tokens * 2 * stream + encoder)
    return total


def step_memory(config: RunConfig, channels: int, *, world: int = 1, half: bool = True) -> Memory:
    """Return the memory that a step takes on each of `world` processes; without the allocator's overhead.

    Args:
        half: mixed precision (bf16 or fp16).
    """
    table, loss = arrange(config.loss, config.crops.local_crops), config.loss
    B = config.train.batch / world
    micro = B / config.train.micro_batches
    model, crops = config.model, config.crops
    per_parameter = 20 + 2 * half  # bytes: student, teacher, gradient, two moments; copies in half precision
    weights = parameter_count(model, loss, channels) * per_parameter
    tokens = micro * len(table.student) * visible_tokens(config)
    tokens += micro * crops.local_crops * tokens_of(model, crops.local_side)
    tokens *= config.samples
    kept = saved_bytes(model, half) * (1 - model.drop_path)
    stream = 4 * model.dim  # the residual stream, always float32
    if config.train.checkpoint_activations:
        activations = tokens * (model.depth * stream + kept)
    else:
        activations = tokens * model.depth * (kept + stream * (model.drop_path > 0))
    activations += micro * front_bytes(config, channels, half)
    rows = masked_rows(config) / world
    widths = model.dim + loss.head_hidden * (loss.head_layers - 1) * 2 + 2 * loss.head_bottleneck
    compared = B * config.samples * (len(table.dino) + len(table.local))
    chunk = min(loss.chunk_rows or max(rows, compared), max(rows, compared, 1))
    whole = [4 * loss.prototypes * count for count in (rows, B * config.samples * len(table.teacher))]
    most = loss.keep_logits_mb * 1e6
    kept = sum(size for size in whole if size <= most) if loss.targets == "sinkhorn" else 0
    alive = LOGITS_ALIVE - (loss.targets == "sinkhorn" and whole[0] <= most)  # kept targets are not made again
    losses = alive * 4 * chunk * loss.prototypes + rows * (widths * (2 if half else 4) + 4 * model.dim * 2)
    losses += kept + 3 * 4 * loss.prototypes * loss.head_bottleneck  # prototypes of both networks and their gradient
    if loss.objective != "dino":
        losses = _teacherless_memory(config, channels, B, micro, half=half)
    pixels = channels * (B * len(table.views) * crops.global_side**2 + B * crops.local_crops * crops.local_side**2)
    stacked = channels * micro * len(table.student) * crops.global_side**2
    return Memory(weights, activations, losses, 4 * (pixels + stacked))


def _teacherless_memory(config: RunConfig, channels: int, B: float, micro: float, *, half: bool) -> float:
    """Return the bytes of the losses: the similarities of all views, or the decoder's activations and the pixels it paints."""
    loss, model = config.loss, config.model
    if loss.objective == "simclr":
        widths = 2 * loss.head_hidden * (loss.head_layers - 1) + 2 * loss.head_bottleneck
        return 3 * 4 * (2 * config.train.batch * config.samples) ** 2 + 2 * B * config.samples * 4 * widths
    decoder, patches = decoder_config(model, loss), (config.crops.global_side // model.patch) ** 2
    painted = 3 * 4 * patches * (1 if model.bag else channels) * model.patch**2  # painted, wanted, gradient
    return micro * config.samples * ((patches + 1) * decoder.depth * saved_bytes(decoder, half) + painted)


def ways_to_fit(config: RunConfig, channels: int, limit: float, *, world: int = 1, half: bool = True) -> list[tuple[str, Memory]]:
    """Return settings that bring a step below `limit` bytes per process, the cheapest in time first, with what they take."""
    ways = []
    train, already = config.train, config.train.checkpoint_activations
    tries = [] if already else [("train.checkpoint_activations=true", replace(train, checkpoint_activations=True))]
    parts = 2 * train.micro_batches
    while train.batch % (parts * world) == 0:
        split = replace(train, micro_batches=parts)
        tries.append((text := f"train.micro_batches={parts}", split))
        tries += [] if already else [(f"{text} train.checkpoint_activations=true", replace(split, checkpoint_activations=True))]
        parts *= 2
    for text, changed in tries:
        memory = step_memory(replace(config, train=changed), channels, world=world, half=half)
        if memory.total < limit:
            ways.append((text, memory))
    if not ways and config.loss.chunk_rows > 128:
        smaller = replace(config, loss=replace(config.loss, chunk_rows=128))
        ways = [(f"loss.chunk_rows=128 {text}", memory)
                for text, memory in ways_to_fit(smaller, channels, limit, world=world, half=half)]  # fmt: skip
    return ways[:2]
