"""The plates of the part learn, packed: made plates of 256 px, and the real fields that were copied beside the checkout.

M wells, N sites, C channels, H W pixels, F features.
"""

import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from kit.images.ingest.plan import IngestPlan
from kit.images.phantom.plates import PhantomConfig, make_plates
from kit.images.store.work import Work, open_work
from kit.profiles.embed import embed
from kit.profiles.embedded import open_runs
from kit.profiles.table import PLATE, SITE, WELL
from kit.trials.fields_table import read_fields, write_load_data
from kit.trials.packing import packed
from kit.trials.weeks import correct, guess

SEED, SIDE = 13, 256  # of the made plates
SITES = 4  # of a well that are scored, at most
KEY = [PLATE, WELL, SITE]


@dataclass(frozen=True)
class Data:
    """Packed plates and what their wells are: columns plate, week, compound, treatment, mechanism of each scored well.

    Wells are compared within a week, on other plates; made plates have a cell line in its place.
    """

    name: str
    work: Work
    wells: pd.DataFrame
    sites: pd.DataFrame  # the scored sites: plate, well, site, and `place` of their well in `wells`
    asked: tuple[str, ...]

    @property
    def channels(self) -> tuple[str, ...]:
        """What the networks are trained on: the stains."""
        groups = self.work.groups
        return tuple(groups.get("fluorescence", self.work.channels))

    def pixels(self) -> np.ndarray:
        """Return the scored sites, uint8 [N, C, H, W]."""
        who = self.sites[KEY].itertuples(index=False, name=None)
        return np.stack([self.work.read_site(plate, well, site, self.channels) for plate, well, site in who])

    def merged(self, features_NF: np.ndarray) -> np.ndarray:
        """Return the mean of each well's sites, float64 [M, F]."""
        place_N = self.sites["place"].to_numpy()
        sums_MF = np.zeros((len(self.wells), features_NF.shape[1]))
        np.add.at(sums_MF, place_N, features_NF.astype(np.float64))
        return sums_MF / np.bincount(place_N, minlength=len(self.wells))[:, None]

    def score(self, features_NF: np.ndarray) -> dict[str, float]:
        """Return the accuracy of each question: nearest well, cosine, columns standardised within the week; no other step."""
        found = correct([self.merged(features_NF)], self.wells)
        return {name: float(found[name].mean()) for name in self.asked}

    def guessed(self) -> dict[str, float]:
        """Return what drawing any well that may be a neighbour would score."""
        found = guess(self.wells)
        return {name: float(found[name].mean()) for name in self.asked}

    def by_hand(self, baseline: str) -> dict[str, float]:
        """Return the score of a baseline that needs no training: intensity or texture."""
        embed(self.work, "hand", baseline=baseline, channels=self.channels)
        embedded = open_runs(self.work, [f"hand-{baseline}"], ("cls", "patch"))[0]
        read = [embedded.read(plate) for plate in embedded.files]
        who = pd.concat([who for _, who in read], ignore_index=True)
        rows = pd.Series(range(len(who)), index=pd.MultiIndex.from_frame(who[KEY]))
        order = rows.loc[list(self.sites[KEY].itertuples(index=False, name=None))].to_numpy()
        return self.score(np.concatenate([features_NF for features_NF, _ in read])[order])


def made_plates(folder: Path, *, small: bool) -> Data:
    """Return made plates of 256 px, three of each cell line; made and packed anew if they are not there whole."""
    config = PhantomConfig(seed=SEED, side=SIDE, plates_per_line=3, wide_plates_per_line=0)
    if small:
        config = replace(config, side=64, plates_per_line=2, compounds=4, wells_per_compound=1, dmso_wells=1)
    plates, work = folder / "plates", folder / "work"
    if not (work / "store.toml").is_file():
        shutil.rmtree(plates, ignore_errors=True)
        make_plates(plates, config, jobs=_cpus())
    packed(IngestPlan(plates / "images", work, metadata=plates / "metadata", load_data=plates / "load_data"))
    store = open_work(work)
    label = store.wells[store.perturbation].fillna("").astype(str)
    treated = store.wells[(label != "") & ~store.wells["Metadata_is_control"]]
    wells = pd.DataFrame({"plate": treated[PLATE], "well": treated[WELL], "week": treated["Metadata_Cell_type"]})
    for name in ("compound", "treatment", "mechanism"):
        wells[name] = label[treated.index]
    return _data("made plates", store, wells, ("compound",))


def real_fields(folder: Path, source: Path) -> Data:
    """Return the fields of a folder with images.csv, see `kit.trials.fields`.

    Raises:
        UsageError: it is not there. KitError: its table or an image cannot be used.
    """
    fields, planes = read_fields(source)
    folder.mkdir(parents=True, exist_ok=True)
    write_load_data(source, fields, planes, folder / "load_data.csv")
    packed(IngestPlan(folder / "load_data.csv", folder / "work"))
    wells = fields.drop_duplicates(["plate", "well"])[["plate", "well", "week", "compound", "treatment", "mechanism"]]
    return _data("real fields", open_work(folder / "work"), wells, ("compound", "treatment", "mechanism"))


def _data(name: str, work: Work, wells: pd.DataFrame, asked: tuple[str, ...]) -> Data:
    wells = wells.sort_values(["week", "plate", "well"], kind="stable").reset_index(drop=True)
    place = {who: index for index, who in enumerate(wells[["plate", "well"]].itertuples(index=False, name=None))}
    of_sites = work.sites[[PLATE, WELL]].itertuples(index=False, name=None)
    sites = work.sites[KEY].assign(place=[place.get(who, -1) for who in of_sites])
    sites = sites[sites["place"] >= 0].groupby("place", sort=True).head(SITES).reset_index(drop=True)
    return Data(name, work, wells, sites, asked)


def _cpus() -> int:
    return len(os.sched_getaffinity(0))
