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
    heads: Annotated[int, AT_LEAST_1] = setting(6, "attention heads of a block")
    patch: Annotated[int, AT_LEAST_1] = setting(14, "side of a patch, pixels")
    position_side: Annotated[int, AT_LEAST_1] = setting(
        518, "crop side whose grid of patches has its own position embedding, pixels; other sides interpolate it"
    )
    ffn: Annotated[str, one_of("swiglu", "mlp")] = setting(
        "swiglu", "feed-forward layers of a block; swiglu: SSLProfiler 2, section 4.1"
    )
    ffn_ratio: float = setting(
        4.0, "hidden width of the feed-forward layers over dim; SwiGLU takes 2/3 of it, rounded up to 8, as DINOv2"
    )
    registers: Annotated[int, ZERO_OR_MORE] = setting(0, "register tokens beside the patches")
    layerscale: Annotated[float, POSITIVE] = setting(1e-5, "initial scale of what a block adds; DINOv2")
    drop_path: Annotated[float, Need("0 <= rate < 1", lambda value: 0 <= value < 1)] = setting(
        0.1, "share of the samples for which a branch of a block is left out in training; ours: the papers are silent"
    )
    position_offset: Annotated[float, Need("0 <= offset < 1", lambda value: 0 <= value < 1)] = setting(
        0.1, "added to the grid when the position embedding is interpolated; DINOv2 (0 with registers)"
    )
    position_antialias: bool = setting(
        False, "interpolate the position embedding with antialiasing; DINOv2 (true with registers)"
    )
    weights: str = setting(
        "", "a file of weights to start from, for example DINOv2's published one; empty: random, as both papers"
    )

    def __post_init__(self) -> None:
        check_ranges(self, "model")
        if self.dim % self.heads:
            raise refuse("model", "dim", self.dim, f"a multiple of model.heads = {self.heads}")
