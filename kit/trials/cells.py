"""Single cells of known classes: does training learn more than intensity, texture and shape?

    python -m kit.trials.cells FILE.npz CELLS.csv --label COLUMN [--leave-out COLUMN] [--channels 0,2] [--seeds 3] [--out DIR]

FILE holds one array, uint8 or uint16, (cells, height, width) or (cells, channels, height, width), a cell in the middle of each
image; CELLS a row a cell. All cells train the networks, which see no label. A cell is then named by its five nearest among the
cells of other folds; the cells of one value of --leave-out (a plate, a movie) share a fold. Settings, post-processing and
scores were fixed before scoring.
"""

import argparse
import itertools
import json
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from kit.errors import KitError, UsageError
from kit.files import write_whole
from kit.images.source.cells import Cells, read_cell_images
from kit.images.store.work import Work
from kit.recipe import load_recipe
from kit.trials.cell_scores import FOLDS, NEIGHBOURS, class_weights, deal_folds, said
from kit.trials.cell_shapes import cell_shape
from kit.trials.cell_store import pack_cells
from kit.trials.command import finish, new_parser, say
from kit.trials.compare_budget import listed
from kit.trials.features import KEY, TEXTURE, TRAINED, feature_sets, images_wanted, recipe_configs, recipes_text
from kit.trials.table import markdown, over_seeds
from kit.trials.weeks import paired_p, shuffled_rows
from kit.words import count, some

SHAPED, JOINED, GUESS, NULL = "texture + shape", "trained + texture + shape", "the most frequent class", "trained, cells shuffled"
SHUFFLES = 5
SCORES = ("accuracy", "mean recall")
SETTINGS = (
    "crops.global_area=[0.6,1.0]",  # 77 to 100 % of a cell's side
    "crops.batch_of=all",
    "crops.second_site=false",  # a cell has one image: local aggregation has nothing to aggregate
    "loss.local_aggregation=false",
    "loss.same_view_weight=1",
    "embed.side=112",  # the whole cell at the magnification of the crops
    "embed.batch=64",
    "train.epochs=200",  # max_steps ends it first unless there are very few cells
)


def trial(
    cells: Cells,
    out: Path,
    *,
    label: str,
    leave_out: str,
    seeds: Iterable[int],
    settings: Iterable[str],
    say: Callable[[str], None],
    recipe: str = "",
    images: str = "",
) -> str:
    """Pack, train, embed and score; return the tables, and keep all numbers in `out`/results.json.

    Raises:
        UsageError: no such column. KitError: the labels or groups cannot be used, or a cell cannot be packed.
    """
    label_N, group_N = labels_of(cells, label, leave_out)
    wanted = images_wanted(images)  # a wrong number is refused before anything is packed
    for name in listed([recipe or "demo"]):
        load_recipe(name, [*SETTINGS, *settings], channels=cells.names)  # a wrong key is refused before cells are packed
    work, row_N = pack_cells(cells, out)
    configs = recipe_configs(recipe, [*SETTINGS, *settings], list(seeds), work, wanted)
    sets, cost = feature_sets(work, configs, say)
    blocks = with_shapes(sets, work)
    label_N, group_N = label_N[row_N], group_N[row_N]
    known_N = label_N != ""
    blocks = {name: [[block[known_N] for block in of_seed] for of_seed in seeds] for name, seeds in blocks.items()}
    label_N, group_N = label_N[known_N], group_N[known_N]
    found = score(blocks, label_N, group_N)
    record = {"label": label, "leave_out": leave_out, "settings": [*SETTINGS, *settings]}
    rows = {"labels": label_N.tolist(), "groups": group_N.tolist() if leave_out else None, "correct": found}
    write_whole(out / "results.json", json.dumps({**record, **rows}))
    tables = [accuracies(found, label_N), p_values(found, label_N, group_N), how(label_N, group_N, leave_out)]
    return "\n\n".join(filter(None, [*tables, recipes_text(list(configs)), cost]))


def labels_of(cells: Cells, label: str, leave_out: str) -> tuple[np.ndarray, np.ndarray]:
    """Return label and group of each cell, text [N]; an empty label is unknown, and without `leave_out` each cell is a group.

    Raises:
        UsageError: no such column. KitError: fewer than two labels or groups, or a cell without a group.
    """
    label_N = cells.column(label, "--label")
    if len(set(label_N[label_N != ""])) < 2:
        raise KitError(f"--label {label}: need two classes, there is {' '.join(sorted(set(label_N) - {''})) or 'none'}")
    if not leave_out:
        return label_N, np.arange(len(label_N)).astype(str)
    group_N = cells.column(leave_out, "--leave-out")
    if (group_N == "").any():
        raise KitError(f"--leave-out {leave_out} is empty in row {int((group_N == '').argmax()) + 2} of the table")
    if len(set(group_N[label_N != ""])) < 2:
        raise KitError(f"--leave-out {leave_out}: all labelled cells are of {group_N[label_N != ''][0]}; need two groups")
    return label_N, group_N


