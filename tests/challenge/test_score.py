"""score.json by value: against scikit-learn run plainly over the plates, and on the real CellProfiler profiles."""

import gzip
import json

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.neighbors import KNeighborsClassifier

import kit
from kit.challenge.csv_files import read_csv
from kit.challenge.null import noise_like
from kit.challenge.score import score, scores_text, write_scores
from kit.errors import KitError, UsageError
from kit.profiles.align import align
from kit.profiles.table import Profiles, write_profiles

from .conftest import DMSO, PLATES, compound_of_well, make_table

FEATURES = [f"x{index}" for index in range(6)]


def plain_accuracy(table: pd.DataFrame, train: list[str], test: list[str], k: int, metric: str) -> float:
    wells = table[~table["Metadata_Well"].isin(DMSO)]
    label = wells["Metadata_Well"].map(compound_of_well())
    values = wells[FEATURES].astype(np.float32).astype(np.float64)  # kit holds features as float32
    in_train, in_test = wells["Metadata_Plate"].isin(train), wells["Metadata_Plate"].isin(test)
    model = KNeighborsClassifier(k, metric=metric, algorithm="brute").fit(values[in_train], label[in_train])
    return model.score(values[in_test], label[in_test])


def with_samples(table: pd.DataFrame, changed: dict[int, str]) -> pd.DataFrame:
    samples = table["Metadata_Well"].map(compound_of_well())
    samples.iloc[list(changed)] = list(changed.values())
    return table.assign(Metadata_broad_sample=samples)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("k", [3, 5])
def test_leave_one_plate_out_equals_scikit_learn(table, metadata, metric, k):
    result = score(table, metadata, k=k, metric=metric)  # 3 and 4 plates: every fold of a line is one plate
    for line, name in (("U2OS", "U2OS->U2OS"), ("A549", "A549->A549")):
        plates = [plate for plate, own in PLATES.items() if own == line]
        expected = [plain_accuracy(table, [other for other in plates if other != plate], [plate], k, metric) for plate in plates]
        assert sorted(result["directions"][name]["folds"][0]) == pytest.approx(sorted(expected))
        assert result["directions"][name]["accuracy"] == pytest.approx(np.mean(expected))
        assert result["directions"][name]["n_test"] == 12 * len(plates)
        assert 0.1 < np.mean(expected) < 1  # the case says something


def test_cross_all_equals_scikit_learn(table, metadata):
    result = score(table, metadata, cross="all", folds=3)["directions"]["A549->U2OS"]
    expected = [plain_accuracy(table, ["A1", "A2", "A3", "A4"], [plate], 5, "cosine") for plate in ("U1", "U2", "U3")]
    assert sorted(result["folds"][0]) == pytest.approx(sorted(expected))


def test_the_object_holds_what_the_contract_names(table, metadata):
    result = score(table, metadata, seeds=3)
    assert result["schema"] == 1
    assert result["chance"] == 1 / 10
    assert (result["k"], result["metric"], result["label"], result["ties"]) == (5, "cosine", "broad_sample", "sklearn")
    assert (result["n_folds"], result["seeds"]) == (3, 3)
    assert result["mean_of"] == ["U2OS->U2OS", "U2OS->A549", "A549->U2OS", "A549->A549"]
    assert result["mean"] == pytest.approx(np.mean([result["directions"][name]["accuracy"] for name in result["mean_of"]]))
    cross = result["directions"]["U2OS->A549"]
    assert [len(folds) for folds in cross["folds"]] == [3, 3, 3]
    of_seed = [np.mean(folds) for folds in cross["folds"]]
    assert cross["accuracy"] == pytest.approx(np.mean(of_seed))
    assert cross["sd"] == pytest.approx(np.std(of_seed, ddof=1))
    assert score(table, metadata)["directions"]["U2OS->A549"]["sd"] is None


def test_the_label_decides_the_classes(table, metadata):
    assert score(table, metadata, label="pert_iname")["chance"] == 1 / 9
    assert score(table, metadata, label="inchikey")["chance"] == 1 / 10


