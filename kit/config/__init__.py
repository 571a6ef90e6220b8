"""Every value of a run: one frozen dataclass per stage. recipe.py reads them from TOML and stores them with the run.

A default is the paper's value if it gives one, otherwise ours; its meaning says which, as the recipes do. SSLProfiler 1 and 2
are the two versions of the paper, DINOv2 is arXiv:2304.07193.
"""

from kit.config.channels import CHANNEL_GROUPS, CHANNELS, channel_names
from kit.config.crops import CropsConfig
from kit.config.embed import EmbedConfig
from kit.config.loss import LossConfig
from kit.config.made_for import MadeFor
from kit.config.model import ModelConfig
from kit.config.run import RunConfig
from kit.config.store import SCALES, StoreConfig
from kit.config.train import TrainConfig
from kit.config.views import ViewsConfig

__all__ = [
    "CHANNELS", "CHANNEL_GROUPS", "SCALES", "CropsConfig", "EmbedConfig", "LossConfig", "MadeFor", "ModelConfig", "RunConfig",
    "StoreConfig", "TrainConfig", "ViewsConfig", "channel_names",
]  # fmt: skip
