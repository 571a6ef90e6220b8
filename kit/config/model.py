"""Table [model] of a recipe."""

from dataclasses import dataclass
from typing import Annotated

from kit.config.setting import refuse, setting
from kit.ranges import AT_LEAST_1, POSITIVE, ZERO_OR_MORE, Need, check_ranges, one_of


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    """The backbone: table [model]."""

    dim: Annotated[int, AT_LEAST_1] = setting(384, "width of a token; 384: ViT-S, 768: ViT-B")
    depth: Annotated[int, AT_LEAST_1] = setting(12, "number of transformer blocks")
    heads: Annotated[int, AT_LEAST_1] = setting(6, "attention heads per block")
    patch: Annotated[int, AT_LEAST_1] = setting(14, "side of a patch, pixels")
    stem: Annotated[str, one_of("patch", "energy", "patch+energy", "mixer")] = setting(
        "patch",
        "how a patch becomes a token; patch: one linear map of its pixels, DINOv2; energy: a linear map of its energy at each "
        "scale and of the correlations of channels there, for networks that cannot learn these (ours); patch+energy: the sum of "
        "both, each with a map of its own (ours); mixer: one map for the patches of every channel, then a small transformer over "
        "all of them, for any channels in any order; CellRep, section 3",
    )
    channel_filters: Annotated[int, AT_LEAST_1] = setting(
        64, "stem mixer: filters of the channel encoder's 3 x 3 convolution; ours: CellRep is silent"
    )
    mixer_blocks: Annotated[int, AT_LEAST_1] = setting(
        2, "stem mixer: transformer blocks over the patches of all channels; ours: CellRep says a small transformer"
    )
    pool: Annotated[str, one_of("location", "window")] = setting(
        "location",
        "stem mixer: location, mean over the tokens of one place, so that the order of channels changes nothing; window, over as "
        "many neighbours of the sequence as there are channels, as CellRep, section 3.3, prints it",
    )
    front: Annotated[str, one_of("own", "shared")] = setting(
        "own",
        "stem mixer: own, the teacher's patches and mixer are a moving average like the rest of it; shared, they are the "
        "student's; CellRep, figure 1, can be read either way",
    )
    bag: bool = setting(
        False,
        "bag of channels: a network of one channel, to which every channel is a sample of its own; the vectors of a site's "
        "channels are concatenated; DINOv2's channel-adaptive recipe",
    )
    position_side: Annotated[int, AT_LEAST_1] = setting(
        518, "crop side that the position embedding is learnt for, pixels; interpolated for other sides"
    )
    ffn: Annotated[str, one_of("swiglu", "mlp")] = setting(
        "swiglu", "feed-forward layers of a block; swiglu: SSLProfiler 2, section 4.1"
    )
    ffn_ratio: float = setting(
        4.0, "hidden width of the feed-forward layers / dim; SwiGLU takes 2/3 of it, rounded up to a multiple of 8, as DINOv2"
    )
    registers: Annotated[int, ZERO_OR_MORE] = setting(0, "number of register tokens")
    layerscale: Annotated[float, POSITIVE] = setting(1e-5, "LayerScale: initial scale of the residual branches; DINOv2")
    init: Annotated[str, one_of("dinov2", "fan_in")] = setting(
        "dinov2",
        "SD of the initial weights of linear layers; dinov2: 0.02, whatever their width; fan_in: 1 / sqrt(inputs), which is five "
        "times that at dim 96 (ours, for small networks)",
    )
    drop_path: Annotated[float, Need("0 <= rate < 1", lambda value: 0 <= value < 1)] = setting(
        0.1, "stochastic depth: fraction of samples that skip a residual branch in training; ours: the papers are silent"
    )
    position_offset: Annotated[float, Need("0 <= offset < 1", lambda value: 0 <= value < 1)] = setting(
        0.1, "offset added to the grid size when the position embedding is interpolated; DINOv2 (0 with registers)"
    )
    position_antialias: bool = setting(
        False, "interpolate the position embedding with antialiasing; DINOv2 (true with registers)"
    )
    weights: str = setting("", "file of initial weights, for example DINOv2's published one; empty: random, as in both papers")
    pretrained: bool = setting(False, "the recipe starts from published weights: kit train wants model.weights; Cell-DINO+")

    def __post_init__(self) -> None:
        check_ranges(self, "model")
        if "energy" in self.stem and (self.patch < 4 or self.patch & (self.patch - 1)):
            raise refuse("model", "patch", self.patch, f"a power of 2, at least 4, for model.stem = {self.stem}")
        if self.bag and self.stem == "mixer":
            raise refuse("model", "bag", "true", "false for model.stem = mixer, which sees all channels together")
        if self.dim % self.heads:
            raise refuse("model", "dim", self.dim, f"a multiple of model.heads = {self.heads}")
