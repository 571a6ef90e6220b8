"""Every value of a run: one frozen dataclass per stage. recipe.py reads them from TOML and stores them with the run.

A default is the paper's value where it states one, otherwise ours; the recipes say which.
Sources: 000 and 001 are the two versions of SSLProfiler, `DINOv2` is arXiv:2304.07193.
"""

from dataclasses import dataclass, field
from typing import Annotated

from kit.errors import UsageError
from kit.ranges import (
    AREAS,
    ASPECTS,
    AT_LEAST_1,
    MOMENTA,
    MOMENTUM,
    PIXELS,
    POSITIVE,
    POSITIVE_PAIR,
    PROBABILITIES,
    PROBABILITY,
    SHARE,
    SHARES,
    ZERO_OR_MORE,
    Need,
    check_ranges,
    one_of,
)

CHANNELS = ("Mito", "AGP", "RNA", "ER", "DNA", "HighZBF", "LowZBF", "Brightfield")
CHANNEL_GROUPS = {"fluorescence": CHANNELS[:5], "brightfield": CHANNELS[5:], "all": CHANNELS}


def channel_names(text: str, option: str = "--channels") -> tuple[str, ...]:
    """Return the channels that `fluorescence`, `brightfield`, `all` or a comma-separated list of names stands for.

    Raises:
        UsageError: no name, or one twice; `option` is where the text was given.
    """
    names = CHANNEL_GROUPS.get(text) or tuple(name.strip() for name in text.split(",") if name.strip())
    if not names or len(set(names)) != len(names):
        raise UsageError(f"{option} {text!r}: give fluorescence, brightfield, all, or different names, comma-separated")
    return names


def _refuse(table: str, key: str, value: object, need: str) -> UsageError:
    """A value that does not go with another one."""
    return UsageError(f"{table}.{key} = {value}: need {need}")


@dataclass(frozen=True, kw_only=True, slots=True)
class CropsConfig:
    """Which sites and which part of each a step sees: table [crops]. Areas are shares of a site."""

    global_side: Annotated[int, PIXELS] = 518  # pixels; 000, table 1
    global_area: Annotated[tuple[float, float], AREAS] = (0.32, 1.0)  # DINOv2
    global_aspect: Annotated[tuple[float, float], ASPECTS] = (0.75, 4 / 3)  # DINOv2; width over height
    local_crops: Annotated[int, ZERO_OR_MORE] = 0  # 001: the loss has none
    local_side: Annotated[int, PIXELS] = 98  # pixels
    local_area: Annotated[tuple[float, float], AREAS] = (0.05, 0.32)  # DINOv2
    second_site: bool = True  # local aggregation, 001 section 3.2.1: v2 comes from another site of the well
    # wells: uniform over wells, then sites; plates, cell_lines: uniform over those first
    balance: Annotated[str, one_of("wells", "plates", "cell_lines")] = "wells"
    # sites: an epoch is as many samples as there are sites; wells9: nine for every well
    epoch: Annotated[str, one_of("sites", "wells9")] = "sites"
    flips: bool = True  # mirror the crop
    quarter_turns: bool = True  # turn the crop by 0, 90, 180 or 270 degrees
    on_bad: Annotated[str, one_of("fail", "skip")] = "fail"  # a corrupt image: fail, or skip and count

    def __post_init__(self):
        check_ranges(self, "crops")


