"""Made profiles: plates of wells with DMSO among them, shifted far from each other on purpose."""

import numpy as np
import pandas as pd

from kit.profiles.table import Profiles


def make_profiles(
    plates: int = 3, wells: int = 40, controls: int = 16, features: int = 5, shift: float = 50.0, seed: int = 0
) -> Profiles:
    rng = np.random.default_rng(seed)
    mixing = rng.standard_normal((min(features, 40), features))
    who = pd.DataFrame(
        [
            {
                "Metadata_Plate": f"P{plate}",
                "Metadata_Well": f"A{well + 1:02d}",
                "Metadata_broad_sample": "" if well < controls else f"BRD-{well}",
            }
            for plate in range(plates)
            for well in range(wells)
        ]
    )
    features_MF = rng.standard_normal((len(who), len(mixing))) @ mixing
    features_MF += 0.1 * rng.standard_normal(features_MF.shape)
    features_MF += shift * rng.standard_normal((plates, features)).repeat(wells, axis=0)
    return Profiles(features_MF=features_MF.astype(np.float32), who=who, names=tuple(f"f{index}" for index in range(features)))
