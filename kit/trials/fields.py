"""Fields of cells under known treatments: does training learn more than intensity and texture on real images?

    python -m kit.trials.fields FOLDER [--weeks A,B] [--recipe A,B] [--images N] [--seeds 3] [--set KEY=VALUE] [--out DIR]
                                                [--join 'RECIPE KEY=VALUE ...']

FOLDER holds images.csv and its images, a TIFF of C channels a field. Columns: file, plate, well, site, compound, concentration,
moa, week; columns min_<channel> name the channels, else they are ch1, ch2 ... All fields train the networks, which see no label;
the wells of --weeks are scored (default: the weeks with two compounds or more), settings and scores being fixed beforehand.
--join trains a second network of every seed, with the settings written in it and none of --set, and scores both side by side
too. For networks around cells, find these in DIR/work by kit cells.
"""

import json
import shlex
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

import kit
from kit.config import RunConfig
from kit.errors import UsageError
from kit.files import write_whole
from kit.images.ingest.plan import IngestPlan
from kit.images.store.work import Work
from kit.trials.command import run
from kit.trials.compare_budget import listed
from kit.trials.features import RANDOM, TEXTURE, TRAINED, feature_sets, images_wanted, recipe_configs, recipes_text
from kit.trials.fields_table import read_fields, write_load_data
from kit.trials.packing import packed
from kit.trials.table import markdown, over_seeds
from kit.trials.weeks import ASKED, correct, guess, paired_p, shuffled_rows

JOINED, NULL = "trained + texture", "trained, wells shuffled within weeks"
SECOND, BOTH, ALL = "second network", "both networks", "both networks + texture"  # of --join
SHUFFLES = 20
# A nucleus of 11 px is 16 px of a view: magnified 1.5 times, at full resolution. A view holds tens of cells, not two.
SETTINGS = (
    "crops.global_area=[0.185,0.366]",  # 110 to 155 px of a site of 256 px
    "crops.batch_of=all",  # few wells a plate
    "crops.global_side=196",
    "model.position_side=196",
    "embed.side=392",
    "train.max_steps=1200",
    "train.epochs=80",
)


def trial(
    folder: Path,
    out: Path,
    *,
    seeds: Iterable[int],
    settings: Iterable[str],
    say: Callable[[str], None],
    weeks: str = "",
    recipe: str = "",
    images: str = "",
    join: str = "",
) -> str:
    """Ingest, train, embed and score; return the tables, and keep all numbers in `out`/results.json.

    Raises:
        UsageError: no such folder or week. KitError: the table or an image cannot be used.
    """
    fields, planes = read_fields(folder)
    wanted = images_wanted(images)  # a wrong number is refused before anything is packed
    chosen = choose_weeks(fields, weeks)
    out.mkdir(parents=True, exist_ok=True)
    write_load_data(folder, fields, planes, out / "load_data.csv")
    packed(IngestPlan(out / "load_data.csv", out / "work"))
    work = kit.open(out / "work")
    seeds = list(seeds)
    configs = recipe_configs(recipe, [*SETTINGS, *settings], seeds, work, wanted)
    if join:
        configs[SECOND] = second_network(join, seeds, work, wanted)
    trained, cost = feature_sets(work, configs, say)
    sets, wells = well_sets(trained, work, fields)
    scored = wells["week"].isin(chosen).to_numpy()
    wells = wells[scored].reset_index(drop=True)
    found = score({name: [[block[scored] for block in blocks] for blocks in of_seed] for name, of_seed in sets.items()}, wells)
    tables = [*accuracies(found, wells), p_values(found, wells)]
    write_whole(
        out / "results.json",
        json.dumps(
            {"settings": [*SETTINGS, *settings], "join": join, "weeks": chosen, "wells": wells.to_dict("list"), "correct": found}
        ),
    )
    recipes = recipes_text([name for name in configs if name != SECOND])
    return "\n\n".join(filter(None, [*tables, confounds(wells), recipes, cost]))


def second_network(join: str, seeds: Sequence[int], work: Work, images: int) -> list[RunConfig]:
    """Return the configurations of --join, one per seed.

    Raises:
        UsageError: no such recipe, not one alone, or a wrong setting.
    """
    try:
        recipe, *own = shlex.split(join)
    except ValueError as error:
        raise UsageError(f"--join {join!r}: need a recipe and its settings, 'RECIPE KEY=VALUE ...'") from error
    if "," in recipe:
        raise UsageError(f"--join {join!r}: one recipe, not {len(listed([recipe]))}")
    return recipe_configs(recipe, [*SETTINGS, *own], seeds, work, images)[recipe]


def choose_weeks(fields: pd.DataFrame, weeks: str) -> list[str]:
    """Return the weeks named, comma-separated, or those with two compounds or more.

    Raises:
        UsageError: no such week, or none to score. KitError: a well of them has no other to be named by.
    """
    there = sorted(fields["week"].unique())
    named = [week.strip() for week in weeks.split(",") if week.strip()]
    absent = [week for week in named if week not in there]
    if absent:
        raise UsageError(f"--weeks {absent[0]}: no such week; there are {', '.join(there)}")
    chosen = named or [week for week in there if fields.loc[fields["week"] == week, "compound"].nunique() > 1]
    if not chosen:
        raise UsageError("no week has two compounds to tell apart: name the weeks to score by --weeks")
    guess(fields[fields["week"].isin(chosen)].drop_duplicates(["plate", "well"]))  # raises before anything is trained
    return chosen