def test_rows_and_scale_do_not_matter(table, metadata):
    shuffled = table.sample(frac=1, random_state=0).reset_index(drop=True)
    assert score(shuffled, metadata) == score(table, metadata)
    coarse = table[["Metadata_Plate", "Metadata_Well"]].assign(x0=table["x0"].round(), x1=table["x1"].round())  # equal distances
    assert score(coarse.iloc[shuffled.index[::-1]].reset_index(drop=True), metadata) == score(coarse, metadata)
    scaled = table.assign(**{name: table[name] * 4 for name in FEATURES})
    assert score(scaled, metadata, metric="euclidean") == score(table, metadata, metric="euclidean")


def test_dmso_wells_change_nothing(table, metadata):
    dropped = table[~table["Metadata_Well"].isin(DMSO)]
    assert score(dropped, metadata)["directions"] == score(table, metadata)["directions"]
    assert score(table, metadata)["wells"] == {"scored": 84, "dmso": 21, "of_other_lines": 0}


def test_missing_lines_are_null_with_a_reason(metadata):
    result = score(make_table(["U1", "U2"]), metadata)
    assert result["directions"]["U2OS->A549"] == {"accuracy": None, "reason": "no A549 compound wells among the features"}
    assert result["mean_of"] == ["U2OS->U2OS"]
    assert result["mean"] == result["directions"]["U2OS->U2OS"]["accuracy"]
    nothing = score(make_table(["U1"]), metadata)
    assert nothing["mean"] is None
    assert nothing["mean_of"] == []


def test_a_folder_is_one_feature_set_in_any_format(table, metadata, tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    by_plate = dict(list(table.groupby("Metadata_Plate")))
    for plate, rows in by_plate.items():
        if plate == "U1":
            rows.to_parquet(folder / "U1.parquet")
        elif plate == "U2":
            (folder / "U2.csv.gz").write_bytes(gzip.compress(rows.to_csv(index=False).encode()))
        else:
            rows[[*reversed(rows.columns)]].to_csv(folder / f"{plate}.csv", index=False)  # another order of columns
    assert score(folder, metadata) == score(table, metadata)


def test_several_files_and_the_written_json(table, metadata, tmp_path):
    first, second = tmp_path / "first.csv", tmp_path / "second.parquet"
    table.to_csv(first, index=False)
    make_table(signal=0).to_parquet(second)
    scores = score([first, second], metadata)
    assert list(scores["files"]) == [str(first), str(second)]
    assert scores["files"][str(first)]["mean"] > scores["files"][str(second)]["mean"]
    write_scores(scores, tmp_path / "score.json")
    assert json.loads((tmp_path / "score.json").read_text()) == scores
    text = scores_text(scores)
    assert f"{100 * scores['files'][str(first)]['mean']:.1f}" in text
    assert "10.00" in text  # chance


def test_a_submission_is_scored_through_its_ids(table, metadata, ids, tmp_path):
    known = pd.read_csv(ids, dtype=str)
    submission = known.merge(table, left_on=["plate", "well"], right_on=["Metadata_Plate", "Metadata_Well"])[["ID", *FEATURES]]
    submission.to_csv(tmp_path / "submission.csv", index=False)
    assert score(tmp_path / "submission.csv", metadata, ids=ids)["directions"] == score(table, metadata)["directions"]
    with pytest.raises(KitError, match="--ids"):
        score(tmp_path / "submission.csv", metadata)


def test_only_the_wells_of_ids_count(table, metadata, ids, tmp_path):
    few = tmp_path / "few.csv"
    pd.read_csv(ids, dtype=str).query("plate != 'U3'").to_csv(few, index=False)
    expected = score(table[table["Metadata_Plate"] != "U3"], metadata)
    assert score(table, metadata, ids=few)["directions"] == expected["directions"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.assign(x1=t["x1"].where(t.index != 4)), r"x1 of row 5 \(U1 A05\) is nan.*--drop-missing leaves"),
        (lambda t: t.assign(x0=t["x0"].where(t.index != 7, np.inf)), r"x0 of row 8 \(U1 B03\) is inf"),
        (lambda t: pd.concat([t, t.iloc[:1]]), "plate U1 well A01 appears in more than one row"),
        (lambda t: with_samples(t, {3: "BRD-9"}), "well A04 of plate U1: the features say .* BRD-9, the plate map says BRD-3"),
        (lambda t: with_samples(t, {10: "BRD-9"}), r"well D01 of plate U1"),
        (lambda t: t.assign(Metadata_Plate=t["Metadata_Plate"].replace("U2", "X9")), "plate X9 has no labels .* drop its rows"),
        (lambda t: t.assign(Metadata_Well=t["Metadata_Well"].replace("A01", "H12")), "well H12 of plate U1 is not"),
        (lambda t: t[["Metadata_Plate", "Metadata_Well"]], "no numeric feature column"),
        (lambda t: t.rename(columns={"Metadata_Well": "Metadata_Spot"}), "no column looks like the well; name it Metadata_Well"),
        (lambda t: t[t["Metadata_Well"].isin(DMSO)], "no compound well"),
    ],
)  # fmt: skip
def test_bad_features_are_one_clear_line(table, metadata, change, message):
    with pytest.raises(KitError, match=message) as error:
        score(change(table), metadata)
    assert "\n" not in str(error.value)