@dataclass(frozen=True, kw_only=True, slots=True)
class ViewsConfig:
    """How a crop becomes a view: table [views]. Order: jitter, warp, noise, normalise. Intensities are in [0, 1]."""

    # sslprofiler: 000 section 3.3.2 and 6; dinov2: DINOv2's own, for N channels
    style: Annotated[str, one_of("sslprofiler", "dinov2", "none")] = "sslprofiler"
    brightness: Annotated[float, ZERO_OR_MORE] = 0.4  # a_b of 000 section 3.3.2; ours: the paper is silent
    contrast: Annotated[float, ZERO_OR_MORE] = 0.4  # a_c, likewise
    elastic_p: Annotated[float, PROBABILITY] = 0.5  # 000 section 6.2
    elastic_alpha: Annotated[float, ZERO_OR_MORE] = 1200.0  # pixels of the crop
    elastic_sigma: Annotated[float, Need("2 pixels or more", lambda value: value >= 2)] = 40.0  # pixels of the crop
    # pixels; not 0: alpha and sigma are meant for a crop of this side, and scale with the crop's
    elastic_side: Annotated[int, Need("0 or more pixels", lambda value: value >= 0)] = 0
    # free: 0-360 degrees in the warp's own gather; right: the loader's quarter turns only; none
    rotation: Annotated[str, one_of("free", "right", "none")] = "free"
    noise_p: Annotated[float, PROBABILITY] = 0.5  # ours: the paper states no probability
    noise_shot: Annotated[float, POSITIVE] = 0.1  # 000 section 6.1
    noise_dark: Annotated[float, ZERO_OR_MORE] = 0.05
    noise_read: Annotated[float, ZERO_OR_MORE] = 0.01
    noise_fluorescence: Annotated[float, ZERO_OR_MORE] = 1.0  # strength of the noise per channel group, 1 = the paper's values
    noise_brightfield: Annotated[float, ZERO_OR_MORE] = 1.0
    dinov2_jitter_p: Annotated[float, PROBABILITY] = 0.8  # style dinov2: brightness and contrast common to all channels
    dinov2_blur_p: Annotated[tuple[float, float, float], PROBABILITIES] = (1.0, 0.1, 0.5)  # first global, second global, local
    dinov2_solarise_p: Annotated[float, PROBABILITY] = 0.2  # second global
    # dataset: (x - mean) / sd of the channel, 000 section 3.2; crop: of the view itself
    normalise: Annotated[str, one_of("dataset", "crop")] = "dataset"
    normalise_floor: Annotated[float, ZERO_OR_MORE] = 0.02  # added to the sd of `crop`, so that an empty channel stays near 0

    def __post_init__(self):
        check_ranges(self, "views")
        for key in ("noise_fluorescence", "noise_brightfield"):
            shot = self.noise_shot * getattr(self, key)
            if not (shot == 0 or shot >= 1 / 320):
                need = f"0, or noise_shot = {self.noise_shot} times it at least 1/320"
                raise _refuse("views", key, getattr(self, key), need)


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    """The backbone: table [model]."""

    dim: Annotated[int, AT_LEAST_1] = 384  # ViT-S
    depth: Annotated[int, AT_LEAST_1] = 12
    heads: Annotated[int, AT_LEAST_1] = 6
    patch: Annotated[int, AT_LEAST_1] = 14  # pixels
    position_side: Annotated[int, AT_LEAST_1] = 518  # pixels: the crop side whose patch grid the position embedding is stored at
    ffn: Annotated[str, one_of("swiglu", "mlp")] = "swiglu"  # 001 section 4.1; or mlp
    ffn_ratio: float = 4.0  # hidden width over dim; SwiGLU takes 2/3 of it, rounded up to 8, as DINOv2
    registers: Annotated[int, ZERO_OR_MORE] = 0
    layerscale: Annotated[float, POSITIVE] = 1e-5  # initial gamma; DINOv2
    # share of the rows each residual branch leaves out; ours: the papers are silent
    drop_path: Annotated[float, Need("0 <= rate < 1", lambda value: 0 <= value < 1)] = 0.1
    # added to the grid when the position embedding is interpolated; DINOv2 (0 with registers)
    position_offset: Annotated[float, Need("0 <= offset < 1", lambda value: 0 <= value < 1)] = 0.1
    position_antialias: bool = False  # DINOv2 (true with registers)
    weights: str = ""  # a file to start from, for example DINOv2's published one; empty: random, as both papers

    def __post_init__(self):
        check_ranges(self, "model")
        if self.dim % self.heads:
            raise _refuse("model", "dim", self.dim, f"a multiple of model.heads = {self.heads}")


