"""Runs -> one profile per well: post-processing in a fixed order, each step recorded in the output file.

Parts, runs, merge, normalize, rank, select, standardize, whiten, balance, align, l2; merge comes after whiten with whiten_on
`sites`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from kit.profiles.merge import merge_runs
from kit.profiles.post_processing import PostProcessing, Steps, post_process_merged
from kit.profiles.table import Profiles, check_name, write_profiles

if TYPE_CHECKING:
    from kit.images.store.work import Work


def profile(
    work: "Work",
    runs: Sequence[str],
    out: Path,
    *,
    parts: Sequence[str] = ("cls", "patch"),
    sites: str | None = None,
    order: str = "file",
    merge: str | None = None,
    plates: Sequence[str] = (),
    names: str = "kit",
    **steps: Unpack[Steps],
) -> Profiles:
    """Write the profiles of all embedded wells to `out` (.parquet, .csv, .csv.gz or .h5ad) and return them.

    Args:
        runs: names whose features were embedded; their columns are concatenated in this order.
        parts: of every run's site vector, in this order; a part a run lacks is an error unless it has only one.
        merge: `concat`: nine blocks; `mean`: the mean of all sites, or with `sites` that of the nine blocks; None: as suits
            all plates, see `merging.choose_merging`.
        sites, order: see `wells.place_sites`; `sites` is `position` where blocks are made and None is given.
        plates: only these; all without.
        names: of the columns, see `table.Profiles.named`.
        steps: see `post_processing.PostProcessing`.

    Raises:
        UsageError: a run or plate that is not there, options without a meaning beside the others.
        KitError: a run without features, sites that cannot be placed, plates without the controls a step needs.
    """
    check_name(Path(out))
    post = PostProcessing(**steps)
    on_sites = post if post.whiten_on == "sites" else None
    merged = merge_runs(work, runs, parts=parts, sites=sites, order=order, merge=merge, plates=plates, on_sites=on_sites)
    profiles = post_process_merged(merged, post).named(names)
    write_profiles(profiles, Path(out))
    return profiles
