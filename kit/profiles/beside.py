"""Texture by hand beside a file of profiles: of the channels that its networks take, after the steps that the file records."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kit.errors import KitError, UsageError
from kit.files import existing_file
from kit.profiles.embedded import run_facts
from kit.profiles.profile import profile
from kit.profiles.table import read_facts
from kit.words import some, typed

if TYPE_CHECKING:
    from kit.images.store.work import Work

_KNOWN = ("parts", "runs", "merge", "normalize", "rank_normal", "select", "standardize", "whiten", "balance", "align", "l2")


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a file of profiles records: its runs with their facts, and the steps by name."""

    path: Path
    runs: Mapping[str, Mapping[str, Any]]
    steps: Mapping[str, Mapping[str, Any]]

    @classmethod
    def of(cls, path: Path) -> "Recorded":
        """Return what a file records; no runs where kit did not make it of runs."""
        steps = {str(step["step"]): step for step in read_facts(existing_file(path)).get("steps") or () if "step" in step}
        return cls(path, steps.get("runs", {}).get("runs", {}), steps)

    @property
    def networks(self) -> list[str]:
        """The runs that are no baseline by hand."""
        return [run for run, facts in self.runs.items() if facts.get("baseline") not in ("texture", "intensity")]

    @property
    def holds_texture(self) -> bool:
        return any(facts.get("baseline") == "texture" for facts in self.runs.values())

    @property
    def options(self) -> dict[str, Any]:
        """The arguments of `profile.profile` that make the same steps, the weights of runs apart.

        Raises:
            UsageError: a step that is none of kit profile's.
        """
        if unknown := [name for name in self.steps if name not in _KNOWN]:
            raise UsageError(f"{self.path} records the step {unknown[0]}, which cannot be repeated: score what kit profile wrote")
        steps = {name: self.steps.get(name, {}) for name in _KNOWN}
        merge, fitted = steps["merge"], steps["whiten"] or steps["normalize"]
        placed = merge["sites"] != "all"
        return {
            "parts": steps["parts"]["parts"],
            "plates": steps["runs"].get("plates", ()),
            "merge": merge["how"],
            **({"sites": merge["sites"], "order": merge["order"] or "file"} if placed else {}),
            "normalize": steps["normalize"].get("how", "none"),
            "rank_normal": steps["rank_normal"].get("over", "none"),
            "max_control_correlation": steps["select"].get("most"),
            "whiten": steps["whiten"].get("how", "none"),
            "whiten_on": fitted.get("on", "wells"),
            "controls": fitted.get("controls", "labelled"),
            "ridge": steps["whiten"].get("ridge_of_mean_eigenvalue"),
            "align": steps["align"].get("a"),
            "l2": bool(steps["l2"]),
        }


def write_texture(work: "Work", path: Path) -> list[Path]:
    """Write texture alone, and the file's runs with texture, after the file's own steps; return their files, beside it.

    `p.parquet` gives p-texture.parquet and, unless it holds texture already, p+texture.parquet, whose runs are balanced:
    each has the weight the file gives it, texture 1.

    Raises:
        UsageError: the file is of no network's runs, another file has the name, or a run is not in `work`.
        KitError: the work has no texture of these channels, or the run was embedded anew since.
    """
    recorded = Recorded.of(path)
    if not recorded.networks:
        what = "holds no network's run" if recorded.runs else "does not say which runs it was made of"
        raise UsageError(f"--texture {work.path}: {path} {what}: score what kit profile wrote of a network")
    options, weights = recorded.options, recorded.steps.get("balance", {}).get("weights")
    textures = list(dict.fromkeys(_texture_of(work, path, run, recorded.runs[run]) for run in recorded.networks))
    stem = path.name.removesuffix(".gz").rpartition(".")[0]
    wanted = {path.with_name(f"{stem}-texture.parquet"): (textures, dict.fromkeys(textures, 1.0) if weights else None)}
    if not recorded.holds_texture:
        runs = [*recorded.runs, *textures]
        wanted[path.with_name(f"{stem}+texture.parquet")] = runs, {**dict.fromkeys(runs, 1.0), **(weights or {})}
    for out, (runs, _) in wanted.items():
        if out.exists() and list(Recorded.of(out).runs) != runs:
            raise UsageError(f"--texture writes {out}, which is another file: move it, or rename {path.name}")
    for out, (runs, share) in wanted.items():
        profile(work, runs, out, weights=share, **options)
    return list(wanted)


def hint(paths: Sequence[Path]) -> str:
    """Return how to score texture beside the first file of a network; empty where a file holds texture or none a network."""
    files = [Recorded.of(path) for path in paths if path.is_file() and path.suffix in (".parquet", ".csv", ".gz", ".h5ad")]
    first = next((file for file in files if file.networks), None)
    if first is None or any(file.holds_texture for file in files) or any(name not in _KNOWN for name in first.steps):
        return ""
    return f"texture by hand beside it, and both together: kit score {typed(first.path)} --texture WORK"


def _texture_of(work: "Work", path: Path, run: str, facts: Mapping[str, Any]) -> str:
    """Return the run of `work` that holds texture of a run's channels."""
    here = run_facts(work, run)
    if here.get("made_by") != facts.get("made_by"):
        raise KitError(f"run {run} of {work.path} was embedded anew since {path} was made of it: make {path.name} again")
    for found in sorted(work.run_folder(run).parent.glob("*/features/features.json")):
        about = json.loads(found.read_text())
        if about.get("baseline") == "texture" and about.get("channels") == facts["channels"]:
            return found.parent.parent.name
    trained = (work.run_folder(run) / "run.toml").is_file()
    given = f"--run {run}" if trained else f"--run by-hand --channels {','.join(facts['channels'])}"
    raise KitError(
        f"{work.path} has no texture of {some(list(facts['channels']))}, the channels of run {run}: "
        f"kit embed --work {typed(work.path)} {given} --baseline texture"
    )
