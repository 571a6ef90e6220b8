"""The cells of one made site, before optics and camera. N cells, H W pixels of a square site.

A cell is an ellipse with a slightly irregular outline; where two overlap, a pixel belongs to the one at the smaller
elliptic distance, and the border between them counts as an edge. Textures are random windows of band-passed noise.
"""

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from kit.images.phantom.config import FLUORESCENT, CellLine, PhantomConfig
from kit.streams import made_plate

WAVELENGTHS = (24.0, 17.0, 12.2, 8.7, 6.2, 4.5)  # pixels, of the bank of noise fields
BANK_SIDE = 512  # pixels
MARGIN = 12  # pixels around the site in which cells still have their centre


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """The scene under the microscope, in units of a typical cell's signal."""

    stains: np.ndarray  # float32 [5, H, W]: Mito AGP RNA ER DNA
    thickness: np.ndarray  # float32 [H, W]: what brightfield sees
    cells: int  # cells whose centre is inside the site
    nucleus_N3: np.ndarray = field(default_factory=lambda: np.zeros((0, 3)))  # y, x, radius of all nuclei, pixels


@lru_cache(maxsize=2)
def texture_bank(config: PhantomConfig) -> np.ndarray:
    """Return float32 [6, 512, 512]: periodic Gaussian noise of mean 0 and variance 1, one octave half about each wavelength."""
    rng = made_plate(config.seed, "textures")
    frequency = np.hypot(np.fft.fftfreq(BANK_SIDE)[:, None], np.fft.rfftfreq(BANK_SIDE)[None, :])
    frequency[0, 0] = 1e-9
    bank = []
    for wavelength in WAVELENGTHS:
        band = np.exp(-0.5 * (np.log(frequency * wavelength) / 0.25) ** 2)
        noise = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((BANK_SIDE, BANK_SIDE))) * band, s=(BANK_SIDE, BANK_SIDE))
        bank.append((noise - noise.mean()) / noise.std())
    return np.stack(bank).astype(np.float32)


def texture(config: PhantomConfig, rng: np.random.Generator, wavelength: float, side: int) -> np.ndarray:
    """Return float32 [H, W], mean 0 and variance 1: a random window at this wavelength, between the bank's bands."""
    bank = texture_bank(config)
    place = float(np.clip(np.interp(-np.log(wavelength), -np.log(WAVELENGTHS), range(len(WAVELENGTHS))), 0, len(bank) - 1))
    low = min(int(place), len(bank) - 2)
    share = place - low
    y, x, y2, x2 = rng.integers(0, BANK_SIDE, 4)
    first = _window(bank[low], y, x, side) * np.float32(np.sqrt(1 - share))
    return first + _window(bank[low + 1], y2, x2, side) * np.float32(np.sqrt(share))


def _window(field: np.ndarray, y: int, x: int, side: int) -> np.ndarray:
    return field.take(range(y, y + side), axis=0, mode="wrap").take(range(x, x + side), axis=1, mode="wrap")


def draw_scene(config: PhantomConfig, line: CellLine, traits: dict[str, float], rng: np.random.Generator) -> Scene:
    """Draw one site of `line` whose untreated morphology is changed by `traits` (see config.TRAITS)."""
    side = config.side
    y_N, x_N = _place_cells(config, line, traits["count"], rng)
    if len(y_N) == 0:
        nothing = np.zeros((side, side), np.float32)
        return Scene(stains=np.stack([nothing] * FLUORESCENT), thickness=nothing, cells=0)
    cells = _Cells(config, line, traits, rng, y_N, x_N)
    inside = int(((y_N >= 0) & (y_N < side) & (x_N >= 0) & (x_N < side)).sum())
    stains, thickness = _stain(config, line, traits, rng, cells)
    nucleus_N3 = np.stack([cells.nucleus_y_N, cells.nucleus_x_N, cells.nucleus_N], axis=1)
    return Scene(stains=stains, thickness=thickness, cells=inside, nucleus_N3=nucleus_N3)


