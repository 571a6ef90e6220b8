"""Profiles in other people's tools: pycytominer, AnnData, and back."""

import importlib.util
import json
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from kit.challenge.features import read_features
from kit.errors import KitError, UsageError
from kit.profiles.table import Profiles, file_facts, read_facts, write_profiles

from .conftest import make_profiles
from .oracles import pycytominer

needs_anndata = pytest.mark.skipif(
    importlib.util.find_spec("anndata") is None, reason="anndata is not installed: pip install 'cellpaint-kit[anndata]'"
)


@pytest.fixture
def made() -> Profiles:
    raw = make_profiles(features=6)
    names = tuple(f"fluo_s{index % 2 + 1}_cls_{index // 2}" for index in range(6))
    labels = {"perturbation": "Metadata_broad_sample", "control": "DMSO"}
    who = raw.who.assign(Metadata_is_control=raw.is_control_M)
    return Profiles(features_MF=raw.features_MF, who=who, names=names, steps=({"step": "merge"},), labels=labels)


@pytest.mark.parametrize("name", ["p.parquet", "p.csv", "p.csv.gz"])
def test_pycytominer_opens_them_without_arguments(made, tmp_path, name):
    theirs = pycytominer()
    from pycytominer.cyto_utils import infer_cp_features, load_profiles

    write_profiles(made.named("cells"), tmp_path / name)
    table = load_profiles(tmp_path / name)
    assert infer_cp_features(table) == [f"Cells_{column}" for column in made.names]
    assert infer_cp_features(table, metadata=True) == list(made.who)
    scaled = theirs.normalize(str(tmp_path / name))
    expected = (made.features_MF - made.features_MF.mean(axis=0)) / made.features_MF.std(axis=0)
    np.testing.assert_allclose(scaled.filter(like="Cells_").to_numpy(), expected, atol=1e-4)
    assert theirs.feature_select(str(tmp_path / name)).filter(like="Cells_").shape == (120, 6)


def test_names_of_cellprofiler_stay(made):
    assert made.named("kit") is made
    cells = Profiles(features_MF=made.features_MF[:, :2], who=made.who, names=("Cells_a", "Nuclei_b"))
    assert cells.named("cells") is cells


@needs_anndata
def test_every_field_of_the_anndata(made, tmp_path):
    import anndata

    write_profiles(made, tmp_path / "p.h5ad")
    table = anndata.read_h5ad(tmp_path / "p.h5ad")
    np.testing.assert_array_equal(table.X, made.features_MF)
    assert table.X.dtype == np.float32
    assert list(table.obs) == list(made.who)
    assert table.obs_names[:2].tolist() == ["P0_A01", "P0_A02"]
    assert table.obs["Metadata_is_control"].dtype == bool
    assert table.var_names.tolist() == list(made.names)
    assert table.var.loc["fluo_s2_cls_1"].tolist() == ["fluo", "s2", "cls", 1]
    assert json.loads(table.uns["kit"]) == json.loads(json.dumps(file_facts(made)))
    assert read_facts(tmp_path / "p.h5ad")["labels"] == made.labels


@needs_anndata
def test_the_parts_of_every_column_name(made, tmp_path):
    import anndata

    names = ("a_mean_b_s1_cls_0", "b_s9_patch_12", "b_s9_patch_sd_3", "b_mean_cls_0", "b_mean_patch_1", "b_mean_patch_sd_1")
    write_profiles(replace(made, names=names), tmp_path / "p.h5ad")
    var = anndata.read_h5ad(tmp_path / "p.h5ad").var
    assert var["run"].tolist() == ["a_mean_b", *["b"] * 5]
    assert var["part"].tolist() == ["cls", "patch", "patch_sd"] * 2
    assert var["index"].tolist() == [0, 12, 3, 0, 1, 1]


@needs_anndata
def test_anndata_reads_back_as_the_parquet_does(made, tmp_path):
    for name in ("p.parquet", "p.h5ad"):
        write_profiles(made, tmp_path / name)
    one, two = (read_features(tmp_path / name) for name in ("p.parquet", "p.h5ad"))
    np.testing.assert_array_equal(one.features_MF, two.features_MF)
    pd.testing.assert_frame_equal(one.who, two.who, check_dtype=False)
    assert (one.names, one.uses_well_position, one.recorded) == (two.names, two.uses_well_position, two.recorded)


@needs_anndata
def test_what_is_not_anndata_is_one_line(tmp_path):
    (tmp_path / "p.h5ad").write_text("no HDF5")
    with pytest.raises(KitError, match=r"p\.h5ad cannot be read as AnnData"):
        read_features(tmp_path / "p.h5ad")


def test_without_anndata_the_extra_is_named(made, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "anndata", None)
    with pytest.raises(UsageError, match=r"\.h5ad files need anndata.*pip install 'cellpaint-kit\[anndata\]'"):
        write_profiles(made, tmp_path / "p.h5ad")
    assert not list(tmp_path.iterdir())
