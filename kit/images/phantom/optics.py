"""From a scene to camera counts: stain, background, gain, illumination, blur, noise, debris, hot pixels. H W pixels."""

from dataclasses import dataclass

import numpy as np

from kit.images.phantom.cells import Scene, bumps
from kit.images.phantom.config import FLUORESCENT, PhantomConfig
from kit.streams import made_plate

BRIGHTFIELD_FOCUS = (1.0, -0.8, 0.4)  # sign and share of the contrast: focus above, below, in the cells
TOP = 65535  # counts at which the camera saturates


@dataclass(frozen=True, kw_only=True, slots=True)
class Exposure:
    """How one well of one plate is stained, lit and recorded; 5 fluorescent or 8 channels."""

    gain_8: np.ndarray  # brightfield: relative to the empty field
    background_5: np.ndarray
    stain_5: np.ndarray
    slope_82: np.ndarray  # illumination, from centre to edge, along y and x
    blur_px: float


def plate_exposure(config: PhantomConfig, plate: int) -> Exposure:
    """Draw what a whole plate shares."""
    rng = made_plate(config.seed, "plate", plate)
    spread = np.repeat([config.plate_gain, config.brightfield_plate], [FLUORESCENT, 3])
    slope = np.repeat([config.gradient, config.brightfield_gradient], [FLUORESCENT, 3])
    return Exposure(
        gain_8=np.exp(rng.normal(0, spread)),
        background_5=np.exp(rng.normal(0, config.plate_background, FLUORESCENT)),
        stain_5=np.exp(rng.normal(0, config.plate_stain, FLUORESCENT)),
        slope_82=rng.normal(0, 1, (8, 2)) * slope[:, None],
        blur_px=rng.uniform(*config.blur_px),
    )


def well_exposure(config: PhantomConfig, plate: Exposure, rng: np.random.Generator) -> Exposure:
    """Vary a plate's exposure for one well: what no plate-wise correction can remove."""
    gain = np.concatenate([np.exp(rng.normal(0, config.well_gain, FLUORESCENT)), np.ones(3)])
    return Exposure(
        gain_8=plate.gain_8 * gain,
        background_5=plate.background_5 * np.exp(rng.normal(0, config.well_background, FLUORESCENT)),
        stain_5=plate.stain_5 * np.exp(rng.normal(0, config.well_stain, FLUORESCENT)),
        slope_82=plate.slope_82,
        blur_px=plate.blur_px,
    )


def photograph(config: PhantomConfig, scene: Scene, exposure: Exposure, rng: np.random.Generator) -> np.ndarray:
    """Return the eight channels of one site, uint16 counts [8, H, W]."""
    stains = scene.stains + _debris(config, rng)
    light = np.empty((8, config.side, config.side), np.float32)
    for channel in range(FLUORESCENT):
        background = config.background[channel] * exposure.background_5[channel]
        stain = config.signal[channel] * exposure.stain_5[channel]
        light[channel] = background + stain * stains[channel]
    relief = _relief(scene.thickness + 0.3 * (stains - scene.stains)[0])
    for channel, focus in enumerate(BRIGHTFIELD_FOCUS, start=FLUORESCENT):
        light[channel] = config.brightfield * (1 + config.brightfield_contrast * focus * relief)
    light = _blur(light, exposure.blur_px) * _illumination(config, exposure) * exposure.gain_8.astype(np.float32)[:, None, None]
    spread = np.sqrt(config.counts_per_electron * np.maximum(light, 0) + config.read_noise**2)
    counts = light + config.offset + spread * rng.standard_normal(light.shape, dtype=np.float32)
    image = np.clip(np.rint(counts), 0, TOP).astype(np.uint16)
    for channel in np.flatnonzero(rng.random(8) < config.hot_images).tolist():
        y, x = rng.integers(0, config.side, (2, rng.integers(1, 4)))
        image[channel, y, x] = TOP
    return image


def _debris(config: PhantomConfig, rng: np.random.Generator) -> np.ndarray:
    """Return bright specks in all stains, float32 [5, H, W], or zeros for most sites."""
    if rng.random() >= config.debris:
        return np.zeros((FLUORESCENT, 1, 1), np.float32)
    number = int(rng.integers(1, 3))
    y, x = rng.uniform(0, config.side, (2, number))
    speck = bumps(config.side, y, x, rng.uniform(1.5, 4.0, number))
    return (rng.uniform(0.5, 3.0, (FLUORESCENT, 1, 1)) * speck).astype(np.float32)


def _relief(thickness: np.ndarray) -> np.ndarray:
    """Return the curvature of the thickness at a scale of two pixels, about -1 to 1: what defocus turns into contrast."""
    near, far = _blur(thickness[None], 0.7)[0], _blur(thickness[None], 2.0)[0]
    return 3 * (near - far)


def _illumination(config: PhantomConfig, exposure: Exposure) -> np.ndarray:
    along = np.linspace(-1, 1, config.side, dtype=np.float32)
    y, x = along[:, None], along[None, :]
    slope = exposure.slope_82.astype(np.float32)
    corner = np.repeat([config.vignette, 0.0], [FLUORESCENT, 3]).astype(np.float32)[:, None, None]
    return (1 + slope[:, 0, None, None] * y + slope[:, 1, None, None] * x) * (1 - corner * (y * y + x * x) / 2)


def _blur(image: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur of [C, H, W] with mirrored borders, in a fixed order of additions: the same bits everywhere."""
    reach = int(np.ceil(3 * sigma))
    weights = np.exp(-0.5 * (np.arange(reach + 1) / sigma) ** 2)
    weights = (weights / (weights[0] + 2 * weights[1:].sum())).astype(np.float32)
    for axis in (1, 2):
        pad = [(0, 0), (0, 0), (0, 0)]
        pad[axis] = (reach, reach)
        padded = np.pad(image, pad, mode="symmetric")
        size = image.shape[axis]

        def shifted(step: int, padded: np.ndarray = padded, axis: int = axis, size: int = size) -> np.ndarray:
            return padded[(slice(None),) * axis + (slice(reach + step, reach + step + size),)]

        image = shifted(0) * weights[0]
        for step in range(1, reach + 1):
            image += weights[step] * (shifted(-step) + shifted(step))
    return image
