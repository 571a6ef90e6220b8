"""The challenge CSV: every ID once, in order, exact values; what is wrong is named and nothing half-made remains."""

import hashlib
import json

import numpy as np
import pandas as pd
import pytest

from kit.challenge.check import check
from kit.challenge.export import export
from kit.challenge.features import read_features
from kit.challenge.ids import read_ids
from kit.challenge.rows import write_rows
from kit.challenge.score import score
from kit.errors import KitError, UsageError
from kit.profiles.manifest import manifest_path, read_manifest
from kit.profiles.table import Profiles, write_profiles

NAMES = ("run_s1_cls_0", "run_s1_cls_1", "run_s1_cls_2")


@pytest.fixture
def profiles(tmp_path, table):
    values = np.random.default_rng(0).standard_normal((len(table), 3)).astype(np.float32)
    values[0] = [1e-30, 3.0, -1e20]  # a whole number, and numbers that need an exponent
    who = table[["Metadata_Plate", "Metadata_Well"]]
    made = Profiles(features_MF=values, who=who, names=NAMES, steps=({"step": "align", "a": 0.9, "uses_well_position": True},))
    write_profiles(made, tmp_path / "profiles.parquet")
    return made


def test_the_csv_holds_the_profiles_in_the_order_of_the_ids(profiles, ids, tmp_path):
    out = tmp_path / "submission.csv"
    done = export(tmp_path / "profiles.parquet", ids, out)
    assert (done.rows, done.columns) == (84, 3)
    back = pd.read_csv(out, dtype=str)
    assert back.loc[:, NAMES[0]].str.contains(r"[.e]").all()  # floats by their look, too
    wanted = pd.read_csv(ids, dtype=str)
    assert list(back.columns) == ["ID", *NAMES]
    assert back["ID"].tolist() == wanted["ID"].tolist()
    rows = pd.MultiIndex.from_frame(profiles.who).get_indexer(pd.MultiIndex.from_frame(wanted[["plate", "well"]]))
    np.testing.assert_array_equal(
        back[list(NAMES)].to_numpy().astype(float).astype(np.float32), profiles.features_MF[rows]
    )  # to the bit
    assert check(out, ids) == done
    assert "84 rows x 3 features" in done.text()


def test_quotes_and_commas_in_names_are_kept(table, metadata, ids, tmp_path):
    """As CSV has it, a quote in a name is doubled; a name that has two keeps two."""
    names = {"x0": 'f,3"', "x1": 'a"b', "x2": 'c""d', "x3": '"e"', "x4": "two\nlines"}
    table.rename(columns=names).to_parquet(tmp_path / "f.parquet", index=False)
    assert export(tmp_path / "f.parquet", ids, tmp_path / "s.csv").columns == 6
    assert list(pd.read_csv(tmp_path / "s.csv")) == ["ID", *names.values(), "x5"]
    table.rename(columns=names).to_csv(tmp_path / "f.csv.gz", index=False)
    assert read_features(tmp_path / "f.csv.gz").names == (*names.values(), "x5")
    assert score(tmp_path / "s.csv", metadata, ids=ids)["directions"] == score(table, metadata)["directions"]


def test_a_bad_value_is_named_with_its_column(ids, tmp_path):
    wanted = pd.read_csv(ids, dtype=str)["ID"]
    pd.DataFrame({"ID": wanted, 'f,3"': np.where(wanted.index == 2, np.inf, 1.0)}).to_csv(tmp_path / "s.csv", index=False)
    with pytest.raises(KitError, match=r'f,3" of ID .* is inf'):
        check(tmp_path / "s.csv", ids)