@dataclass(frozen=True, kw_only=True, slots=True)
class LossConfig:
    """Heads, teacher targets and the losses: table [loss]."""

    local_aggregation: bool = True  # 001 section 3.2.1; false: DINOv2's own two-view loss
    # own: w is a second, independent view; same: w is v1 itself, masked; shared: as same, and the masked pass also serves
    # the other terms, so that two student passes do (ours, for small machines)
    masked_view: Annotated[str, one_of("own", "same", "shared")] = "own"
    symmetric: bool = False  # 001 prints the one-sided form; true: the roles of v1 and w, and of the two sites, also swapped
    # without local aggregation: weight of each view, masked, against itself unmasked; ours
    same_view_weight: Annotated[float, ZERO_OR_MORE] = 0.0
    prototypes: Annotated[int, AT_LEAST_1] = 65536
    head_hidden: Annotated[int, AT_LEAST_1] = 2048
    head_bottleneck: Annotated[int, AT_LEAST_1] = 256
    head_layers: Annotated[int, AT_LEAST_1] = 3
    head_batchnorm: bool = False  # a small model on few plates collapses without it
    separate_ibot_head: bool = False
    targets: Annotated[str, one_of("sinkhorn", "centring")] = "sinkhorn"  # or centring
    sinkhorn_steps: Annotated[int, AT_LEAST_1] = 3
    centre_momentum: Annotated[float, MOMENTUM] = 0.9
    student_temperature: Annotated[float, POSITIVE] = 0.1
    teacher_temperature: Annotated[tuple[float, float], POSITIVE_PAIR] = (0.04, 0.07)  # from, to
    teacher_temperature_epochs: Annotated[float, ZERO_OR_MORE] = 30.0
    dino_weight: Annotated[float, ZERO_OR_MORE] = 1.0
    ibot_weight: Annotated[float, ZERO_OR_MORE] = 1.0  # l1 of 001
    koleo_weight: Annotated[float, ZERO_OR_MORE] = 0.1  # l2 of 001
    mask_share: Annotated[float, SHARE] = 0.5  # share of the views that are masked
    mask_ratio: Annotated[tuple[float, float], SHARES] = (0.1, 0.5)  # share of a masked view's patches
    chunk_rows: Annotated[int, ZERO_OR_MORE] = 1024  # rows of the prototype logits alive at once; 0: all

    def __post_init__(self):
        check_ranges(self, "loss")


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """The optimiser, the schedules and the loop: table [train]."""

    epochs: Annotated[float, POSITIVE] = 100.0  # 000 section 4.1
    max_steps: Annotated[int, ZERO_OR_MORE] = 0  # more than 0: stop the schedule there instead of after `epochs`
    batch: Annotated[int, POSITIVE] = 128  # samples (sites) a step, over all ranks and micro-batches; 000 section 4.1
    micro_batches: Annotated[int, POSITIVE] = 1
    lr: Annotated[float, POSITIVE] = 2e-5  # 000 section 4.1; the effective rate, not scaled again by the batch
    lr_end: Annotated[float, ZERO_OR_MORE] = 1e-6
    warmup_epochs: Annotated[float, ZERO_OR_MORE] = 10.0  # 000 section 4.1
    warmup_steps: Annotated[int, ZERO_OR_MORE] = 0  # more than 0: instead of warmup_epochs
    weight_decay: tuple[float, float] = (0.04, 0.4)  # DINOv2, cosine
    betas: tuple[float, float] = (0.9, 0.999)
    clip: Annotated[float, POSITIVE] = 3.0  # gradient norm, per sub-module; DINOv2
    layer_decay: Annotated[float, Need("0 < factor <= 1", lambda value: 0 < value <= 1)] = 1.0
    patch_embed_lr: Annotated[float, ZERO_OR_MORE] = 0.2  # times lr; DINOv2
    freeze_last_layer_epochs: Annotated[float, ZERO_OR_MORE] = 1.0  # DINOv2
    ema: Annotated[tuple[float, float], MOMENTA] = (0.994, 1.0)  # DINOv2, cosine
    # fp32, bf16, fp16; auto: bf16 on a GPU that has it, fp16 on other GPUs, fp32 on a CPU
    precision: Annotated[str, one_of("auto", "fp32", "bf16", "fp16")] = "auto"
    compile: bool = False
    checkpoint_activations: bool = False
    save_minutes: Annotated[float, ZERO_OR_MORE] = 10.0  # between checkpoints; 0: after every step
    keep: Annotated[int, POSITIVE] = 2  # checkpoints, besides the best
    log_steps: Annotated[int, POSITIVE] = 10
    on_collapse: Annotated[str, one_of("warn", "stop")] = "warn"  # or stop
    bad_steps: Annotated[int, POSITIVE] = 5  # non-finite losses in a row before the run stops
    knn_epochs: Annotated[float, ZERO_OR_MORE] = 0.0  # every so many epochs a k-NN over wells, across plates; 0: never
    knn_wells: Annotated[int, AT_LEAST_1] = 96  # a plate, at most
    tensorboard: bool = False  # also write event files; needs kit[tensorboard]

    def __post_init__(self):
        check_ranges(self, "train")
        if self.batch % self.micro_batches:
            raise _refuse("train", "batch", self.batch, f"a multiple of {self.micro_batches} micro-batches")


