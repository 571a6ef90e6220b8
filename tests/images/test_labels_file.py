"""A lab's table of labels: the spellings it may have, what is kept as written, and one clear line for what is wrong."""

import gzip

import pandas as pd
import pytest

from kit.errors import KitError, UsageError
from kit.images.labels_file import read_label_file

WELLS = {"Metadata_Plate": ["P1", "P1"], "Metadata_Well": ["B03", "AA12"], "Metadata_compound": ["DMSO", "AZ-1"]}


@pytest.mark.parametrize(
    "text",
    [
        "plate,well,compound\nP1,B03,DMSO\nP1,aa12,AZ-1\n",
        "Metadata_Plate,Metadata_Well,Metadata_compound\nP1,b3,DMSO\nP1,AA12,AZ-1\n",
        "\ufeffBarcode;Well Position;compound\r\nP1;B3;DMSO\r\n\r\nP1;AA12;AZ-1\r\n",
        "compound\trow\tcol\tPlate\nDMSO\tB\t03\tP1\nAZ-1\t27\t12\tP1\n",
        "Plate,Row,Column,compound\n P1 ,2,3.0, DMSO\nP1,aa,12,AZ-1 \nP1,AA,12,AZ-1\n",
        '"","plate","well","compound"\n"1","P1","B03","DMSO"\n"2","P1","AA12","AZ-1"\n',  # as R writes it
    ],
)
def test_every_spelling_gives_the_same_table(tmp_path, text):
    path = tmp_path / "labels.csv"
    path.write_text(text)
    pd.testing.assert_frame_equal(read_label_file(path).table, pd.DataFrame(WELLS), check_dtype=False)
    packed = tmp_path / "labels.tsv.gz"
    packed.write_bytes(gzip.compress(text.encode()))
    pd.testing.assert_frame_equal(read_label_file(packed).table, pd.DataFrame(WELLS), check_dtype=False)


def test_values_are_kept_as_written(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text('plate,well,dose,name,note\n007,A1,0.10,"1,2-diol",NA\n007,A2,1e-3,nan\n')
    table = read_label_file(path).table
    assert table.drop(columns="Metadata_Well").to_numpy().tolist() == [
        ["007", "0.10", "1,2-diol", "NA"],
        ["007", "1e-3", "nan", ""],  # a row may end early: what it lacks is unknown
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("plate,well,compound\n", "is empty"),
        ("well,compound\nA01,x\n", "has no column of plates (plate or barcode); it has: well, compound"),
        ("plate,row,compound\nP1,A,x\n", "has no column well, nor row and column; it has: plate, row, compound"),
        ("plate,well\nP1,A01\n", "has no column of labels beside plate and well"),
        ("plate,well,compound\nP1,A01,x\n\nP1,A1B,y\n", "line 4: 'A1B' is not a well"),
        ("plate,row,col,compound\nP1,A,x1,x\n", "line 2: row 'A', column 'x1' is not a well"),
        ("plate,row,col,compound\nP1,99,1,x\n", "line 2: row 99, column 1 is not a well"),
        ("plate,well,compound\n,A01,x\n", "line 2: the plate is empty"),
        ("plate,well,name\nP1,A01,1,2-diol\n", "line 2: 4 values for 3 columns; put quotes around '2-diol'"),
        ("plate,well,Site,compound\nP1,A01,1,x\n", "column Site cannot be kept as Metadata_Site"),
        ("plate,well,is_control\nP1,A01,1\n", "Metadata_is_control, which is kit's own: --control says"),
        ("plate,well,dose,Metadata_dose\nP1,A01,1,2\n", "columns dose and Metadata_dose would both be Metadata_dose"),
        ("plate,Metadata_Plate,well,x\nP1,P2,A01,1\n", "columns plate and Metadata_Plate would both be Metadata_Plate"),
        (
            "plate,well,compound,dose\nP1,A1,x,1\nP1,A01,x,1\nP1,A01,y,1\n",
            "well A01 of plate P1 has compound 'x' in line 2 and 'y' in line 4: give each well one row",
        ),
        ('plate,well,compound\nP1,A01,"x\n', "cannot be read as a table"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path, text, message):
    path = tmp_path / "labels.csv"
    path.write_text(text)
    with pytest.raises(KitError) as error:
        read_label_file(path)
    assert str(error.value).startswith(str(path))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.csv", "plate,well,x\nP1,A01,5 µM\n".encode("cp1252"), "is not UTF-8 text"),
        ("a.csv", "plate,well,x\n".encode("utf-16"), "is not UTF-8 text"),
        ("a.csv.gz", gzip.compress(b"plate,well,x\nP1,A01,1\n", mtime=0)[:-9], "cannot be read as a table"),
        ("a.xlsx", b"PK\3\4", "save the table as CSV"),
    ],
)
def test_files_that_are_no_table(tmp_path, name, data, message):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(KitError, match=message):
        read_label_file(tmp_path / name)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(UsageError, match="does not exist; --labels takes a table"):
        read_label_file(tmp_path / "labels.csv")