def test_the_manifest_says_where_it_comes_from(profiles, ids, tmp_path):
    out = tmp_path / "submission.csv"
    export(tmp_path / "profiles.parquet", ids, out)
    manifest = read_manifest(out)
    assert manifest_path(out).name == "submission.manifest.json"
    assert manifest["sha256"] == hashlib.sha256(out.read_bytes()).hexdigest()
    assert (manifest["rows"], manifest["columns"]) == (84, 3)
    assert manifest["source"]["file"] == "profiles.parquet"
    assert manifest["uses_well_position"] is True
    assert manifest["steps"] == [{"step": "align", "a": 0.9, "uses_well_position": True}]
    assert json.loads(manifest_path(out).read_text()) == manifest


def test_a_submission_scores_as_its_profiles(table, ids, metadata, tmp_path):
    table.to_parquet(tmp_path / "features.parquet", index=False)
    export(tmp_path / "features.parquet", ids, tmp_path / "s.csv")
    again = score(tmp_path / "s.csv", metadata, ids=ids)
    assert again["directions"] == score(table, metadata)["directions"]


@pytest.mark.parametrize("header", ["ID,Metadata_Plate,Metadata_Well", "id,Assay_Plate_Barcode,well_position", "Id,Barcode,WELL"])
def test_columns_are_guessed_from_their_names(tmp_path, header):
    (tmp_path / "ids.csv").write_text(f"{header}\n007,U1,a1\n8,U1,B02\n")
    found = read_ids(tmp_path / "ids.csv")
    assert found.to_numpy().tolist() == [["007", "U1", "A01"], ["8", "U1", "B02"]]


def test_row_and_column_stand_for_a_well(tmp_path):
    (tmp_path / "ids.csv").write_text("ID,plate,row,column\na,U1,4,8\nb,U1,D,9\n")
    assert read_ids(tmp_path / "ids.csv")["Metadata_Well"].tolist() == ["D08", "D09"]


def test_rows_and_columns_as_a_spreadsheet_writes_them(tmp_path):
    (tmp_path / "ids.csv").write_text("ID,plate,row,column\na,U1,4.0,8.0\nb,U1, d ,9\n")
    assert read_ids(tmp_path / "ids.csv")["Metadata_Well"].tolist() == ["D08", "D09"]