@dataclass(frozen=True, kw_only=True, slots=True)
class EmbedConfig:
    """How a whole site goes through the frozen backbone: table [embed]."""

    side: Annotated[int, PIXELS] = 518  # pixels: the site is resized to this
    batch: Annotated[int, AT_LEAST_1] = 16

    def __post_init__(self):
        check_ranges(self, "embed")


@dataclass(frozen=True, kw_only=True, slots=True)
class StoreConfig:
    """How counts became stored pixels, the same for all plates of a store: store.toml, and table [store] of its runs."""

    scale: str = "image"  # image: each image's own minimum and maximum; plate-percentile: one pair per plate and channel
    bits: int = 8  # 8: levels are stored; 16: counts are, and scaled when read
    size: int = 0  # pixels of the longer side after area averaging; 0: as it came
    codec: str = "zstd"
    illumination: bool = False  # counts were divided by the plate's illumination functions first

    def __post_init__(self):
        if self.scale not in ("image", "plate-percentile"):
            raise UsageError(f"--scale {self.scale}: need image or plate-percentile")
        if self.bits not in (8, 16):
            raise UsageError(f"--bits {self.bits}: need 8 or 16")
        if self.size < 0:
            raise UsageError(f"--size {self.size}: need the pixels of the longer side, at least 1")


@dataclass(frozen=True, kw_only=True, slots=True)
class RunConfig:
    """All of a run."""

    recipe: str = "sslprofiler-local"
    channels: tuple[str, ...] = ()  # set by the recipe or by --channels
    plates: tuple[str, ...] = ()  # train on these alone; none named: on all of the work folder
    seed: Annotated[int, Need("0 or more, below 2**63", lambda value: 0 <= value < 2**63)] = 0
    crops: CropsConfig = field(default_factory=CropsConfig)
    views: ViewsConfig = field(default_factory=ViewsConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    embed: EmbedConfig = field(default_factory=EmbedConfig)
    store: StoreConfig = field(default_factory=StoreConfig)  # of the work folder; `kit train` fills it in

    def __post_init__(self):
        check_ranges(self)
        wrong = []
        if self.loss.local_aggregation and not self.crops.second_site:
            wrong.append("loss.local_aggregation = true needs crops.second_site = true (or set it to false)")
        for table, key in (("crops", "global_side"), ("crops", "local_side"), ("model", "position_side"), ("embed", "side")):
            side = getattr(getattr(self, table), key)
            if side % self.model.patch:
                wrong.append(f"{table}.{key} = {side}: need a multiple of model.patch = {self.model.patch}")
        if wrong:
            raise UsageError("; ".join(wrong))
