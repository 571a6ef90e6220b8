"""The configuration of a run: one table per stage, and the values that belong to none of them."""

from dataclasses import dataclass, field
from typing import Annotated

from kit.config.channels import Groups, groups_of
from kit.config.crops import CropsConfig
from kit.config.embed import EmbedConfig
from kit.config.loss import LossConfig
from kit.config.model import ModelConfig
from kit.config.setting import setting
from kit.config.store import StoreConfig
from kit.config.train import TrainConfig
from kit.config.views import ViewsConfig
from kit.errors import UsageError
from kit.ranges import Need, check_ranges


@dataclass(frozen=True, kw_only=True, slots=True)
class RunConfig:
    """The configuration of a run."""

    recipe: str = setting("sslprofiler-local", "recipe of the run; set by --recipe")
    channels: tuple[str, ...] = setting((), "input channels, in this order; from the recipe or --channels")
    groups: Groups = field(default_factory=dict)  # of the channels, from the store; empty: by CPJUMP1's names
    plates: tuple[str, ...] = setting((), "plates to train on; empty: all in the work folder; set by --plates")
    seed: Annotated[int, Need("0 or more, below 2**63", lambda value: 0 <= value < 2**63)] = setting(
        0, "random seed of weights, samples, masks and views; set by --seed"
    )
    crops: CropsConfig = field(default_factory=CropsConfig)
    views: ViewsConfig = field(default_factory=ViewsConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    embed: EmbedConfig = field(default_factory=EmbedConfig)
    store: StoreConfig = field(default_factory=StoreConfig)  # of the work folder; `kit train` fills it in

    @property
    def channel_groups(self) -> tuple[str, ...]:
        """The group of each channel."""
        return groups_of(self.channels, self.groups)

    @property
    def inputs(self) -> int:
        """The channels that the network takes: those of a view, or one of a bag."""
        return 1 if self.model.bag else self.view_channels

    @property
    def view_channels(self) -> int:
        """The channels of a view: those of the run, or three of their composite."""
        return len(self.channels) if self.views.composite == "none" else 3

    @property
    def samples(self) -> int:
        """The samples that an image gives: one, or each channel of a bag."""
        return len(self.channels) if self.model.bag else 1

    @property
    def width(self) -> int:
        """The length of an image's class token: model.dim, once for each channel of a bag."""
        return self.model.dim * self.samples

    @property
    def any_channels(self) -> bool:
        """Whether the trained network takes other channels than it was trained on."""
        return self.model.bag or self.model.stem == "mixer"

    def __post_init__(self) -> None:
        check_ranges(self)
        wrong = []
        if self.model.bag and self.views.composite != "none":
            wrong.append("model.bag = true needs views.composite = none: a bag sees channels one by one")
        if self.loss.drop_channels != "none" and self.model.stem != "mixer":
            wrong.append(f"loss.drop_channels = {self.loss.drop_channels} needs model.stem = mixer (or set it to none)")
        if self.loss.objective == "mae" and self.model.stem == "mixer":
            wrong.append("loss.objective = mae needs model.stem = patch, energy or patch+energy: a mixer sees the hidden patches")
        if self.loss.local_aggregation and not self.crops.second_site and self.loss.objective != "mae":
            wrong.append("loss.local_aggregation = true needs crops.second_site = true (or set it to false)")
        if self.loss.objective != "dino" and self.crops.local_crops:
            wrong.append(f"loss.objective = {self.loss.objective} has no local crops: set crops.local_crops = 0")
        for table, key in (("crops", "global_side"), ("crops", "local_side"), ("model", "position_side"), ("embed", "side")):
            side, used = getattr(getattr(self, table), key), key != "local_side" or self.crops.local_crops
            if used and side % self.model.patch:
                wrong.append(f"{table}.{key} = {side}: need a multiple of model.patch = {self.model.patch}")
        for key, names in self.views.channels_named().items():
            absent = [name for name in names if self.channels and name not in self.channels]
            if absent:
                wrong.append(f"views.{key} names {absent[0]}, which is no channel of the run: {', '.join(self.channels)}")
        if wrong:
            raise UsageError("; ".join(wrong))