def _place_cells(config: PhantomConfig, line: CellLine, count: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return centres, pixels; each is the most isolated of four candidates, so that few cells overlap."""
    span = config.side + 2 * MARGIN
    number = int(rng.poisson(line.cells * np.exp(count) * (span / 256) ** 2))
    candidates = rng.uniform(-MARGIN, config.side + MARGIN, (number, 4, 2))
    if line.cluster_spread:
        colonies = rng.uniform(-MARGIN, config.side + MARGIN, (max(1, round(number / 4)), 2))
        drift = rng.normal(0, line.cluster_spread, candidates.shape)
        candidates = colonies[rng.integers(0, len(colonies), candidates.shape[:2])] + drift
        candidates = (candidates + MARGIN) % span - MARGIN  # what drifts out comes in on the other side: the density stays
    centres = np.empty((number, 2))
    enough = 2 * line.nucleus_radius + 2  # pixels: beyond this, loneliness does not count
    for i, options in enumerate(candidates):
        gaps = np.hypot(*(options[:, None, :] - centres[None, :i, :]).transpose(2, 0, 1)).min(axis=1, initial=enough)
        centres[i] = options[gaps.argmax()]
    return centres[:, 0], centres[:, 1]


class _Cells:
    """The outlines of a site's cells as maps: the cell of each pixel, its distance from the edge, its position in the cell."""

    def __init__(
        self,
        config: PhantomConfig,
        line: CellLine,
        traits: dict[str, float],
        rng: np.random.Generator,
        y_N: np.ndarray,
        x_N: np.ndarray,
    ):
        number = len(y_N)

        def spread() -> np.ndarray:
            return np.exp(rng.normal(0, config.cell_spread, number))

        self.side = config.side
        self.y_N, self.x_N = y_N, x_N
        self.radius_N = line.cell_radius * np.exp(traits["cell_size"]) * spread()
        self.nucleus_N = line.nucleus_radius * np.exp(traits["nucleus_size"]) * spread()
        self.aspect_N = line.aspect * np.exp(traits["elongation"]) * spread()
        self.angle_N = rng.uniform(0, np.pi, number)
        self.lobe_N2 = rng.normal(0, config.outline, (number, 2))  # cosine and sine of the third harmonic
        self.stain_N5 = np.exp(rng.normal(0, config.cell_stain, (number, FLUORESCENT))).astype(np.float32)
        round_N = rng.random(number) < config.rounded
        self.radius_N[round_N] *= 0.65
        self.nucleus_N[round_N] *= 0.8
        self.aspect_N[round_N] = 1.0
        self.stain_N5[round_N] *= 1.8
        self._own()
        self._frame(rng)

    def _own(self) -> None:
        """Find each pixel's cell (`owner_HW`), its elliptic distance, and the distance to its cell's edge in pixels."""
        side = self.side
        nearest = np.full((side, side), 9, np.float32)
        second = nearest.copy()
        self.owner_HW = np.zeros((side, side), np.int64)
        for i in range(len(self.y_N)):
            reach = 1.4 * self.radius_N[i] * np.sqrt(self.aspect_N[i])
            rows, columns = (slice(max(0, int(c - reach)), max(0, int(c + reach) + 2)) for c in (self.y_N[i], self.x_N[i]))
            y = (np.arange(side, dtype=np.float32)[rows] - np.float32(self.y_N[i]))[:, None]
            x = (np.arange(side, dtype=np.float32)[columns] - np.float32(self.x_N[i]))[None, :]
            distance = self._distance(i, y, x)
            old = nearest[rows, columns]
            closer = distance < old
            second[rows, columns] = np.minimum(second[rows, columns], np.maximum(distance, old))
            nearest[rows, columns] = np.minimum(distance, old)
            self.owner_HW[rows, columns][closer] = i
        radius = self.radius_N.astype(np.float32)[self.owner_HW]
        self.distance_HW = nearest
        self.edge_HW = np.minimum(1 - nearest, (second - nearest) / 2) * radius

    def _distance(self, i: int, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Return the distance from cell i's centre in units of its outline: 1 on the outline."""
        cos, sin = np.float32(np.cos(self.angle_N[i])), np.float32(np.sin(self.angle_N[i]))
        stretch = np.float32(np.sqrt(self.aspect_N[i]))
        u = (cos * x + sin * y) / stretch
        v = (cos * y - sin * x) * stretch
        radius = np.sqrt(u * u + v * v) + np.float32(1e-3)
        a, b = (self.lobe_N2[i]).astype(np.float32)
        lobes = (a * u * (u * u - 3 * v * v) + b * v * (3 * u * u - v * v)) / radius**3
        return radius / (np.float32(self.radius_N[i]) * (1 + lobes))

    def _frame(self, rng: np.random.Generator) -> None:
        """Find the nucleus: its elliptic distance at each pixel, its centre beside the cell's."""
        number = len(self.y_N)
        shift = rng.normal(0, 0.08, (2, number)) * self.radius_N
        self.nucleus_y_N, self.nucleus_x_N = self.y_N + shift[0], self.x_N + shift[1]
        stretch_N = self.aspect_N**0.25  # a nucleus follows half of its cell's elongation
        table = np.stack([self.nucleus_y_N, self.nucleus_x_N, np.cos(self.angle_N) / self.nucleus_N,
                          np.sin(self.angle_N) / self.nucleus_N, stretch_N]).astype(np.float32)  # fmt: skip
        cy, cx, cos, sin, stretch = table[:, self.owner_HW]
        along = np.arange(self.side, dtype=np.float32)
        y, x = along[:, None] - cy, along[None, :] - cx
        u, v = (cos * x + sin * y) / stretch, (cos * y - sin * x) * stretch
        distance = np.sqrt(u * u + v * v)
        radius = self.nucleus_N.astype(np.float32)[self.owner_HW]
        self.nucleus_HW = np.clip((1 - distance) * radius / 1.2 + 0.5, 0, 1) * (self.edge_HW > -0.5)

    def nuclear_places(
        self, number_N: np.ndarray, reach: tuple[float, float], rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return (y, x) of `number_N` random points per nucleus, at `reach` (least, most) of its radius."""
        who = np.repeat(np.arange(len(self.y_N)), number_N)
        angle = rng.uniform(0, 2 * np.pi, len(who))
        radius = np.sqrt(rng.uniform(reach[0] ** 2, reach[1] ** 2, len(who))) * self.nucleus_N[who]
        u, v = radius * np.cos(angle) * self.aspect_N[who] ** 0.25, radius * np.sin(angle) / self.aspect_N[who] ** 0.25
        cos, sin = np.cos(self.angle_N[who]), np.sin(self.angle_N[who])
        return self.nucleus_y_N[who] + sin * u + cos * v, self.nucleus_x_N[who] + cos * u - sin * v


def bumps(side: int, y: np.ndarray, x: np.ndarray, spread: float | np.ndarray) -> np.ndarray:
    """Return float32 [H, W]: the sum of Gaussian bumps of height 1 at (y, x), standard deviation `spread`, pixels."""
    spread = np.broadcast_to(np.asarray(spread, float), y.shape)
    reach = int(np.ceil(3 * spread.max(initial=0.5)))
    steps = np.arange(-reach, reach + 1)
    rows, columns = np.rint(y).astype(int)[:, None] + steps, np.rint(x).astype(int)[:, None] + steps
    rise_y = np.exp(-0.5 * ((rows - y[:, None]) / spread[:, None]) ** 2) * ((rows >= 0) & (rows < side))
    rise_x = np.exp(-0.5 * ((columns - x[:, None]) / spread[:, None]) ** 2) * ((columns >= 0) & (columns < side))
    flat = (rows.clip(0, side - 1) * side)[:, :, None] + columns.clip(0, side - 1)[:, None, :]
    heights = rise_y[:, :, None] * rise_x[:, None, :]
    return np.bincount(flat.ravel(), heights.ravel(), side * side).reshape(side, side).astype(np.float32)


def _stain(
    config: PhantomConfig, line: CellLine, traits: dict[str, float], rng: np.random.Generator, cells: _Cells
) -> tuple[np.ndarray, np.ndarray]:
    """Return the five stains [5, H, W] and the thickness [H, W] of the cells."""
    side = config.side

    def noise(wavelength: float) -> np.ndarray:
        return texture(config, rng, wavelength, side)

    body = np.clip(cells.edge_HW / 1.2 + 0.5, 0, 1)
    dome = np.sqrt(np.clip(1 - cells.distance_HW, 0, 1))  # 1 at the centre, 0 at the outline
    nucleus = cells.nucleus_HW
    outside = body * (1 - 0.85 * nucleus)
    number_N = rng.poisson(np.maximum(line.nucleoli + traits["nucleoli"], 0), len(cells.y_N))
    size = line.nucleolus_radius * np.exp(traits["nucleolus_size"])
    nucleoli = np.minimum(bumps(side, *cells.nuclear_places(number_N, (0, 0.7), rng), size), 1) * nucleus
    golgi = bumps(side, *cells.nuclear_places(np.full(len(cells.y_N), 3), (1.1, 1.5), rng), 1.5) * outside

    filaments = noise(line.mito_wavelength)
    mesh = np.exp(-((filaments / 0.45) ** 2)) / 0.303  # both of mean 1: the change of form carries no change of intensity
    dots = np.clip((noise(line.mito_wavelength) - 0.6) / 0.5, 0, 1) / 0.200
    share = np.float32(np.clip(traits["dots"], 0, 1))
    mito = outside * (0.25 + 0.75 * dome) * (0.3 + 0.7 * ((1 - share) * mesh + share * dots)) * np.exp(traits["mito_intensity"])

    width = line.edge_width * np.exp(traits["edge_width"])
    band = np.exp(-((np.clip(cells.edge_HW, 0, None) / width) ** 2)) * body
    agp = body * (0.3 + 0.25 * dome) * (1 + 0.2 * noise(12.0)) + 0.5 * golgi
    agp += line.edge_strength * np.exp(traits["edge_strength"]) * 0.6 * band
    rna = body * (0.15 + 0.85 * dome) * (1 - 0.5 * nucleus) * (1 + config.rna_contrast * noise(line.rna_wavelength))
    rna += 0.9 * nucleoli
    er = outside * (0.1 + 0.9 * dome) * np.exp(traits["er_intensity"])
    er = er * np.clip(1 + config.er_contrast * noise(line.er_wavelength * np.exp(traits["er_wavelength"])), 0, None)
    dna = nucleus * (1 + config.chromatin_contrast * noise(6.0)) * (1 - 0.45 * nucleoli)
    stains = np.stack([mito, agp, rna, er, dna]).astype(np.float32)
    stains *= cells.stain_N5.T[:, cells.owner_HW]
    thickness = body * (0.3 + 0.7 * dome) + 0.35 * nucleus + 0.15 * outside * noise(6.0) + 0.3 * nucleoli
    return np.maximum(stains, 0), thickness.astype(np.float32)
