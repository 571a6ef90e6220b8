"""A first submission: anybody's profiles, or published weights, to a checked CSV with its local score, without a GPU.

OUT/profiles/         what was downloaded
OUT/profiles.parquet  a row a well
OUT/submission.csv    the challenge's CSV, its manifest beside it
OUT/score.json        the local score, with chance and null
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import kit
from kit.challenge.columns import LINE
from kit.challenge.export import export
from kit.challenge.from_files import Source, profiles_from
from kit.challenge.gallery import GALLERY, LINE_OF, find_profiles
from kit.challenge.ids import read_ids
from kit.challenge.rotate import SCORED
from kit.challenge.score import scores_text, write_scores
from kit.errors import UsageError
from kit.profiles.fill import fill_wells
from kit.profiles.post_processing import Steps, post_process
from kit.profiles.table import PLATE, Profiles, read_profiles, write_profiles
from kit.sections import SECTIONS
from kit.words import count, some, typed

# Neither reads a label or a position. On five U2OS plates of CellProfiler's features, k=5 cosine, leave one plate out: accuracy
# 42.3 % after these, 40.0 without; at another position than the compound's own 73.6 and 60.0; DMSO wells placed 6.9 and 15.6.
OF_CELLPROFILER: Steps = {"rank_normal": "plate", "whiten": "sphere"}
OF_A_NETWORK: Steps = {"normalize": "centre", "whiten": "sphere"}
WINNERS = """What a score is worth, by the winners' own table, in %:
  leaderboard  24.1 the organisers' baseline; 31.1 two DINOv2 models at 518 px
  local        34.2 the same two models; 38.6 with SSLProfiler's views and local aggregation; 40.0 with ViT-B
The two measure differently, 34.2 and 31.1 for the same models: compare local with local only."""


def first_from_profiles(out: Path, ids: Path, source: str | None, metadata: Path | None, say: Callable[[str], None]) -> str:
    """Make a submission from profiles of the gallery, a folder or a URL; return what to print.

    Args:
        out: the folder of all that is made; downloads that are there are kept.
        ids: the challenge's metadata_test.csv. source: see `gallery.find_profiles`; None: the gallery itself.
        metadata: the official tables; without them labels are the files' own, and the cell lines those of the 24 plates.
        say: called with a line per stage.

    Raises:
        UsageError, KitError: as reading, export and score raise them.
    """
    table = read_ids(ids)
    plates = sorted(set(table[PLATE]))
    say(f"profiles: {count(len(plates), 'plate')} from {source or GALLERY}")
    found = find_profiles(source or GALLERY, plates, out / "profiles")
    read = profiles_from(Source(files=found.files, metadata=metadata, drop_missing=True, shared=True, unaligned=found.gallery))
    made = _of_plates(read, plates)
    say(f"steps: rank-normal by plate, sphered on the controls, length 1 ({count(len(made.names), 'feature')})")
    made = _with_lines(post_process(fill_wells(post_process(made, **OF_CELLPROFILER), table), l2=True))
    write_profiles(made, out / "profiles.parquet")
    say(f"{out / 'profiles.parquet'}: {made.text()}")
    return _submission(out, ids, metadata, "CellProfiler, rank-normal, sphered", say)


def first_from_weights(
    out: Path, ids: Path, work_path: Path, weights: Path, metadata: Path | None, say: Callable[[str], None]
) -> str:
    """Make a submission from a store and published DINOv2 weights, one run for each group of channels; return what to print."""
    from kit.profiles.embed import embed
    from kit.profiles.profile import profile

    table, work = read_ids(ids), kit.open(work_path)
    plates = sorted(set(table[PLATE]))
    lacking = [plate for plate in plates if plate not in set(work.sites[PLATE])]
    if lacking:
        raise UsageError(f"{work_path} lacks {count(len(lacking), 'plate')} with an ID: {some(lacking)}; kit ingest packs them")
    runs = [f"{weights.stem}-{group}" for group in work.groups]
    for run, channels in zip(runs, work.groups.values(), strict=True):
        say(f"embed: {', '.join(channels)}")
        say(embed(work, run, weights=weights, channels=channels).text())
    path = out / "profiles.parquet"
    say(f"{path}: {profile(work, runs, path, plates=plates, **OF_A_NETWORK).text()}")
    filled = post_process(fill_wells(read_profiles(path), table), l2=True)
    write_profiles(filled, path)
    return _submission(out, ids, metadata, f"{weights.stem}, not trained on these plates, sphered", say)


def _of_plates(profiles: Profiles, plates: list[str]) -> Profiles:
    """Return the wells of these plates."""
    here_M = profiles.who[PLATE].isin(plates).to_numpy()
    return replace(profiles, features_MF=profiles.features_MF[here_M], who=profiles.who[here_M].reset_index(drop=True))


def _with_lines(profiles: Profiles) -> Profiles:
    """Return the profiles with the cell lines of the challenge's plates, where they name none."""
    lines = profiles.who[PLATE].map(LINE_OF)
    if LINE in profiles.who or lines.isna().all():
        return profiles
    return replace(profiles, who=profiles.who.assign(**{LINE: lines.astype(object).where(lines.notna(), None)}))


def _submission(out: Path, ids: Path, metadata: Path | None, message: str, say: Callable[[str], None]) -> str:
    """Export, check and score OUT/profiles.parquet; return the score, what one is worth, and the next command."""
    profiles, submission = out / "profiles.parquet", out / "submission.csv"
    say(export(profiles, ids, submission, rotated=len(read_profiles(profiles).names) > SCORED).text())
    scores = kit.score(profiles, metadata, ids=ids)
    write_scores(scores, out / "score.json")
    upload = f'kit submit {typed(submission)} --message "{message}"'
    return "\n".join(["", scores_text(scores, SECTIONS), "", WINNERS, "", f"next: {upload}"])
