"""Table [train] of a recipe."""

import math
from dataclasses import dataclass
from typing import Annotated

from kit.config.setting import refuse, setting
from kit.ranges import AT_LEAST_1, MOMENTA, POSITIVE, ZERO_OR_MORE, Need, check_ranges, one_of


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """The optimiser, the schedules and the loop: table [train]."""

    epochs: Annotated[float, POSITIVE] = setting(100.0, "length of the schedules, in epochs; both papers, section 4.1")
    max_steps: Annotated[int, ZERO_OR_MORE] = setting(0, "if above 0: length of the schedules in steps, instead of epochs")
    batch: Annotated[int, POSITIVE] = setting(
        128, "samples per step, over all processes and micro-batches; both papers, section 4.1"
    )
    micro_batches: Annotated[int, POSITIVE] = setting(1, "micro-batches per step (gradient accumulation), to save memory")
    lr: Annotated[float, POSITIVE] = setting(
        2e-5, "peak learning rate, not scaled by the batch unless lr_batch is set; both papers, section 4.1"
    )
    lr_batch: Annotated[int, ZERO_OR_MORE] = setting(
        0, "if not 0: lr is that of a batch of this size, and multiplied by sqrt(batch / lr_batch); DINOv2 (1024)"
    )
    lr_end: Annotated[float, ZERO_OR_MORE] = setting(1e-6, "final learning rate; DINOv2")
    warmup_epochs: Annotated[float, ZERO_OR_MORE] = setting(10.0, "epochs of learning-rate warm-up; both papers, section 4.1")
    warmup_steps: Annotated[int, ZERO_OR_MORE] = setting(0, "if above 0: steps of warm-up, instead of warmup_epochs")
    weight_decay: tuple[float, float] = setting((0.04, 0.4), "weight decay, start and end of a cosine schedule; DINOv2")
    betas: tuple[float, float] = setting((0.9, 0.999), "AdamW's two decay rates")
    clip: Annotated[float, POSITIVE] = setting(3.0, "gradient clipping: largest norm of the backbone and of each head; DINOv2")
    layer_decay: Annotated[float, Need("0 < factor <= 1", lambda value: 0 < value <= 1)] = setting(
        1.0, "layer-wise decay: factor on the learning rate from each block to the one below"
    )
    patch_embed_lr: Annotated[float, ZERO_OR_MORE] = setting(0.2, "factor on the learning rate of the patch embedding; DINOv2")
    freeze_last_layer_epochs: Annotated[float, ZERO_OR_MORE] = setting(1.0, "epochs with frozen prototypes; DINOv2")
    ema: Annotated[tuple[float, float], MOMENTA] = setting(
        (0.994, 1.0), "momentum of the teacher, start and end of a cosine schedule; DINOv2; no effect without a teacher"
    )
    precision: Annotated[str, one_of("auto", "fp32", "bf16", "fp16")] = setting(
        "auto", "auto: bf16 on a GPU that has it, fp16 on other GPUs, fp32 on a CPU"
    )
    compile: bool = setting(False, "compile the backbone with torch.compile")
    compile_parts: Annotated[str, one_of("blocks", "networks")] = setting(
        "blocks", "what train.compile compiles; blocks: each block of the backbone; networks: backbone and heads as wholes"
    )
    attention: Annotated[str, one_of("auto", "flash", "cudnn", "efficient", "math")] = setting(
        "auto", "which of torch's attentions; auto: torch chooses (in bf16 on a CPU, kit); not measured on a GPU yet"
    )
    channels_last: bool = setting(False, "patch embedding with the channels of a pixel side by side in memory")
    checkpoint_activations: bool = setting(
        False, "recompute the activations of each block in the backward pass: less memory, more time"
    )
    save_minutes: Annotated[float, ZERO_OR_MORE] = setting(10.0, "minutes between checkpoints; 0: after every step")
    keep: Annotated[int, POSITIVE] = setting(2, "number of checkpoints to keep, besides the best")
    log_steps: Annotated[int, POSITIVE] = setting(10, "steps between lines of metrics.jsonl")
    on_collapse: Annotated[str, one_of("warn", "stop")] = setting("warn", "when the features collapse: warn, or stop")
    bad_steps: Annotated[int, POSITIVE] = setting(5, "consecutive non-finite steps after which the run stops")
    knn_epochs: Annotated[float, ZERO_OR_MORE] = setting(0.0, "epochs between k-NN evaluations of wells across plates; 0: never")
    knn_wells: Annotated[int, AT_LEAST_1] = setting(96, "most wells per plate in that evaluation")
    tensorboard: bool = setting(False, "also write TensorBoard event files; needs cellpaint-kit[tensorboard]")

    @property
    def peak_lr(self) -> float:
        """The learning rate at the end of the warm-up."""
        return self.lr * math.sqrt(self.batch / self.lr_batch) if self.lr_batch else self.lr

    def __post_init__(self) -> None:
        check_ranges(self, "train")
        if self.batch % self.micro_batches:
            raise refuse("train", "batch", self.batch, f"a multiple of {self.micro_batches} micro-batches")