def test_what_is_not_a_feature_is_left_out(table, metadata):
    more = table.assign(ID=range(len(table)), Metadata_x=1.0, flag=True, note="text", empty=np.nan)
    more["Metadata_broad_sample"] = more["Metadata_Well"].map(compound_of_well()).replace("", None)  # both forms of DMSO
    result = score(more, metadata)
    assert result["n_features"] == 6
    assert result["directions"] == score(table, metadata)["directions"]


def test_columns_are_what_all_their_rows_are(metadata, tmp_path):
    many = pd.concat([make_table(features=2, seed=seed).assign(copy=seed) for seed in range(3)], ignore_index=True)  # 315 rows
    many["Metadata_Plate"] = many["Metadata_Plate"] + "-" + many.pop("copy").astype(str)
    many["whole"] = [*range(314), 0.5]  # looks like whole numbers for 200 rows
    many["late"] = [None] * 210 + [1.0] * 105
    many["word"] = [*range(314), "text"]
    many.to_csv(tmp_path / "t.csv", index=False)
    frame = read_csv(tmp_path / "t.csv", lambda name: name.startswith("Metadata_"), pl.Float32)
    assert frame["whole"][314] == 0.5
    assert frame["late"].dtype.is_numeric()
    assert frame["word"].dtype == pl.String


def test_bad_options_are_usage_errors(table, metadata):
    for options in (
        {"k": 0},
        {"folds": 1},
        {"seeds": 0},
        {"metric": "manhattan"},
        {"label": "gene"},
        {"ties": "random"},
        {"cross": "none"},
    ):
        with pytest.raises(UsageError, match=next(iter(options))):
            score(table, metadata, **options)
    with pytest.raises(KitError, match=r"only 24 training wells"):
        score(table, metadata, k=25)


def test_wells_and_numeric_plates_read_as_text(table, metadata, tmp_path):
    table.assign(Metadata_Well=[well[0].lower() + str(int(well[1:])) for well in table["Metadata_Well"]]).to_csv(
        tmp_path / "t.csv", index=False
    )
    assert score(tmp_path / "t.csv", metadata) == score(table, metadata)
    pairs = table.assign(barcode=table["Metadata_Plate"], row=table["Metadata_Well"].str[0], col=table["Metadata_Well"].str[1:])
    pairs = pairs.astype({"col": int}).drop(columns=["Metadata_Plate", "Metadata_Well"])
    assert score(pairs, metadata) == score(table, metadata)  # the column is no feature


