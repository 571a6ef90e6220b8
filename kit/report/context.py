"""What a section may look at: the work folder, the score files, the profiles, and where its pictures go."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from kit.challenge.columns import short
from kit.challenge.further_text import short_names
from kit.errors import KitError
from kit.profiles.merge import merge_runs
from kit.profiles.post_processing import post_process
from kit.profiles.table import PLATE, SITE, WELL, Profiles, read_facts, read_profiles
from kit.report.figures import Files
from kit.report.recognised import Recognised, recognise, rules_of
from kit.words import typed

if TYPE_CHECKING:
    from kit.images.store.work import Work

LINE, NAME = "Metadata_Cell_type", "Metadata_pert_iname"


@dataclass(frozen=True, slots=True)
class ScoreFile:
    """A score.json: the path, {feature set: its score}, and what it says of their differences."""

    path: Path
    sets: dict[str, dict[str, Any]]
    comparison: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """Profiles and where they are from; None and why not."""

    profiles: Profiles | None
    said: str


@dataclass(frozen=True, kw_only=True)
class Context:
    """work: with at least one plate. out: the page. profiles_path: the profiles that a user named."""

    work: "Work"
    out: Path
    scores: tuple[ScoreFile, ...] = ()
    profiles_path: Path | None = None

    @cached_property
    def files(self) -> Files:
        """The folder of pictures and tables beside the page: report_files for report.html."""
        return Files(self.out.with_name(f"{self.out.stem}_files"))

    @property
    def sites(self) -> pd.DataFrame:
        """One row per site, see `Work.sites`."""
        return self.work.sites

    @cached_property
    def wells(self) -> pd.DataFrame:
        """One row per well: PLATE, WELL, group, label, name, is_control; texts, "" where unknown; see `described`."""
        return described(self.work.wells, self.work.perturbation)

    @property
    def groups(self) -> list[str]:
        """The groups that directions go between, such as cell lines, in order; [""] where wells have none."""
        return sorted(set(self.wells["group"]) - {""}) or [""]

    @cached_property
    def batches(self) -> list[str]:
        """The batches of the plates."""
        return values(self.sites, "Metadata_Batch")

    @property
    def made(self) -> list[str]:
        """The batches of made plates."""
        return [batch for batch in self.batches if batch.startswith("MADE_")]

    @property
    def lead(self) -> tuple[str, dict[str, Any]] | None:
        """The feature set that the page is about, the first that was scored, with its score."""
        return next(((name, result) for file in self.scores for name, result in file.sets.items()), None)

    @cached_property
    def profiles(self) -> Found:
        """The profiles named, else the first that a score file names and that are there, else those of a run."""
        paths = [self.profiles_path] if self.profiles_path else [path for path in self._scored_paths() if path.is_file()]
        for path in paths:
            read = read_profiles(path)
            if set(map(str, read.who[PLATE])) & set(self.work.plates):
                return Found(read, path.name)
            if self.profiles_path:
                raise KitError(f"{path} has no plate of {self.work.path}: give the profiles of these plates with --profiles")
        return self._of_a_run()

    @cached_property
    def recognised(self) -> Recognised | str:
        """The neighbours of the profiles' wells under the rules of the score; why not, and what to do, where there are none."""
        if self.profiles.profiles is None:
            return self.profiles.said
        try:
            return recognise(self.profiles.profiles, rules_of(self.lead[1] if self.lead else None))
        except KitError as error:
            return f"profiles that can be scored; {self.profiles.said} cannot: {error}"

    def _scored_paths(self) -> list[Path]:
        """Return the parquet files that score files name, as they are named or beside the score file, in order."""
        named = [(file.path.parent, Path(name)) for file in self.scores for name in file.sets if name.endswith(".parquet")]
        found = [next((at for at in (path, folder / path, folder / path.name) if at.is_file()), path) for folder, path in named]
        return [path for path in found if path.is_file() and read_facts(path).get("rows") == "wells"]

    def _of_a_run(self) -> Found:
        """Return wells averaged from the features of a run: of a trained one before a baseline."""
        folders = [
            folder for folder in sorted((self.work.path / "runs").glob("*")) if any((folder / "features").glob("*.parquet"))
        ]
        if not folders:
            return Found(
                None, f"features: embed a run (kit embed --work {typed(self.work.path)} --run RUN), or name profiles (--profiles)"
            )
        run = sorted(folders, key=lambda folder: not (folder / "run.toml").is_file())[0].name
        merged = merge_runs(self.work, [run], parts=("cls",), merge="mean")
        centred = post_process(merged, normalize="centre") if merged.is_control_M.any() else merged
        return Found(centred, f"run {run}, averaged over the sites of a well")


def described(wells: pd.DataFrame, perturbation: str) -> pd.DataFrame:
    """Return who each well is: PLATE, WELL, and as text group, label, name (for people) and is_control."""

    def text(column: str) -> pd.Series:
        found = wells[column] if column in wells else pd.Series("", index=wells.index)
        return found.astype("object").where(found.notna(), "").map(str)

    label = text(perturbation)
    name = text(NAME).where(text(NAME) != "", label)
    control = wells["Metadata_is_control"].eq(True) if "Metadata_is_control" in wells else pd.Series(False, index=wells.index)
    return pd.DataFrame(
        {
            PLATE: wells[PLATE].map(str), WELL: wells[WELL].map(str), "group": text(LINE), "label": label,
            "name": name.where(~control, "control"), "is_control": control.astype(bool),
        }
    )  # fmt: skip


def values(table: pd.DataFrame, column: str) -> list[str]:
    """Return the values of a column in order, without those that are unknown."""
    return sorted(set(map(str, table[column].dropna())) - {""}) if column in table else []


def differences(sites: pd.DataFrame) -> dict[str, list[str]]:
    """Return {column: values} of the columns of which every plate has one value and not all the same."""
    names = [name for name in map(str, sites) if name.startswith("Metadata_") and name not in (PLATE, WELL, SITE)]
    of_plates = [name for name in names if (sites.groupby(PLATE)[name].nunique(dropna=False) == 1).all()]
    found = {short(name): values(sites, name) for name in of_plates}
    return {name: own for name, own in found.items() if len(own) > 1}


def read_scores(folders: list[Path]) -> tuple[ScoreFile, ...]:
    """Return the score files of the folders, score*.json, each once.

    Raises:
        KitError: one is damaged, or is no score.
    """
    paths = {path.resolve(): path for folder in folders for path in sorted(folder.glob("score*.json"))}
    found = []
    for path in paths.values():
        try:
            scores = json.loads(path.read_text())
        except ValueError as error:
            raise KitError(f"{path} is not valid JSON: {error}") from error
        if isinstance(scores, dict) and scores.get("schema") == 1:
            sets = scores.get("files", {"k-NN accuracy": scores})
            if not sets or any("directions" not in result for result in sets.values()):
                raise KitError(f"{path} was not written by kit score --json; move it elsewhere")
            found.append(
                ScoreFile(path, sets, scores.get("comparison"), tuple(scores.get("notes", ())) if "files" in scores else ())
            )
    return tuple(found)


def names_of(sets: Mapping[str, Any]) -> dict[str, str]:
    """Return a short name for each feature set: {path: as much of it as tells all apart, without .parquet}."""
    return {path: name.removesuffix(".parquet") for path, name in short_names(sets).items()} if len(sets) > 1 else {
        path: Path(path).name.removesuffix(".parquet") for path in sets
    }  # fmt: skip
