"""Online k-NN: are wells of one perturbation neighbours across plates? The only check that reveals every kind of failure.

M wells, D embedding. It reads labels, so it only measures: it never trains and chooses nothing but
which checkpoint to keep.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from kit.config import RunConfig
from kit.images.cells.table import CellsOfSites, read_cells
from kit.images.crops.frames import middle_px, shown_corners
from kit.images.crops.preparation import Preparation
from kit.images.store.work import Work
from kit.model.vectors import site_vectors
from kit.model.vit import Vit
from kit.neighbours import gram, nearest, vote
from kit.streams import Stream, generator

WELL = ["Metadata_Plate", "Metadata_Well"]
LABEL = "label"  # the values of the labels' perturbation column
SITES = 4  # of a well, at most
CELLS = 8  # of a site, at most
NEIGHBOURS = 5
_LEAST_NORM = 1e-12  # a shorter row has no direction but that of rounding


@dataclass(frozen=True)
class Validation:
    """The wells to look at: one row a site, with its well and label."""

    sites: pd.DataFrame
    chance: float  # one over the number of labels

    @classmethod
    def of(cls, rows: list[list]) -> "Validation":
        """Return the validation of these sites; a row is plate, well, site, label."""
        sites = pd.DataFrame(rows, columns=[*WELL, "Metadata_Site", LABEL])
        return cls(sites, 1 / sites[LABEL].nunique())

    def rows(self) -> list[list]:
        """Return the sites as plain values, for `of`."""
        return self.sites[[*WELL, "Metadata_Site", LABEL]].to_numpy(object).tolist()

    @property
    def wells(self) -> pd.DataFrame:
        return self.sites.drop_duplicates(WELL)


def choose_wells(work: Work, config: RunConfig) -> Validation | None:
    """Return up to `train.knn_wells` treated wells a plate, treatments that are on most plates first; None without any pair.

    The choice depends on the seed alone. Controls and wells without a label are left out.
    """
    wells = work.wells
    if work.perturbation not in wells:
        return None
    if "Metadata_is_control" in wells:
        wells = wells[~wells["Metadata_is_control"]]
    wells = wells[[*WELL, work.perturbation]].rename(columns={work.perturbation: LABEL})
    wells = wells[wells[LABEL].fillna("").astype(str) != ""]
    spread = wells.groupby(LABEL)["Metadata_Plate"].nunique()
    wells = wells[wells[LABEL].map(spread) > 1]
    if wells.empty:
        return None
    order = generator(config.seed, Stream.KNN_WELLS).permutation(sorted(wells[LABEL].unique()))
    rank = {label: place - 10_000_000 * int(spread[label]) for place, label in enumerate(order)}
    wells = wells.assign(rank=wells[LABEL].map(rank)).sort_values(["Metadata_Plate", "rank", "Metadata_Well"], kind="stable")
    wells = wells.groupby("Metadata_Plate", sort=True).head(config.train.knn_wells)
    wells = wells[wells[LABEL].map(wells.groupby(LABEL)["Metadata_Plate"].nunique()) > 1]
    sites = work.sites_with(config.channels)[[*WELL, "Metadata_Site"]].merge(wells, on=WELL)
    sites = sites.sort_values([*WELL, "Metadata_Site"], kind="stable").groupby(WELL).head(SITES).reset_index(drop=True)
    return None if sites.empty else Validation(sites, 1 / sites[LABEL].nunique())


def embed_wells(
    network: Vit,
    work: Work,
    validation: Validation,
    config: RunConfig,
    mean_C: Tensor,
    sd_C: Tensor,
    autocast: torch.dtype | None,
) -> np.ndarray:
    """Return the mean [CLS ; mean patch token] of each well's sites, float64 [M, 2 D], in the order of `validation.wells`."""
    to_vectors = partial(
        site_vectors,
        network,
        mean_C=mean_C,
        sd_C=sd_C,
        side=config.embed.side,
        crop=config.embed.crop,
        views=config.views,
        autocast=autocast,
    )
    size, vectors, rows = config.embed.batch, [], []
    images = _images(work, validation, config)
    while batch := list(itertools.islice(images, size)):
        image_BCHW = np.stack([image_CHW for image_CHW, _ in batch])
        vectors.append(to_vectors(torch.from_numpy(image_BCHW))[:, : 2 * config.width].double().cpu().numpy())
        rows += [row for _, row in batch]
    of_sites = np.zeros((len(validation.sites), 2 * config.width))
    np.add.at(of_sites, rows, np.concatenate(vectors))
    of_sites /= np.bincount(rows)[:, None]
    frame = validation.sites.groupby(WELL, sort=False).ngroup().to_numpy()
    sums = np.zeros((frame.max() + 1, 2 * config.width))
    np.add.at(sums, frame, of_sites)
    return sums / np.bincount(frame)[:, None]


def _images(work: Work, validation: Validation, config: RunConfig) -> Iterator[tuple[np.ndarray, int]]:
    """Yield what a network is shown of each site, uint8 [C, H, W], and the site's row: the whole of it, or a few of its cells."""
    cells = None
    if config.crops.around == "cell":
        plates = sorted(set(validation.sites["Metadata_Plate"]))
        cells = CellsOfSites.of(validation.sites, read_cells(work, plates))
    who: list[tuple[str, str, int]] = list(validation.sites[[*WELL, "Metadata_Site"]].itertuples(index=False, name=None))
    prepare = Preparation.of_run(config)
    for row, key in enumerate(who):
        site_CHW = prepare(work.read_site(*key, config.channels))
        if cells is None:
            yield site_CHW, row
            continue
        px = middle_px(config.crops)
        for top, left in shown_corners(cells.places(row), px, site_CHW.shape[1:], CELLS).tolist():
            yield site_CHW[:, top : top + px, left : left + px], row


def neighbour_accuracy(features_MD: np.ndarray, plate_M: np.ndarray, label_M: np.ndarray, k: int = NEIGHBOURS) -> float:
    """Return the share of wells whose `k` nearest wells on other plates mostly carry their label.

    Features are centred per plate; cosine; the label with most votes wins, of equals the one nearest. Wells whose label is
    on no other plate do not count; NaN where none does.
    """
    centred_MD = features_MD.copy()
    for plate in np.unique(plate_M):
        centred_MD[plate_M == plate] -= centred_MD[plate_M == plate].mean(0)
    unit_MD = centred_MD / np.maximum(np.linalg.norm(centred_MD, axis=1, keepdims=True), _LEAST_NORM)
    distance_MM = -gram(unit_MD)  # of unit rows: minus the cosine
    hits = []
    for plate in np.unique(plate_M):
        others = np.flatnonzero(plate_M != plate)
        wells = np.flatnonzero((plate_M == plate) & np.isin(label_M, label_M[others]))
        if len(wells):
            near_Qk = others[nearest(distance_MM[np.ix_(wells, others)], min(k, len(others)))]
            hits.append(vote(label_M[near_Qk], "nearest") == label_M[wells])
    return float(np.mean(np.concatenate(hits))) if hits else float("nan")


def validate(
    network: Vit,
    work: Work,
    validation: Validation,
    config: RunConfig,
    mean_C: Tensor,
    sd_C: Tensor,
    autocast: torch.dtype | None = None,
) -> float:
    """Return the accuracy of a network on the validation wells."""
    features = embed_wells(network, work, validation, config, mean_C, sd_C, autocast)
    wells = validation.wells
    return neighbour_accuracy(features, wells["Metadata_Plate"].to_numpy(), wells[LABEL].to_numpy())