def test_columns_that_do_not_tell_are_asked_for(tmp_path):
    path = tmp_path / "ids.csv"
    path.write_text("key,dish,spot\nx,U1,A01\n")
    with pytest.raises(UsageError, match="--id-column"):
        read_ids(path)
    named = read_ids(path, id_column="key", plate_column="dish", well_column="spot")
    assert named["ID"].tolist() == ["x"]
    with pytest.raises(UsageError, match="no such column"):
        read_ids(path, id_column="keys", plate_column="dish", well_column="spot")
    path.write_text("ID,plate,barcode,well\nx,U1,U1,A01\n")
    with pytest.raises(UsageError, match="plate and barcode both look like the plate"):
        read_ids(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ID,plate,well\n1,U1,A01\n1,U1,A02\n", "ID 1 appears in 2 rows"),
        ("ID,plate,well\n1,U1,A01\n,U1,A02\n", "row 3: no ID"),
        ("ID,plate,well\n1,U1,AA\n", "row 2: 'AA' is not a well"),
        ("ID,plate,well\n1,U1,\n", "row 2: no ID, plate or well"),
        ("ID,plate,row,column\n1,U1,1,1\n2,U1,1,x1\n", "row 3: row '1', column 'x1' is not a well: need a row letter or number"),
        ("ID,plate,row,column\n1,U1,A,\n", "row 2: row 'A', column '' is not a well"),
        ("ID,plate,row,column\n1,U1,1,1\n2,U1,,\n", "row 3: no ID, plate or well"),
        ("ID,plate,well\n", "has no rows"),
        ("", "cannot be read as CSV"),
        ("ID,plate,well\n1,U1,A01\n2,U1,H12\n", "ID 2, plate U1 well H12, has no row in"),
        ("ID,plate,well\n2,X5,A01\n3,X5,A02\n", r"ID 2, plate X5 well A01, has no row in .* \(2 of 2 IDs have none\)"),
    ],
)
def test_bad_ids_are_one_line_and_leave_nothing(profiles, tmp_path, text, message):
    (tmp_path / "bad.csv").write_text(text)
    with pytest.raises(KitError, match=message) as error:
        export(tmp_path / "profiles.parquet", tmp_path / "bad.csv", tmp_path / "out" / "s.csv")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_nan_in_a_profile_is_named(table, ids, tmp_path):
    table.loc[6, "x3"] = np.nan
    table.to_csv(tmp_path / "f.csv", index=False)
    with pytest.raises(KitError, match=r"x3 of row 7 \(U1 B02\) is nan"):
        export(tmp_path / "f.csv", ids, tmp_path / "s.csv")
    assert not (tmp_path / "s.csv").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.iloc[1:], "lacks ID"),
        (lambda t: pd.concat([t, t.iloc[:1]]), "appears in 2 rows"),
        (lambda t: t.iloc[::-1], "keep its order"),
        (lambda t: pd.concat([t, t.iloc[:1].assign(ID="stranger")]), "'stranger' is not in the ID table"),
        (lambda t: t.assign(b=t["b"].where(t.index != 2)), "b of ID .* is empty"),
        (lambda t: t.assign(b=t["b"].where(t.index != 2, np.inf)), "b of ID .* is inf"),
        (lambda t: t.assign(b=t["b"].where(t.index != 2, 1e300)), r"b of ID .* is 1e\+300"),
        (lambda t: t.assign(b="word"), "b of ID .* is word, not a number"),
        (lambda t: t.assign(b=""), "b of ID .* is empty; need"),
        (lambda t: t.rename(columns={"ID": "Id"}), "no column ID"),
        (lambda t: t[["ID"]], "no feature column"),
        (lambda t: t.rename(columns={"b": "a"}), "column a appears twice"),
    ],
)
def test_check_names_what_is_wrong(ids, tmp_path, change, message):
    wanted = pd.read_csv(ids, dtype=str)["ID"]
    good = pd.DataFrame({"ID": wanted, "a": 1.0, "b": np.arange(len(wanted)) + 0.5})
    path = tmp_path / "s.csv"
    good.to_csv(path, index=False)
    assert check(path, ids).columns == 2
    change(good).to_csv(path, index=False)
    with pytest.raises(KitError, match=message) as error:
        check(path, ids)
    assert "\n" not in str(error.value)


def test_files_that_are_none(ids, tmp_path):
    (tmp_path / "binary.csv").write_bytes(b"\x89PNG\xff\xfe\x00" * 50)
    (tmp_path / "text.parquet").write_text("not parquet")
    for path in (tmp_path / "absent.csv", tmp_path / "binary.csv"):
        with pytest.raises(KitError):
            check(path, ids)
    with pytest.raises(KitError, match=r"text\.parquet"):
        export(tmp_path / "text.parquet", ids, tmp_path / "s.csv")


