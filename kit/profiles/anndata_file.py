"""Profiles as AnnData (.h5ad), for scanpy and its relatives: docs/profiles.md lists the fields. Needs the extra `anndata`.

M wells, F features.
"""

import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd

from kit.errors import KitError, UsageError
from kit.files import existing_file, whole_file

_COLUMN = re.compile(r"(?P<run>.+)_(?P<block>mean|s[1-9])_(?P<part>cls|patch|patch_sd)_(?P<index>\d+)")  # as `merge` names them
_KEY = "kit"  # of uns: JSON


def is_h5ad(path: Path) -> bool:
    """Whether a file is AnnData by its name."""
    return path.name.lower().endswith(".h5ad")


def write_h5ad(who: pd.DataFrame, features_MF: np.ndarray, names: tuple[str, ...], path: Path, facts: dict[str, Any]) -> None:
    """Write obs (the Metadata_ columns), X (float32), var (the columns' run, block, part and index) and uns["kit"] (`facts`)."""
    anndata = _anndata()
    obs = who.copy()
    for name in obs:
        if not (pd.api.types.is_bool_dtype(obs[name]) or pd.api.types.is_numeric_dtype(obs[name])):
            obs[name] = obs[name].astype("category")  # "" stays apart from what is unknown
    obs.index = pd.Index(who["Metadata_Plate"].astype(str) + "_" + who["Metadata_Well"].astype(str)).astype(object)
    table = anndata.AnnData(X=features_MF, obs=obs, var=_var(names), uns={_KEY: json.dumps(facts)})
    with whole_file(path) as part:
        table.write_h5ad(part)


def read_h5ad(path: Path) -> tuple[pd.DataFrame, np.ndarray, tuple[str, ...]]:
    """Return the columns of obs, each as Metadata_<column>, X as float32 [M, F] and the names of var, whoever wrote them.

    Raises:
        UsageError: no such file, or anndata is not installed. KitError: it is not AnnData, or has no X.
    """
    table = _open(path)
    if table.X is None:
        raise KitError(f"{path} has no X, the matrix of features")
    values = table.X.toarray() if hasattr(table.X, "toarray") else np.asarray(table.X)
    obs = table.obs.reset_index(drop=True)
    for name in obs:
        if isinstance(obs[name].dtype, pd.CategoricalDtype):
            obs[name] = obs[name].astype(obs[name].cat.categories.dtype)
    obs.columns = [name if name.startswith("Metadata_") else f"Metadata_{name}" for name in map(str, obs)]
    return obs, np.ascontiguousarray(values, dtype=np.float32), tuple(map(str, table.var_names))


def read_h5ad_facts(path: Path) -> dict[str, Any]:
    """Return what kit says of the file; {} where kit did not write it."""
    said = _open(path).uns.get(_KEY)
    return json.loads(said) if isinstance(said, str) else {}


def _open(path: Path) -> Any:
    existing_file(path)
    try:
        return _anndata().read_h5ad(path)
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise KitError(f"{path} cannot be read as AnnData: {str(error).splitlines()[0]}") from error


def _anndata() -> ModuleType:
    try:
        import anndata
    except ModuleNotFoundError as error:
        raise UsageError(
            f".h5ad files need anndata, and {error.name} is missing: pip install 'cellpaint-kit[anndata]'"
        ) from error
    return anndata


def _var(names: tuple[str, ...]) -> pd.DataFrame:
    index = pd.Index(names, dtype=object)
    found = [_COLUMN.fullmatch(name) for name in names]
    if not all(found):
        return pd.DataFrame(index=index)
    var = pd.DataFrame([match.groupdict() for match in found if match], index=index)
    return var.astype({"run": "category", "block": "category", "part": "category", "index": int})
