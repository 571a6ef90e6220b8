"""The network of an objective, with its first weights."""

from kit.config import LossConfig, ModelConfig
from kit.model.dino import seeded_network
from kit.model.mae import seeded_mae
from kit.model.simclr import seeded_simclr
from kit.model.trained import Trained

_MAKE = {"dino": seeded_network, "simclr": seeded_simclr, "mae": seeded_mae}


def seeded_trained(model: ModelConfig, loss: LossConfig, channels: int, seed: int) -> Trained:
    """Return the backbone and heads of `loss.objective`; the weights depend on the seed alone, the backbone's on nothing else."""
    return _MAKE[loss.objective](model, loss, channels, seed)
