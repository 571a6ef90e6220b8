"""All of a run: one configuration per stage, and what belongs to none of them."""

from dataclasses import dataclass, field
from typing import Annotated

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
    """All of a run."""

    recipe: str = setting("sslprofiler-local", "the recipe that the run was made from; --recipe names it")
    channels: tuple[str, ...] = setting((), "what the network sees, in this order; the recipe's, or --channels")
    plates: tuple[str, ...] = setting((), "train on these alone; none named: on all of the work folder; --plates")
    seed: Annotated[int, Need("0 or more, below 2**63", lambda value: 0 <= value < 2**63)] = setting(
        0, "of weights, samples, masks and views; --seed"
    )
    crops: CropsConfig = field(default_factory=CropsConfig)
    views: ViewsConfig = field(default_factory=ViewsConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    embed: EmbedConfig = field(default_factory=EmbedConfig)
    store: StoreConfig = field(default_factory=StoreConfig)  # of the work folder; `kit train` fills it in

    def __post_init__(self) -> None:
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
