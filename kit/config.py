"""Every value of a run: one frozen dataclass per stage. recipe.py reads them from TOML and stores them with the run.

A default is the paper's value where it states one, otherwise ours; the recipes say which.
Sources: 000 and 001 are the two versions of SSLProfiler, `DINOv2` is arXiv:2304.07193.
"""

from dataclasses import dataclass, field

from kit.errors import UsageError

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


def _check(ok: bool, table: str, key: str, value: object, need: str) -> None:
    if not ok:
        raise UsageError(f"{table}.{key} = {value}: need {need}")


@dataclass(frozen=True, kw_only=True, slots=True)
class CropsConfig:
    """Which sites and which part of each a step sees: table [crops]. Areas are shares of a site."""

    global_side: int = 518  # pixels; 000, table 1
    global_area: tuple[float, float] = (0.32, 1.0)  # DINOv2
    global_aspect: tuple[float, float] = (0.75, 4 / 3)  # DINOv2; width over height
    local_crops: int = 0  # 001: the loss has none
    local_side: int = 98  # pixels
    local_area: tuple[float, float] = (0.05, 0.32)  # DINOv2
    second_site: bool = True  # local aggregation, 001 section 3.2.1: v2 comes from another site of the well
    balance: str = "wells"  # wells: uniform over wells, then sites; plates, cell_lines: uniform over those first
    epoch: str = "sites"  # sites: an epoch is as many samples as there are sites; wells9: nine for every well
    flips: bool = True  # mirror the crop
    quarter_turns: bool = True  # turn the crop by 0, 90, 180 or 270 degrees
    on_bad: str = "fail"  # a corrupt image: fail, or skip and count

    def __post_init__(self):
        for key in ("global_side", "local_side"):
            _check(getattr(self, key) > 0, "crops", key, getattr(self, key), "at least 1 pixel")
        for key in ("global_area", "local_area"):
            least, most = getattr(self, key)
            _check(0 < least <= most <= 1, "crops", key, (least, most), "0 < least <= most <= 1")
        least, most = self.global_aspect
        _check(0 < least <= most, "crops", "global_aspect", (least, most), "0 < least <= most")
        _check(self.local_crops >= 0, "crops", "local_crops", self.local_crops, "0 or more")
        _check(self.balance in ("wells", "plates", "cell_lines"), "crops", "balance", self.balance, "wells, plates or cell_lines")
        _check(self.epoch in ("sites", "wells9"), "crops", "epoch", self.epoch, "sites or wells9")
        _check(self.on_bad in ("fail", "skip"), "crops", "on_bad", self.on_bad, "fail or skip")


