"""Profiles as CSV, for tools that do not read parquet. M wells, F features."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kit.files import whole_file
from kit.profiles.manifest import manifest_path, write_manifest


def write_csv(who: pd.DataFrame, features_MF: np.ndarray, names: tuple[str, ...], path: Path, facts: dict[str, Any]) -> None:
    """Write `Metadata_` columns and float32 features as one CSV (packed if `path` ends in .gz), and `facts` in its manifest."""
    import polars as pl  # here: a machine that trains and embeds may lack it

    table = pl.from_pandas(who).hstack(pl.from_numpy(features_MF, schema=list(names), orient="row"))
    with whole_file(path) as part:
        with part.open("wb") as file:
            if path.name.lower().endswith(".gz"):
                with gzip.GzipFile(fileobj=file, mode="wb", filename="", mtime=0) as packed:
                    table.write_csv(packed)  # type: ignore[call-overload]  # takes whatever has a method write
            else:
                table.write_csv(file)
        manifest_path(path).unlink(missing_ok=True)  # a kill between the two files must not leave another table's manifest
    known = {key: value for key, value in facts.items() if key not in ("schema", "rows")}  # the manifest has its own
    write_manifest(path, "profiles", len(who), len(names), known)
