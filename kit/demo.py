"""The whole pipeline on made plates, as a user would type it, in a few minutes on two cores.

The fluorescence model is trained for long enough to learn. The brightfield model runs for a few steps to show two models
together; it is not expected to learn in that time, and no claim is made about it.
"""

from collections.abc import Callable
from pathlib import Path

import kit
from kit.challenge.by_label import ByLabel
from kit.challenge.export import export
from kit.challenge.null import align_beside_noise
from kit.challenge.score import score, write_scores
from kit.challenge.score_text import score_table
from kit.config import CHANNEL_GROUPS
from kit.demo_figure import draw_by_compound
from kit.errors import UsageError
from kit.images.ingest.plan import IngestPlan
from kit.images.ingest.run import ingest
from kit.images.metadata import read_metadata
from kit.images.phantom.figure import draw_plate_figure
from kit.images.phantom.plates import PhantomConfig, make_plates
from kit.images.store.work import Work
from kit.profiles.embed import embed
from kit.profiles.merge import merge_runs
from kit.profiles.post_processing import Steps, post_process
from kit.profiles.profile import profile
from kit.profiles.table import Profiles, read_profiles, write_profiles
from kit.recipe import load_recipe
from kit.report.page import report
from kit.sections import SECTIONS

STEPS: Steps = {"normalize": "centre", "whiten": "sphere"}  # what every row of the table has had, baselines too
TEXTURE = "fluorescence-texture"
DRAWN = ("fluorescence", "texture by hand", "random weights")  # in the picture
MODELS: dict[str, tuple[str, ...]] = {"fluorescence": (), "brightfield": ("train.max_steps=60",)}


def run_demo(out: Path, *, seed: int, say: Callable[[str], None]) -> str:
    """Make plates, ingest, train two models, embed, profile, export and score; return the score table.

    Args:
        out: folder for everything; a stopped demo continues from what it left there.
        seed: of the plates and the training.
        say: called with one line per stage.

    Raises:
        UsageError: `out` holds the plates of another seed.
    """
    plates = out / "plates"
    _make(plates, seed, say)
    metadata, ids = plates / "metadata", plates / "metadata_test.csv"
    say("ingest: 16-bit TIFFs to the packed 8-bit store")
    ingest(IngestPlan(plates / "images", out / "work", metadata=metadata, load_data=plates / "load_data", scale="image-robust"))
    work = kit.open(out / "work")
    for run, settings in MODELS.items():
        _train(work, run, settings, seed, say)
    say("embed: the same sites with random weights, as plain intensity statistics, and as texture by hand")
    for baseline in ("random", "intensity", "texture"):
        embed(work, "fluorescence", baseline=baseline)
    say("profile, export, check")
    submission = out / "submission.csv"
    concatenated = out / "profiles" / "concatenated.parquet"
    profile(work, list(MODELS), concatenated, merge="concat", **STEPS)
    export(concatenated, ids, submission)
    (out / "metadata_test.csv").write_bytes(ids.read_bytes())
    say("score: k-NN within and across cell lines, folds by plate")
    features, aligned = _scores(work, out, metadata, ids)
    draw_plate_figure(plates, out / "plates.png")
    report(work, out / "report.html")
    return "\n".join(
        [
            f"\nMade plates, batch {', '.join(read_metadata(metadata).plates['Metadata_Batch'].unique())}. Accuracy in %.",
            score_table(features),
            "\nCross-plate alignment on these plates, fluorescence beside pure noise with the same steps:",
            score_table(aligned),
            f"\nsubmission {submission}\nscores     {out / 'score.json'}",
            f"pictures   {out / 'compounds.png'}, {out / 'plates.png'}",
            f"page       {out / 'report.html'}: scores, cells, plates and training; open it in a browser",
        ]
    )


def _make(plates: Path, seed: int, say: Callable[[str], None]) -> None:
    config = PhantomConfig(seed=seed)
    if not plates.is_dir():
        say(f"phantom: made plates, seed {seed}")
        make_plates(plates, config)
        return
    found = read_metadata(plates / "metadata").plates["Metadata_Batch"].iloc[0]
    if found != config.batch:
        raise UsageError(f"{plates} holds batch {found}, not {config.batch}: choose another --out, or delete it")


def _train(work: Work, run: str, settings: tuple[str, ...], seed: int, say: Callable[[str], None]) -> None:
    from kit.model.train import train

    say(f"train: {run}, recipe energy" + (f" with {' '.join(settings)}, too short to learn" if settings else ""))
    train(work, run, load_recipe("energy", settings, channels=CHANNEL_GROUPS[run], seed=seed), resume=True)
    say(f"embed: {run}")
    embed(work, run)


def _scores(work: Work, out: Path, metadata: Path, ids: Path) -> tuple[dict[str, dict], dict[str, dict]]:
    """Return the demo's two tables: feature sets after the same steps, also written to score.json, and alignment beside noise."""

    def merged(*runs: str) -> Profiles:
        return merge_runs(work, runs, parts=("cls", "patch"), merge="mean")

    sets = {
        "fluorescence": ("fluorescence",),
        "random weights": ("fluorescence-random",),
        "mean and sd per channel": ("fluorescence-intensity",),
        "texture by hand": (TEXTURE,),
        "fluorescence + texture": ("fluorescence", TEXTURE),
        "fluorescence + brightfield": tuple(MODELS),
    }
    files = {}
    for name, runs in sets.items():
        files[name] = out / "profiles" / f"{'+'.join(runs)}.parquet"
        weights = dict.fromkeys(runs, 1.0) if TEXTURE in runs[1:] else None  # 192 columns beside 117
        steps: Steps = {**STEPS, "weights": weights}
        write_profiles(post_process(merged(*runs), **steps), files[name])
    files["submission.csv (sites concatenated)"] = out / "submission.csv"
    scores = score(list(files.values()), metadata, ids=ids, sections=(*SECTIONS, ByLabel()))
    table = {name: scores["files"][str(path)] for name, path in files.items()}
    _draw(table, work, out / "compounds.png")
    write_scores(scores, out / "score.json")
    return table, align_beside_noise(read_profiles(files["fluorescence"]), metadata, ids=ids)


def _draw(table: dict[str, dict], work: Work, path: Path) -> None:
    """Draw how often each compound is recognised."""
    compounds = dict(zip(work.wells["Metadata_broad_sample"], work.wells["Metadata_pert_iname"], strict=True))
    shares = {name: {compounds[label]: share for label, share in table[name]["by_label"].items()} for name in DRAWN}
    title = "Made plates: what the network learned, compound by compound"
    draw_by_compound(shares, path, chance=table["fluorescence"]["chance"], title=title)
