"""The parameters of the made plates: their appearance and difficulty.

Lengths are pixels of a made site, strengths are natural logarithms of a factor (+0.30 = x 1.35), spreads are standard
deviations of such a logarithm, unless a comment says otherwise. The defaults were fixed before any training on them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields

import numpy as np

from kit.errors import UsageError

# What a compound can change. `nucleoli` adds a number per nucleus and `dots` replaces that share of the filaments;
# all others are logarithms of a factor.
TRAITS = (
    "nucleus_size", "count", "elongation", "er_wavelength", "nucleoli", "nucleolus_size", "dots",
    "edge_width", "edge_strength", "mito_intensity", "er_intensity", "cell_size",
)  # fmt: skip

# Name and traits at full strength, in the order in which a smaller library takes them.
EFFECTS: tuple[tuple[str, dict[str, float]], ...] = (
    ("nucleus-large", {"nucleus_size": 0.30}),
    ("fewer-cells", {"count": -0.70}),
    ("inert-1", {}),
    ("er-fine", {"er_wavelength": -0.53}),
    ("dots", {"dots": 1.0}),
    ("elongated", {"elongation": 0.45}),
    ("mito-bright", {"mito_intensity": 0.70}),
    ("nucleoli-many", {"nucleoli": 5.0}),
    ("actin-edge", {"edge_width": 0.50, "edge_strength": 0.80}),
    ("nucleus-small", {"nucleus_size": -0.28}),
    ("er-coarse", {"er_wavelength": 0.53}),
    ("er-dim", {"er_intensity": -0.70}),
    ("nucleolus-large", {"nucleolus_size": 0.60}),
    ("cells-small-er-fine", {"cell_size": -0.25, "er_wavelength": -0.35}),
    ("mixture-1", {"nucleus_size": 0.08, "mito_intensity": 0.25, "count": -0.15}),
    ("mixture-2", {"elongation": 0.12, "er_wavelength": 0.15, "edge_strength": 0.20}),
    ("mixture-3", {"dots": 0.20, "nucleoli": 1.0, "cell_size": -0.06}),
    ("inert-2", {}),
)

# How far a well position shifts a trait at position_artefact = 1, standard deviation over positions.
POSITION_TRAITS = {"nucleus_size": 0.10, "count": 0.30, "er_wavelength": 0.20, "mito_intensity": 0.30, "er_intensity": 0.30}

FLUORESCENT = 5  # of the eight channels; the other three are brightfield


@dataclass(frozen=True, kw_only=True, slots=True)
class CellLine:
    """The untreated morphology of one cell line."""

    name: str  # written as Cell_type
    cells: float  # expected cells in 256 x 256 pixels
    nucleus_radius: float  # pixels, of a circle of the same area
    cell_radius: float  # pixels, likewise
    aspect: float  # long over short axis
    cluster_spread: float  # standard deviation of a cell about its colony's centre, pixels; 0: no colonies
    er_wavelength: float  # pixels
    rna_wavelength: float  # pixels
    mito_wavelength: float  # pixels; spacing of the filaments
    nucleoli: float  # expected number per nucleus
    nucleolus_radius: float  # pixels
    edge_width: float  # pixels; the actin band along the cell's border
    edge_strength: float  # its height over the AGP signal of the cell


U2OS_LIKE = CellLine(
    name="U2OS", cells=26, nucleus_radius=7.0, cell_radius=18.0, aspect=1.35, cluster_spread=0, er_wavelength=10.0,
    rna_wavelength=7.0, mito_wavelength=8.0, nucleoli=2.5, nucleolus_radius=1.3, edge_width=1.6, edge_strength=0.8,
)  # fmt: skip
A549_LIKE = CellLine(
    name="A549", cells=38, nucleus_radius=5.8, cell_radius=13.5, aspect=1.12, cluster_spread=24, er_wavelength=8.0,
    rna_wavelength=9.0, mito_wavelength=6.5, nucleoli=1.8, nucleolus_radius=1.1, edge_width=1.4, edge_strength=1.1,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class PhantomConfig:
    """The made plates: layout, morphology, effects, nuisances, seed. The same values give the same bytes."""

    seed: int = 0  # of everything random; also in the batch's name
    # Layout
    lines: tuple[CellLine, ...] = (U2OS_LIKE, A549_LIKE)  # cell lines
    plates_per_line: int = 4
    wide_plates_per_line: int = 1  # the last of a line's plates that are imaged at all sixteen places instead of nine
    compounds: int = len(EFFECTS)  # the first of EFFECTS; beyond them the same effects at lower doses
    wells_per_compound: int = 2  # positions of a compound, the same on every plate
    dmso_wells: int = 8  # per plate, spread over it
    side: int = 168  # pixels of a site
    pixel_um: float = 1.19595  # micrometres per pixel: 20x, binned twice as coarsely as CPJUMP1
    missing_wells: float = 0.03  # share of wells that lack one or two of their sites
    # Effects
    strength: float = 1.0  # of every compound, times the traits of EFFECTS
    doses: tuple[float, ...] = (1.0, 0.5, 0.25)  # strength of the first, second, third compound of one effect
    line_response: tuple[float, float] = (0.8, 1.2)  # a line's response to a compound, uniform, times the traits
    well_response: float = 0.08  # spread of one well's response
    position_artefact: float = 0.0  # times POSITION_TRAITS: a shift that belongs to the well position on every plate
    # Cells
    cell_spread: float = 0.10  # spread of size and aspect from cell to cell
    cell_stain: float = 0.25  # spread of the stain from cell to cell, per channel
    rounded: float = 0.04  # share of cells that have rounded up: small, round and bright
    well_cells: float = 0.15  # spread of the number of cells from well to well
    outline: float = 0.07  # how far an outline departs from an ellipse, share of the radius
    er_contrast: float = 0.45  # standard deviation of the texture over its mean
    rna_contrast: float = 0.25  # likewise
    chromatin_contrast: float = 0.20  # likewise
    debris: float = 0.08  # share of sites with debris
    # Plates
    plate_gain: float = 0.35  # spread of the gain, per channel
    plate_background: float = 0.40  # spread of the background, per channel
    plate_stain: float = 0.30  # spread of the stain's strength, per channel
    blur_px: tuple[float, float] = (0.7, 1.2)  # standard deviation of the blur, uniform over plates, pixels
    gradient: float = 0.08  # standard deviation of the illumination's slope from centre to edge, per plate and channel
    vignette: float = 0.12  # share of the light missing in the corners
    # Wells: variation that plate-wise correction cannot remove, so that intensity does not reveal the compound
    well_gain: float = 0.25  # spread of the gain, per channel
    well_background: float = 0.30  # spread of the background, per channel
    well_stain: float = 0.20  # spread of the stain's strength, per channel
    # Camera
    offset: float = 150.0  # counts without light
    background: tuple[float, ...] = (800, 500, 450, 300, 350)  # counts, Mito AGP RNA ER DNA
    signal: tuple[float, ...] = (3500, 4500, 6500, 5000, 8000)  # counts of a typical cell, likewise
    counts_per_electron: float = 1.0  # shot noise: variance in counts = this x counts
    read_noise: float = 8.0  # counts
    hot_images: float = 0.02  # share of images with one to three pixels at 65535
    # Brightfield
    brightfield: float = 20500.0  # counts of the empty field
    brightfield_plate: float = 0.02  # spread of it, per plate and channel
    brightfield_contrast: float = 0.08  # of a cell's edges, share of the empty field
    brightfield_gradient: float = 0.015  # standard deviation of the slope from centre to edge, per plate and channel

    def __post_init__(self) -> None:
        wrong = [f"{key} = {getattr(self, key)}: need {need}" for holds, key, need in self._needs() if not holds]
        if wrong:
            raise UsageError("; ".join(wrong))

    def _needs(self) -> Iterator[tuple[bool, str, str]]:
        """Yield whether it holds, the field, and what it needs."""
        yield 0 <= self.seed < 2**63, "seed", "0 or more, below 2**63"
        yield len(self.lines) > 0, "lines", "at least one cell line"
        yield len({line.name for line in self.lines}) == len(self.lines), "lines", "different names"
        for key in ("plates_per_line", "compounds", "wells_per_compound"):
            yield getattr(self, key) >= 1, key, "at least 1"
        yield self.dmso_wells >= 0, "dmso_wells", "0 or more"
        yield 0 <= self.wide_plates_per_line <= self.plates_per_line, "wide_plates_per_line", "0 to plates_per_line"
        most = len(EFFECTS) * len(self.doses)
        yield self.compounds <= most, "compounds", f"at most {most}: {len(EFFECTS)} effects x {len(self.doses)} doses"
        yield self.wells_per_plate <= 384, "compounds", f"at most 384 wells a plate, not {self.wells_per_plate}"
        yield 32 <= self.side <= 4096, "side", "32 to 4096 pixels"
        for key in ("missing_wells", "rounded", "debris", "hot_images", "outline", "vignette"):
            yield 0 <= getattr(self, key) <= 1, key, "a share, 0 to 1"
        for key in ("background", "signal"):
            yield len(getattr(self, key)) == FLUORESCENT, key, f"{FLUORESCENT} values, one per fluorescent channel"
        for key in ("line_response", "blur_px"):
            least, most = getattr(self, key)
            yield 0 <= least <= most, key, "0 <= min <= max"
        for key in ("pixel_um", "counts_per_electron", "brightfield"):
            yield getattr(self, key) > 0, key, "more than 0"
        for entry in fields(self):
            if entry.type in (float, "float"):
                value = getattr(self, entry.name)
                yield 0 <= value < np.inf, entry.name, "a finite number, 0 or more"

    @property
    def batch(self) -> str:
        """The batch's name: says that the plates are made."""
        return f"MADE_{self.seed}"

    @property
    def wells_per_plate(self) -> int:
        """Compound wells and DMSO wells."""
        return self.compounds * self.wells_per_compound + self.dmso_wells


@dataclass(frozen=True, kw_only=True, slots=True)
class Compound:
    """One made compound: its place in the library and what it does at this configuration's strength."""

    index: int
    name: str
    traits: dict[str, float] = field(default_factory=dict)

    @property
    def broad_sample(self) -> str:
        """The label: in the form of a broad_sample, clearly made."""
        return f"MADE-K{self.index + 1:08d}-001-01-1"

    @property
    def inchikey(self) -> str:
        """A key in the form of an InChIKey that belongs to no molecule."""
        letters = "".join(chr(ord("A") + self.index // 26**place % 26) for place in (3, 2, 1, 0))
        return f"MADEMADEMA{letters}-UHFFFAOYSA-N"


def library(config: PhantomConfig) -> list[Compound]:
    """Return the compounds of the made library in order."""
    made = []
    for index in range(config.compounds):
        name, traits = EFFECTS[index % len(EFFECTS)]
        dose = config.doses[index // len(EFFECTS)]
        name = f"made-{name}" if dose == config.doses[0] else f"made-{name}-at-{dose:g}"
        traits = {key: value * dose * config.strength for key, value in traits.items()}
        made.append(Compound(index=index, name=name, traits=traits))
    return made
