"""Table [store] of a run: the settings of the work folder that it was trained on."""

from dataclasses import dataclass

from kit.config.setting import setting
from kit.errors import UsageError

SCALES = ("image", "image-robust", "plate-percentile")


@dataclass(frozen=True, kw_only=True, slots=True)
class StoreConfig:
    """How counts became stored pixels, the same for all plates of a store: store.toml, and table [store] of its runs."""

    scale: str = setting(
        "image",
        "image: each image's own minimum and maximum; image-robust: its percentiles 0.1 and 99.9, isolated hot pixels replaced; "
        "plate-percentile: percentiles 0.1 and 99.9 per plate and channel",
    )
    bits: int = setting(8, "8: grey levels; 16: camera counts, scaled when read")
    size: int = setting(0, "longer side after area averaging, pixels; 0: original size")
    codec: str = setting("zstd", "codec of the stored pixels")
    illumination: bool = setting(False, "counts are divided by the plate's illumination functions before scaling")

    def __post_init__(self) -> None:
        if self.scale not in SCALES:
            raise UsageError(f"--scale {self.scale}: need {', '.join(SCALES[:-1])} or {SCALES[-1]}")
        if self.bits not in (8, 16):
            raise UsageError(f"--bits {self.bits}: need 8 or 16")
        if self.size < 0:
            raise UsageError(f"--size {self.size}: need the longer side in pixels, at least 1")