@pytest.mark.parametrize(
    ("value", "metric", "note"),
    [
        (2.0, "cosine", "1 of 6 features has one value in all wells (x1); it tells nothing, but the cosines depend on it"),
        (2.0, "euclidean", "1 of 6 features has one value in all wells (x1)"),
        (0.0, "cosine", "1 of 6 features has one value in all wells (x1)"),
    ],
)  # fmt: skip
def test_constant_features_are_named(table, metadata, value, metric, note):
    scored = score(table.assign(x1=np.where(table["Metadata_Well"].isin(DMSO), 9.0, value)), metadata, metric=metric)
    assert scored["notes"] == [note]
    assert note in scores_text(scored).splitlines()


def test_alignment_lifts_pure_noise_where_position_is_compound(table, metadata, tmp_path):
    who = table[["Metadata_Plate", "Metadata_Well"]]
    profiles = Profiles(
        features_MF=np.zeros((len(table), 200), dtype=np.float32), who=who, names=tuple(f"f{i}" for i in range(200))
    )
    noise = noise_like(profiles, seed=0)
    plain, aligned = score(noise, metadata), score(align(noise, 0.3), metadata)
    assert plain["mean"] < 0.2 < 0.7 < aligned["mean"]
    assert aligned["uses_well_position"] is True
    assert "*" in scores_text(aligned)
    write_profiles(align(noise, 0.3), tmp_path / "aligned.parquet")
    assert score(tmp_path / "aligned.parquet", metadata) == aligned


def test_kit_score_is_this_function_with_more_beside_it(table, metadata):
    alone, beside = score(table, metadata, k=3), kit.score(table, metadata, k=3)
    assert {key: value for key, value in beside.items() if key in alone} == alone


def test_real_cellprofiler_profiles(real_data):
    folder, tables = real_data / "cpjump1_features_cellprofiler", real_data / "cpjump1_metadata"
    result = score(folder, tables)
    assert result["directions"]["U2OS->U2OS"]["accuracy"] == pytest.approx(0.40, abs=0.02)
    assert result["directions"]["U2OS->U2OS"]["n_test"] == 5 * 320
    assert result["mean_of"] == ["U2OS->U2OS"]
    assert result["directions"]["A549->A549"]["reason"] == "no A549 compound wells among the features"
    assert result["chance"] == 1 / 306
    assert score(folder, tables, ties="nearest")["mean"] > result["mean"] + 0.01


def test_real_profiles_with_rows_shuffled_score_chance(real_data):
    frame = pl.concat(
        [
            pl.read_csv(path, infer_schema_length=None)
            for path in sorted((real_data / "cpjump1_features_cellprofiler").glob("*.gz"))
        ]
    )
    who = frame.select("Metadata_Plate", "Metadata_Well").to_pandas()
    values = frame.select([name for name in frame.columns if not name.startswith("Metadata_")]).to_pandas()
    shuffled = values.sample(frac=1, random_state=0).reset_index(drop=True)
    result = score(pd.concat([who, shuffled], axis=1), real_data / "cpjump1_metadata")
    assert result["mean"] < 0.015  # chance is 0.0033


def test_of_equal_distances_the_lowest_plate_and_well_count():
    """All wells are alike. P1 is named after P2 A01 (y), P2 and P3 after P1 A01 (x): half, half and none are right."""
    wells = [("P1", "A01", "x"), ("P1", "A02", "y"), ("P2", "A01", "y"), ("P2", "A02", "x"), ("P3", "A01", "z")]
    table = pd.DataFrame(wells, columns=["Metadata_Plate", "Metadata_Well", "Metadata_drug"]).assign(a=1.0, b=2.0)
    for metric in ("cosine", "euclidean"):
        for rows in (table, table.iloc[::-1]):
            assert score(rows, label="drug", k=1, metric=metric)["directions"]["all->all"]["accuracy"] == pytest.approx(1 / 3)