def test_a_rotated_submission_has_fewer_columns_and_the_same_distances(table, ids, tmp_path, caplog, monkeypatch):
    values = np.random.default_rng(0).standard_normal((len(table), 200)).astype(np.float32)
    names = [f"x{index}" for index in range(200)]
    pd.concat([table.filter(like="Metadata_"), pd.DataFrame(values, columns=names)], axis=1).to_csv(
        tmp_path / "f.csv", index=False
    )
    export(tmp_path / "f.csv", ids, tmp_path / "plain.csv")
    done = export(tmp_path / "f.csv", ids, tmp_path / "s.csv", rotated=True)
    assert (done.rows, done.columns) == (84, 84)
    assert "rotated from 200 to 84 columns" in done.text()
    plain, rotated = (pd.read_csv(tmp_path / name, dtype={"ID": str}) for name in ("plain.csv", "s.csv"))
    assert rotated["ID"].tolist() == plain["ID"].tolist()
    before, after = (frame.drop(columns="ID").to_numpy() for frame in (plain, rotated))
    np.testing.assert_allclose(after @ after.T, before @ before.T, atol=1e-4)
    manifest = json.loads((tmp_path / "s.manifest.json").read_text())
    assert manifest["columns_made_by"]["step"] == "rotate"
    assert manifest["sha256"] == hashlib.sha256((tmp_path / "s.csv").read_bytes()).hexdigest()
    done = export(tmp_path / "f.csv", ids, tmp_path / "s.csv", columns=10)
    assert done.columns == 10
    assert "% of the sum of squares is left out" in done.text()
    with pytest.raises(UsageError, match="--rotate keeps every distance and --columns 5 does not"):
        export(tmp_path / "f.csv", ids, tmp_path / "s.csv", rotated=True, columns=5)
    assert not caplog.records
    monkeypatch.setattr("kit.challenge.export.SCORED", 199)
    export(tmp_path / "f.csv", ids, tmp_path / "s.csv")
    assert "200 feature columns; the challenge's scorer is known to take 199" in caplog.text


@pytest.mark.parametrize("name", ['a"b', "a,b", "a\nb"])
def test_ids_that_need_quotes_are_written_and_checked(table, tmp_path, name):
    wells = table[~table["Metadata_Well"].isin(["C01", "C02", "C03"])].iloc[:3]
    where = {"plate": wells["Metadata_Plate"].tolist(), "well": wells["Metadata_Well"].tolist()}
    pd.DataFrame({"ID": [name, "2", "3"], **where}).to_csv(tmp_path / "ids.csv", index=False)
    table.to_csv(tmp_path / "f.csv", index=False)
    assert export(tmp_path / "f.csv", tmp_path / "ids.csv", tmp_path / "s.csv").rows == 3
    assert pd.read_csv(tmp_path / "s.csv", dtype={"ID": str})["ID"].tolist() == [name, "2", "3"]
    assert check(tmp_path / "s.csv", tmp_path / "ids.csv").rows == 3


def test_a_disk_that_changes_a_value_is_noticed(table, ids, tmp_path, monkeypatch):
    table.to_csv(tmp_path / "f.csv", index=False)

    def damaged(path, *given):
        write_rows(path, *given)
        lines = path.read_text().splitlines(keepends=True)
        lines[5] = lines[5].replace("1", "2")
        path.write_text("".join(lines))

    monkeypatch.setattr("kit.challenge.export.write_rows", damaged)
    with pytest.raises(KitError, match=r"s\.csv: row \d+ does not read back as it was written"):
        export(tmp_path / "f.csv", ids, tmp_path / "s.csv")
    assert not (tmp_path / "s.csv").exists()


@pytest.mark.parametrize("name", ["aligned.h5ad", "aligned.csv.gz"])
def test_aligned_profiles_of_every_kind_say_whether_their_positions_are_whole(profiles, ids, tmp_path, name):
    if name.endswith("h5ad"):
        pytest.importorskip("anndata")
    write_profiles(profiles, tmp_path / name)
    export(tmp_path / name, ids, tmp_path / "s.csv")
    export(tmp_path / "profiles.parquet", ids, tmp_path / "wanted.csv")
    assert read_manifest(tmp_path / "s.csv")["whole_positions"] is read_manifest(tmp_path / "wanted.csv")["whole_positions"]


def test_a_submission_of_aligned_profiles_can_be_exported_again(profiles, ids, tmp_path):
    export(tmp_path / "profiles.parquet", ids, tmp_path / "s.csv")
    export(tmp_path / "s.csv", ids, tmp_path / "rotated.csv", rotated=True)
    known, again = read_manifest(tmp_path / "s.csv"), read_manifest(tmp_path / "rotated.csv")
    assert again["whole_positions"] is known["whole_positions"]
