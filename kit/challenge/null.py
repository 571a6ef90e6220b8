"""What features without any compound signal score after the same post-processing."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from kit.challenge.score import score
from kit.images.metadata import Metadata
from kit.profiles.align import align
from kit.profiles.table import Profiles


def noise_like(profiles: Profiles, seed: int) -> Profiles:
    """Return the same wells with independent standard normal features, as many as there are."""
    noise_MF = np.random.default_rng(seed).standard_normal(profiles.features_MF.shape, dtype=np.float32)
    return replace(profiles, features_MF=noise_MF, steps=({"step": "noise", "seed": seed},))


def align_beside_noise(
    profiles: Profiles,
    metadata: Path | Metadata,
    aligns: Sequence[float | None] = (None, 0.9, 0.7),
    *,
    seed: int = 0,
    **rules: Any,
) -> dict[str, dict[str, Any]]:
    """Return the scores of profiles and of noise in their place, at each `--align`: {"features, align off": score ...}.

    `profiles` are not aligned yet. Where position determines the compound, noise gains with the features: that gain is leakage.
    """
    rows = {}
    for a in aligns:
        for name, own in (("features", profiles), ("pure noise", noise_like(profiles, seed))):
            aligned = own if a is None else align(own, a)
            rows[f"{name}, align {'off' if a is None else a}"] = score(aligned, metadata, **rules)
    return rows