def well_sets(
    sets: dict[str, list[np.ndarray]], work: Work, fields: pd.DataFrame
) -> tuple[dict[str, list[list[np.ndarray]]], pd.DataFrame]:
    """Return per set and seed the blocks of features, [wells, F] each, and the wells. A well is the mean of its sites."""
    key = ["Metadata_Plate", "Metadata_Well"]
    groups = work.sites.groupby(key, sort=True).indices
    blocks = {
        name: [[np.stack([features[rows].mean(axis=0) for rows in groups.values()])] for features in seeds]
        for name, seeds in sets.items()
    }
    blocks |= side_by_side(blocks)
    labels = fields.drop_duplicates(["plate", "well"]).set_index(["plate", "well"])
    wells = labels.loc[list(groups)].reset_index()[["plate", "well", "week", *ASKED]]
    return blocks, wells


def side_by_side(blocks: dict[str, list[list[np.ndarray]]]) -> dict[str, list[list[np.ndarray]]]:
    """Return the sets that are others' blocks side by side: with texture, and of two networks where there are two."""
    found, texture = {}, blocks[TEXTURE][0]
    if SECOND in blocks:
        untrained = zip(blocks[RANDOM], blocks[f"{SECOND}, {RANDOM}"], strict=True)
        found[f"{BOTH}, {RANDOM}"] = [[*one, *other] for one, other in untrained]
        found[BOTH] = [[*one, *other] for one, other in zip(blocks[TRAINED], blocks[SECOND], strict=True)]
        found[ALL] = [[*both, *texture] for both in found[BOTH]]
    return found | {JOINED: [[*trained, *texture] for trained in blocks[TRAINED]]}


Found = dict[str, list[dict[str, list[float]]]]  # feature set -> one {what is asked: per well} for each seed


def score(sets: dict[str, list[list[np.ndarray]]], wells: pd.DataFrame) -> Found:
    """Return for every set, seed and question whether each well was named correctly; for the null, by shuffle."""
    found: Found = {"guess by week": [{name: values.tolist() for name, values in guess(wells).items()}]}
    orders = [shuffled_rows(wells["week"].to_numpy(dtype=str), shuffle) for shuffle in range(SHUFFLES)]
    shuffled = {NULL: [[block_MF[order] for block_MF in sets[TRAINED][0]] for order in orders]}
    for name, seeds in (shuffled | sets).items():
        found[name] = [{asked: right.astype(float).tolist() for asked, right in correct(b, wells).items()} for b in seeds]
    return found


def accuracies(found: Found, wells: pd.DataFrame) -> list[str]:
    """Return a table in % for each week and one for all of them: mean and spread over seeds."""
    weeks = sorted(wells["week"].unique())
    tables = []
    for title, mask in [*((week, wells["week"] == week) for week in weeks), *([("all", wells["week"] != "")] * (len(weeks) > 1))]:
        rows = []
        for name, seeds in found.items():
            values = [[float(np.asarray(seed[asked])[mask].mean()) for seed in seeds] for asked in ASKED]
            rows.append([name, *(over_seeds(of_seeds) for of_seeds in values)])
        tables.append(markdown([f"{title}, {int(mask.sum())} wells, %", *ASKED], rows))
    return tables


def p_values(found: Found, wells: pd.DataFrame) -> str:
    """Return the paired tests over all scored wells of what training adds."""
    rows = []
    for name in (name for name in (TRAINED, JOINED, BOTH, ALL) if name in found):
        untrained = f"{BOTH}, {RANDOM}" if name in (BOTH, ALL) else RANDOM
        for worse in (untrained, TEXTURE):
            means = [[np.mean([seed[asked] for seed in found[of]], axis=0) for asked in ASKED] for of in (name, worse)]
            rows.append([f"{name} above {worse}", *(f"{paired_p(a, b):.3f}" for a, b in zip(*means, strict=True))])
    return markdown([f"p, one-sided, {len(wells)} wells", *ASKED], rows)


def confounds(wells: pd.DataFrame) -> str:
    """Return in a sentence whether position tells the treatment."""
    spots = wells.groupby(["week", "treatment"])["well"].nunique()
    fixed = int((spots == 1).sum())
    if fixed == len(spots):
        return "Position and treatment are confounded: every treatment keeps its well on all plates of its week."
    return f"{fixed} of {len(spots)} treatments keep their well on all plates of their week: there, position tells the treatment."


if __name__ == "__main__":
    run(
        "fields", __doc__.splitlines()[0], "bbbc021_fields", trial,
        weeks="comma-separated; default: those with several compounds", recipe="comma-separated; default: demo",
        images="sites that each network draws; default: the recipe's and the trial's steps",
        join="a second network of every seed, 'RECIPE KEY=VALUE ...', scored beside the first and with it",
    )  # fmt: skip