@dataclass(frozen=True, kw_only=True, slots=True)
class ViewsConfig:
    """How a crop becomes a view: table [views]. Order: jitter, warp, noise, normalise. Intensities are in [0, 1]."""

    style: str = "sslprofiler"  # sslprofiler: 000 section 3.3.2 and 6; dinov2: DINOv2's own, for N channels
    brightness: float = 0.4  # a_b of 000 section 3.3.2; ours: the paper is silent
    contrast: float = 0.4  # a_c, likewise
    elastic_p: float = 0.5  # 000 section 6.2
    elastic_alpha: float = 1200.0  # pixels of the crop
    elastic_sigma: float = 40.0  # pixels of the crop
    elastic_side: int = 0  # pixels; not 0: alpha and sigma are meant for a crop of this side, and scale with the crop's
    rotation: str = "free"  # free: 0-360 degrees in the warp's own gather; right: the loader's quarter turns only; none
    noise_p: float = 0.5  # ours: the paper states no probability
    noise_shot: float = 0.1  # 000 section 6.1
    noise_dark: float = 0.05
    noise_read: float = 0.01
    noise_fluorescence: float = 1.0  # strength of the noise per channel group, 1 = the paper's values
    noise_brightfield: float = 1.0
    dinov2_jitter_p: float = 0.8  # style dinov2: brightness and contrast common to all channels
    dinov2_blur_p: tuple[float, float, float] = (1.0, 0.1, 0.5)  # first global, second global, local
    dinov2_solarise_p: float = 0.2  # second global
    normalise: str = "dataset"  # dataset: (x - mean) / sd of the channel, 000 section 3.2; crop: of the view itself
    normalise_floor: float = 0.02  # added to the sd of `crop`, so that an empty channel stays near 0

    def __post_init__(self):
        _check(self.style in ("sslprofiler", "dinov2", "none"), "views", "style", self.style, "sslprofiler, dinov2 or none")
        _check(self.rotation in ("free", "right", "none"), "views", "rotation", self.rotation, "free, right or none")
        _check(self.normalise in ("dataset", "crop"), "views", "normalise", self.normalise, "dataset or crop")
        for key in ("elastic_p", "noise_p", "dinov2_jitter_p", "dinov2_solarise_p"):
            _check(0 <= getattr(self, key) <= 1, "views", key, getattr(self, key), "a probability, 0 to 1")
        _check(all(0 <= p <= 1 for p in self.dinov2_blur_p), "views", "dinov2_blur_p", self.dinov2_blur_p, "probabilities")
        for key in ("brightness", "contrast", "elastic_alpha", "noise_dark", "noise_read", "normalise_floor",
                    "noise_fluorescence", "noise_brightfield"):  # fmt: skip
            _check(getattr(self, key) >= 0, "views", key, getattr(self, key), "0 or more")
        _check(self.noise_shot > 0, "views", "noise_shot", self.noise_shot, "more than 0")
        _check(self.elastic_sigma >= 2, "views", "elastic_sigma", self.elastic_sigma, "2 pixels or more")
        _check(self.elastic_side >= 0, "views", "elastic_side", self.elastic_side, "0 or more pixels")
        for key in ("noise_fluorescence", "noise_brightfield"):
            shot = self.noise_shot * getattr(self, key)
            _check(
                shot == 0 or shot >= 1 / 320,
                "views",
                key,
                getattr(self, key),
                f"0, or noise_shot = {self.noise_shot} times it at least 1/320",
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    """The backbone: table [model]."""

    dim: int = 384  # ViT-S
    depth: int = 12
    heads: int = 6
    patch: int = 14  # pixels
    position_side: int = 518  # pixels: the crop side whose patch grid the position embedding is stored at
    ffn: str = "swiglu"  # 001 section 4.1; or mlp
    ffn_ratio: float = 4.0  # hidden width over dim; SwiGLU takes 2/3 of it, rounded up to 8, as DINOv2
    registers: int = 0
    layerscale: float = 1e-5  # initial gamma; DINOv2
    drop_path: float = 0.1  # share of the rows each residual branch leaves out; ours: the papers are silent
    position_offset: float = 0.1  # added to the grid when the position embedding is interpolated; DINOv2 (0 with registers)
    position_antialias: bool = False  # DINOv2 (true with registers)
    weights: str = ""  # a file to start from, for example DINOv2's published one; empty: random, as both papers

    def __post_init__(self):
        for key in ("dim", "depth", "heads", "patch", "position_side"):
            _check(getattr(self, key) > 0, "model", key, getattr(self, key), "at least 1")
        _check(self.dim % self.heads == 0, "model", "dim", self.dim, f"a multiple of model.heads = {self.heads}")
        _check(self.ffn in ("swiglu", "mlp"), "model", "ffn", self.ffn, "swiglu or mlp")
        _check(self.registers >= 0, "model", "registers", self.registers, "0 or more")
        _check(self.layerscale > 0, "model", "layerscale", self.layerscale, "more than 0")
        _check(0 <= self.drop_path < 1, "model", "drop_path", self.drop_path, "0 <= rate < 1")
        _check(0 <= self.position_offset < 1, "model", "position_offset", self.position_offset, "0 <= offset < 1")


@dataclass(frozen=True, kw_only=True, slots=True)
class LossConfig:
    """Heads, teacher targets and the losses: table [loss]."""

    local_aggregation: bool = True  # 001 section 3.2.1; false: DINOv2's own two-view loss
    masked_view: str = "own"  # own: w is a second, independent view; same: w is v1 itself, masked; shared: as same, and
    # the masked pass also serves the other terms, so that two student passes do (ours, for small machines)
    symmetric: bool = False  # 001 prints the one-sided form; true: the roles of v1 and w, and of the two sites, also swapped
    same_view_weight: float = 0.0  # without local aggregation: weight of each view, masked, against itself unmasked; ours
    prototypes: int = 65536
    head_hidden: int = 2048
    head_bottleneck: int = 256
    head_layers: int = 3
    head_batchnorm: bool = False  # a small model on few plates collapses without it
    separate_ibot_head: bool = False
    targets: str = "sinkhorn"  # or centring
    sinkhorn_steps: int = 3
    centre_momentum: float = 0.9
    student_temperature: float = 0.1
    teacher_temperature: tuple[float, float] = (0.04, 0.07)  # from, to
    teacher_temperature_epochs: float = 30.0
    dino_weight: float = 1.0
    ibot_weight: float = 1.0  # l1 of 001
    koleo_weight: float = 0.1  # l2 of 001
    mask_share: float = 0.5  # share of the views that are masked
    mask_ratio: tuple[float, float] = (0.1, 0.5)  # share of a masked view's patches
    chunk_rows: int = 1024  # rows of the prototype logits alive at once; 0: all

    def __post_init__(self):
        _check(self.targets in ("sinkhorn", "centring"), "loss", "targets", self.targets, "sinkhorn or centring")
        _check(self.masked_view in ("own", "same", "shared"), "loss", "masked_view", self.masked_view, "own, same or shared")
        for key in ("prototypes", "head_hidden", "head_bottleneck", "head_layers", "sinkhorn_steps"):
            _check(getattr(self, key) > 0, "loss", key, getattr(self, key), "at least 1")
        least, most = self.mask_ratio
        _check(0 <= least <= most <= 1, "loss", "mask_ratio", self.mask_ratio, "0 <= least <= most <= 1")
        _check(0 <= self.mask_share <= 1, "loss", "mask_share", self.mask_share, "a share, 0 to 1")
        _check(min(self.teacher_temperature) > 0, "loss", "teacher_temperature", self.teacher_temperature, "more than 0")
        _check(self.student_temperature > 0, "loss", "student_temperature", self.student_temperature, "more than 0")
        for key in ("dino_weight", "ibot_weight", "koleo_weight", "same_view_weight", "chunk_rows", "teacher_temperature_epochs"):
            _check(getattr(self, key) >= 0, "loss", key, getattr(self, key), "0 or more")
        _check(0 <= self.centre_momentum <= 1, "loss", "centre_momentum", self.centre_momentum, "a momentum, 0 to 1")


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """The optimiser, the schedules and the loop: table [train]."""

    epochs: float = 100.0  # 000 section 4.1
    max_steps: int = 0  # more than 0: stop the schedule there instead of after `epochs`
    batch: int = 128  # samples (sites) a step, over all ranks and micro-batches; 000 section 4.1
    micro_batches: int = 1
    lr: float = 2e-5  # 000 section 4.1; the effective rate, not scaled again by the batch
    lr_end: float = 1e-6
    warmup_epochs: float = 10.0  # 000 section 4.1
    warmup_steps: int = 0  # more than 0: instead of warmup_epochs
    weight_decay: tuple[float, float] = (0.04, 0.4)  # DINOv2, cosine
    betas: tuple[float, float] = (0.9, 0.999)
    clip: float = 3.0  # gradient norm, per sub-module; DINOv2
    layer_decay: float = 1.0
    patch_embed_lr: float = 0.2  # times lr; DINOv2
    freeze_last_layer_epochs: float = 1.0  # DINOv2
    ema: tuple[float, float] = (0.994, 1.0)  # DINOv2, cosine
    precision: str = "auto"  # fp32, bf16, fp16; auto: bf16 on a GPU that has it, fp16 on other GPUs, fp32 on a CPU
    compile: bool = False
    checkpoint_activations: bool = False
    save_minutes: float = 10.0  # between checkpoints; 0: after every step
    keep: int = 2  # checkpoints, besides the best
    log_steps: int = 10
    on_collapse: str = "warn"  # or stop
    bad_steps: int = 5  # non-finite losses in a row before the run stops
    knn_epochs: float = 0.0  # every so many epochs a k-NN over wells, across plates; 0: never
    knn_wells: int = 96  # a plate, at most
    tensorboard: bool = False  # also write event files; needs kit[tensorboard]

    def __post_init__(self):
        for key in ("epochs", "lr", "batch", "micro_batches", "keep", "log_steps", "bad_steps"):
            _check(getattr(self, key) > 0, "train", key, getattr(self, key), "more than 0")
        _check(
            self.batch % self.micro_batches == 0,
            "train",
            "batch",
            self.batch,
            f"a multiple of {self.micro_batches} micro-batches",
        )
        _check(
            self.precision in ("auto", "fp32", "bf16", "fp16"), "train", "precision", self.precision, "auto, fp32, bf16 or fp16"
        )
        _check(self.on_collapse in ("warn", "stop"), "train", "on_collapse", self.on_collapse, "warn or stop")
        _check(all(0 <= m <= 1 for m in self.ema), "train", "ema", self.ema, "momenta, 0 to 1")
        for key in ("max_steps", "lr_end", "warmup_epochs", "warmup_steps", "save_minutes", "freeze_last_layer_epochs",
                    "knn_epochs", "patch_embed_lr"):  # fmt: skip
            _check(getattr(self, key) >= 0, "train", key, getattr(self, key), "0 or more")
        _check(self.clip > 0, "train", "clip", self.clip, "more than 0")
        _check(0 < self.layer_decay <= 1, "train", "layer_decay", self.layer_decay, "0 < factor <= 1")
        _check(self.knn_wells > 0, "train", "knn_wells", self.knn_wells, "at least 1")


@dataclass(frozen=True, kw_only=True, slots=True)
class EmbedConfig:
    """How a whole site goes through the frozen backbone: table [embed]."""

    side: int = 518  # pixels: the site is resized to this
    batch: int = 16

    def __post_init__(self):
        _check(self.side > 0, "embed", "side", self.side, "at least 1 pixel")
        _check(self.batch > 0, "embed", "batch", self.batch, "at least 1")


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
    seed: int = 0
    crops: CropsConfig = field(default_factory=CropsConfig)
    views: ViewsConfig = field(default_factory=ViewsConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    embed: EmbedConfig = field(default_factory=EmbedConfig)
    store: StoreConfig = field(default_factory=StoreConfig)  # of the work folder; `kit train` fills it in

    def __post_init__(self):
        if not 0 <= self.seed < 2**63:
            raise UsageError(f"seed = {self.seed}: need 0 or more, below 2**63")
        if self.loss.local_aggregation and not self.crops.second_site:
            raise UsageError("loss.local_aggregation = true needs crops.second_site = true (or set it to false)")
        for table, key in (("crops", "global_side"), ("crops", "local_side"), ("model", "position_side"), ("embed", "side")):
            side = getattr(getattr(self, table), key)
            _check(side % self.model.patch == 0, table, key, side, f"a multiple of model.patch = {self.model.patch}")