def with_shapes(sets: dict[str, list[np.ndarray]], work: Work) -> dict[str, list[list[np.ndarray]]]:
    """Return per set and seed the blocks of features, [N, F] each, in the order of the work's sites."""
    keys = work.sites[KEY].itertuples(index=False, name=None)
    shape_NF = np.array([np.concatenate([cell_shape(image_HW) for image_HW in work.read_site(*key)]) for key in keys])
    blocks = {name: [[features_NF] for features_NF in seeds] for name, seeds in sets.items()}
    blocks[SHAPED] = [[sets[TEXTURE][0], shape_NF]]
    blocks[JOINED] = [[trained_NF, sets[TEXTURE][0], shape_NF] for trained_NF in sets[TRAINED]]
    return blocks


Found = dict[str, list[list[bool]]]  # feature set -> for each seed whether each cell was named correctly


def score(sets: dict[str, list[list[np.ndarray]]], label_N: np.ndarray, group_N: np.ndarray) -> Found:
    """Return whether each cell was named correctly, for every set and seed, the constant guess, and cells shuffled in groups."""
    code_N, fold_N = np.unique(label_N, return_inverse=True)[1], deal_folds(group_N)
    found: Found = {GUESS: [(code_N == np.bincount(code_N).argmax()).tolist()]}
    orders = [shuffled_rows(group_N, shuffle) for shuffle in range(SHUFFLES)]
    shuffled = {NULL: [[block_NF[order] for block_NF in sets[TRAINED][0]] for order in orders]}
    for name, seeds in (shuffled | sets).items():
        found[name] = [(said(blocks, code_N, fold_N) == code_N).tolist() for blocks in seeds]
    return found


def accuracies(found: Found, label_N: np.ndarray) -> str:
    """Return the table in %: mean and spread over seeds."""
    weights = _weights(label_N)
    rows = [
        [name, *(over_seeds([float(np.mean(weight_N * right)) for right in seeds]) for weight_N in weights)]
        for name, seeds in found.items()
    ]
    return markdown([f"{count(len(label_N), 'cell')} of {count(len(set(label_N)), 'class', 'classes')}, %", *SCORES], rows)


def p_values(found: Found, label_N: np.ndarray, group_N: np.ndarray) -> str:
    """Return the paired tests over cells of what training adds; the cells of a group share their sign."""
    rows = []
    for better, worse in itertools.product((TRAINED, JOINED), ("random weights", SHAPED)):
        better_N, worse_N = (np.mean(np.array(found[name], dtype=np.float64), axis=0) for name in (better, worse))
        p = [paired_p(weight_N * better_N, weight_N * worse_N, group_N) for weight_N in _weights(label_N)]
        rows.append([f"{better} above {worse}", *(f"{value:.4f}" for value in p)])
    return markdown([f"p, one-sided, {count(len(set(group_N)), 'group')}", *SCORES], rows)


def how(label_N: np.ndarray, group_N: np.ndarray, leave_out: str) -> str:
    """Return how the cells were named, and what that does not rule out."""
    line = f"Named by the {NEIGHBOURS} nearest by cosine among the cells of other folds, columns standardised by those cells."
    if not leave_out:
        return (
            f"{line} Folds are over cells, and cells of one batch are alike: with --leave-out COLUMN a batch stays in one fold."
        )
    groups = len(set(group_N))
    lone = sorted(str(name) for name in set(label_N) if len(set(group_N[label_N == name])) == 1)
    never = f" Of one group alone, so never named: {some(lone)}." if lone else ""
    return f"{line} {groups} groups ({leave_out}) in {min(FOLDS, groups)} folds, none split.{never}"


def _weights(label_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what each cell weighs in each of SCORES."""
    return np.ones(len(label_N)), class_weights(np.unique(label_N, return_inverse=True)[1])


def channel_numbers(text: str) -> tuple[int, ...]:
    """Return the numbers of "0,2".

    Raises:
        UsageError: it holds anything else, or a number twice.
    """
    parts = [part.strip() for part in text.split(",")] if text else []
    if not all(part.isdecimal() for part in parts) or len(set(parts)) < len(parts):
        raise UsageError(f"--channels {text}: need numbers counted from 0, each once, such as 0,2")
    return tuple(map(int, parts))


def _main(options: argparse.Namespace) -> str:
    cells = read_cell_images(options.array, options.table, name=options.array_name, channels=channel_numbers(options.channels))
    about = {"label": options.label, "leave_out": options.leave_out, "seeds": options.seeds, "settings": options.settings}
    return trial(cells, options.out, say=say, recipe=options.recipe, images=options.images, **about)


if __name__ == "__main__":
    parser = new_parser("cells", __doc__.splitlines()[0])
    parser.add_argument("array", type=Path, metavar="FILE.npz")
    parser.add_argument("table", type=Path, metavar="CELLS.csv")
    parser.add_argument("--label", required=True, metavar="COLUMN", help="the class of each cell; empty: unknown, not scored")
    parser.add_argument("--leave-out", default="", metavar="COLUMN", help="what must not be split: plate, movie; default: cells")
    parser.add_argument("--recipe", default="", metavar="A,B", help="default: demo")
    parser.add_argument("--images", default="", metavar="N", help="cells that each network draws; default: its recipe's steps")
    parser.add_argument("--channels", default="", metavar="0,2", help="counted from 0; default: all")
    parser.add_argument("--array", dest="array_name", default="", metavar="NAME", help="where the .npz holds several")
    chosen = parser.parse_args()
    finish(lambda: _main(chosen))
