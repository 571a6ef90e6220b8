"""Bytes that a run writes: checkpoints, the features of sites, profiles and the CSV. What it reads is in footprint."""

from collections.abc import Sequence

from kit.model.cost import parameter_count
from kit.model.footprint import PARTS, PLACES, VALUE_BYTES, gb
from kit.model.networks import Network

PER_PARAMETER = 16  # of a checkpoint: student, teacher and two moments, float32
SITE_PARTS = 3  # what kit embed writes of a site: CLS, mean and SD of the patch tokens


def working_text(networks: Sequence[Network], limit: float, *, averaged: bool = False) -> str:
    """Return what training, embedding and submitting these networks writes, and whether that is below `limit` bytes."""
    size = working_bytes(networks, averaged=averaged)
    return f"about {gb(size)} of {gb(limit)}: {'fits' if size < limit else 'too much'}; checkpoints, features, profiles and CSV"


def working_bytes(networks: Sequence[Network], *, averaged: bool = False) -> float:
    """Return the bytes that training, embedding and submitting these networks writes, with a checkpoint just being saved."""
    size = 0.0
    for network in networks:
        config, channels = network.config, network.config.view_channels
        size += (config.train.keep + 1) * PER_PARAMETER * parameter_count(config.model, config.loss, channels)
        size += 4 * network.sites * SITE_PARTS * config.width
        size += network.wells * (1 if averaged else PLACES) * PARTS * config.width * (4 + VALUE_BYTES)
    return size
