"""Table [loss] of a recipe."""

from dataclasses import dataclass
from typing import Annotated

from kit.config.setting import refuse, setting
from kit.ranges import AT_LEAST_1, MOMENTUM, POSITIVE, POSITIVE_PAIR, SHARE, SHARES, ZERO_OR_MORE, Need, check_ranges, one_of


@dataclass(frozen=True, kw_only=True, slots=True)
class LossConfig:
    """Heads, teacher targets and the losses: table [loss]."""

    objective: Annotated[str, one_of("dino", "simclr", "mae")] = setting(
        "dino",
        "dino: DINOv2's losses, a student and its teacher; simclr: NT-Xent between two views; mae: a masked autoencoder. The "
        "last two have no teacher, use few keys of this table, and their own network is embedded",
    )
    local_aggregation: bool = setting(
        True,
        "compare views of two sites of a well; SSLProfiler 2, section 3.2.1; false: DINOv2's loss on two views. SimCLR: its two "
        "views are of two sites, or of one",
    )
    masked_view: Annotated[str, one_of("own", "same", "shared")] = setting(
        "own",
        "which view is masked: own, another crop of the site; same, the first view itself; shared, like same, with one "
        "student pass for all terms, so two passes instead of four (ours, for small machines)",
    )
    symmetric: bool = setting(
        False,
        "with local aggregation: add the loss with the two views swapped; SSLProfiler 2 prints the one-sided form",
    )
    well_weight: Annotated[float, POSITIVE] = setting(
        1.0,
        "with local aggregation: weight of the comparisons of two sites of a well, beside those within a site; ours",
    )
    same_view_weight: Annotated[float, ZERO_OR_MORE] = setting(
        0.0, "without local aggregation: weight of the loss between each masked view and itself unmasked; ours"
    )
    scale: Annotated[str, one_of("mean", "sum")] = setting(
        "mean",
        "without local aggregation, how the comparisons of views add up: mean, DINOv2; sum, as CellRep, section A.1, prints it",
    )
    local_weight: Annotated[float, ZERO_OR_MORE] = setting(
        1.0, "weight of the comparisons of local crops; lambda local of CellRep, section A.1; the value is ours"
    )
    kl_weight: Annotated[float, ZERO_OR_MORE] = setting(
        0.0,
        "weight of KL(uniform || mean output of the batch), which keeps every prototype in use; lambda reg of CellRep, section "
        "A.1; of the student's outputs of global views: ours",
    )
    drop_channels: Annotated[str, one_of("none", "teacher", "student")] = setting(
        "none",
        "with model.stem = mixer: this network sees some channels of each image alone, from one to all of them, drawn for every "
        "step; CellRep, section 5, found it to hurt",
    )
    prototypes: Annotated[int, AT_LEAST_1] = setting(65536, "number of prototypes, the outputs of a head; DINOv2")
    head_hidden: Annotated[int, AT_LEAST_1] = setting(2048, "hidden width of a head; DINOv2, and SimCLR's")
    head_bottleneck: Annotated[int, AT_LEAST_1] = setting(
        256, "width of a head before the prototypes; DINOv2; of SimCLR the width of the projection, which has no prototypes"
    )
    head_layers: Annotated[int, AT_LEAST_1] = setting(3, "layers of a head before the prototypes; DINOv2; of SimCLR all layers")
    head_batchnorm: bool = setting(False, "batch normalisation in the heads; a small model on few plates collapses without it")
    separate_ibot_head: bool = setting(False, "separate head for masked patches; false: shared with the class token")
    targets: Annotated[str, one_of("sinkhorn", "centring")] = setting("sinkhorn", "how teacher outputs become targets")
    sinkhorn_steps: Annotated[int, AT_LEAST_1] = setting(3, "iterations of Sinkhorn-Knopp, for targets = sinkhorn; DINOv2")
    centre_momentum: Annotated[float, MOMENTUM] = setting(0.9, "momentum of the running centre, for targets = centring; DINOv2")
    student_temperature: Annotated[float, POSITIVE] = setting(
        0.1, "temperature of the student's softmax; DINOv2; and of NT-Xent; SimCLR, table 5"
    )
    teacher_temperature: Annotated[tuple[float, float], POSITIVE_PAIR] = setting(
        (0.04, 0.07), "temperature of the teacher's softmax, start and end; DINOv2"
    )
    teacher_temperature_epochs: Annotated[float, ZERO_OR_MORE] = setting(
        30.0, "epochs over which the teacher's temperature goes from start to end; DINOv2"
    )
    dino_weight: Annotated[float, ZERO_OR_MORE] = setting(1.0, "weight of the DINO loss, on class tokens")
    ibot_weight: Annotated[float, ZERO_OR_MORE] = setting(
        1.0, "weight of the iBOT loss, on masked patches; lambda 1 of SSLProfiler 2"
    )
    koleo_weight: Annotated[float, ZERO_OR_MORE] = setting(
        0.1,
        "weight of the KoLeo loss, which spreads class tokens; lambda 2 of SSLProfiler 2. KoLeo of two views is the sum of each "
        "one's: DINOv2's reading, with local aggregation ours",
    )
    mask_share: Annotated[float, SHARE] = setting(
        0.5, "fraction of the views to be masked that are; 0.5 of two: DINOv2; 1 of one: SSLProfiler 2, section 3.2.1"
    )
    mask_ratio: Annotated[tuple[float, float], SHARES] = setting(
        (0.1, 0.5), "fraction of a masked view's patches that are masked, min and max; DINOv2"
    )
    mae_mask: Annotated[float, Need("0 < share < 1", lambda value: 0 < value < 1)] = setting(
        0.75, "mae: share of a view's patches that are hidden; MAE, section 3"
    )
    mae_norm_pixels: bool = setting(True, "mae: paint a patch's pixels minus their mean over their sd; MAE, table 1d")
    mae_decoder_dim: Annotated[int, Need("a multiple of 4", lambda value: value > 0 and value % 4 == 0)] = setting(
        256, "mae: width of the decoder; ours: MAE takes 512 for ViT-L"
    )
    mae_decoder_depth: Annotated[int, AT_LEAST_1] = setting(4, "mae: blocks of the decoder; ours: MAE takes 8 for ViT-L")
    mae_decoder_heads: Annotated[int, AT_LEAST_1] = setting(
        8, "mae: attention heads of the decoder; ours: MAE takes 16 for ViT-L"
    )
    chunk_rows: Annotated[int, ZERO_OR_MORE] = setting(
        1024, "rows of prototype logits in memory at once; 0: all; no effect on the result"
    )
    keep_logits_mb: Annotated[float, ZERO_OR_MORE] = setting(
        256.0,
        "MB; teacher logits up to this size, of class tokens and of patches each, are kept through Sinkhorn and the loss instead "
        "of being computed again; no effect on the result but for rounding",
    )

    def __post_init__(self) -> None:
        check_ranges(self, "loss")
        if self.scale == "sum" and self.local_aggregation:
            raise refuse("loss", "scale", self.scale, "mean for loss.local_aggregation = true, whose weights are its own")
        if self.mae_decoder_dim % self.mae_decoder_heads:
            need = f"a multiple of loss.mae_decoder_heads = {self.mae_decoder_heads}"
            raise refuse("loss", "mae_decoder_dim", self.mae_decoder_dim, need)
