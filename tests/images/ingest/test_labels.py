"""Labels of a store: a lab's own file, beside or without the official tables, now or later; unknown is never a control."""

import shutil

import pytest

from kit.errors import KitError, UsageError
from kit.images.ingest.dry_run import dry_run
from kit.images.ingest.plan import IngestPlan
from kit.images.ingest.run import ingest
from kit.images.store.tables import read_record, read_table, write_table
from kit.images.store.work import open_work
from tests.commands import kit_here
from tests.images.made_plates import write_metadata, write_plate

LAB = "plate,well,compound,dose\nP1,A01,DMSO,0.10\nP1,A02,AZ-1,0.1\nP2,A01,dmso,\n"


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """Two plates of the wells A01, A02, B01 in images/, and lab.csv, which labels three of the six."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KIT_QUIET", "1")
    for plate in ("P1", "P2"):
        write_plate(tmp_path / "images", plate, wells=("A01", "A02", "B01"), sites=(1,), channels=(1,), side=8)
    (tmp_path / "lab.csv").write_text(LAB)
    return tmp_path


def plan(lab, source="images", **more):
    return IngestPlan(source and lab / source, lab / "w", **{"labels": lab / "lab.csv", "perturbation": "compound", **more})


def column(lab, name):
    wells = open_work(lab / "w").wells
    return dict(zip(wells["Metadata_Plate"] + wells["Metadata_Well"], wells[f"Metadata_{name}"], strict=True))


def test_every_column_is_kept_and_the_rule_recorded(lab):
    text = ingest(plan(lab, control="DMSO")).text()
    unknown = {"P1B01": "", "P2A02": "", "P2B01": ""}
    assert column(lab, "compound") == {"P1A01": "DMSO", "P1A02": "AZ-1", "P2A01": "dmso", **unknown}
    assert column(lab, "dose") == {"P1A01": "0.10", "P1A02": "0.1", "P2A01": "", **unknown}
    assert column(lab, "is_control") == {"P1A01": True, **dict.fromkeys(["P1A02", "P2A01", *unknown], False)}
    record = {"source": "lab.csv", "perturbation": "Metadata_compound", "control": "DMSO"}
    assert read_record(lab / "w" / "plates" / "P1.parquet")["labels"] == record
    work = open_work(lab / "w")
    assert work.perturbation == "Metadata_compound"
    assert work.labels == {"perturbation": "Metadata_compound", "control": "DMSO"}
    assert "  compound of lab.csv: 2 of 3 wells labelled, 1 control (DMSO)\n" in text
    assert "  1 well without a label, unknown and not a control: B01\n" in text
    assert "  no control on this plate: kit profile --normalize needs one on every plate, or --controls all\n" in text
    assert "  warning: 1 well with 'dmso', which is not the control 'DMSO'\n" in text


def test_labels_without_a_control_and_without_labels(lab):
    (lab / "lab.csv").write_text("plate,well,gene\nP1,A01,TP53\n")
    ingest(plan(lab, perturbation=None))  # the only column there is
    work = open_work(lab / "w")
    assert work.labels == {"perturbation": "Metadata_gene", "control": ""}
    assert not work.wells["Metadata_is_control"].any()
    assert column(lab, "gene")["P2A01"] == ""  # the plate has no labels: unknown
    shutil.rmtree(lab / "w")
    ingest(plan(lab, labels=None, perturbation=None))
    assert open_work(lab / "w").labels == {"perturbation": "Metadata_broad_sample", "control": ""}
    assert read_record(lab / "w" / "plates" / "P1.parquet")["labels"] == {"source": "", "perturbation": "", "control": ""}


def test_labels_come_later_and_the_images_are_gone(lab):
    ingest(plan(lab, labels=None, perturbation=None))
    shutil.rmtree(lab / "images")
    before = snapshot(lab / "w")
    text = dry_run(plan(lab, source=None, control="DMSO")).text()
    assert "labels to be updated: P1, P2\n  P1: compound of lab.csv: 2 of 3 wells labelled, 1 control (DMSO)\n" in text
    assert text.endswith("nothing was written")
    assert snapshot(lab / "w") == before
    assert "labels updated, pixels unchanged: P1, P2" in ingest(plan(lab, source=None, control="DMSO")).text()
    assert column(lab, "compound")["P1A02"] == "AZ-1"
    assert {path for path, data in snapshot(lab / "w").items() if before[path] != data} == {"P1.parquet", "P2.parquet"}
    assert ingest(plan(lab, source=None, control="DMSO")).text() == "already packed: P1, P2"
    assert "updated, pixels unchanged: P1, P2" in ingest(plan(lab, source=None)).text(), "another rule is another label"
    (lab / "lab.csv").write_text(LAB.replace("AZ-1", "AZ-2").replace(",dose", ",day"))
    text = ingest(plan(lab, source=None, plates=("P1",))).text()
    assert "P1: columns it had before and these labels have not are gone: dose" in text
    assert column(lab, "compound")["P1A02"] == "AZ-2"


def snapshot(work):
    return {path.name: path.read_bytes() for path in (work / "plates").rglob("*") if path.is_file()}


def test_a_plate_of_an_earlier_version(lab):
    metadata = write_metadata(lab / "m", {"P1": "U2OS", "P2": "A549"}, {"A01": "", "A02": "BRD-1", "B01": "BRD-2"})
    official = plan(lab, labels=None, perturbation=None, metadata=metadata)
    ingest(official)
    path = lab / "w" / "plates" / "P1.parquet"
    record = read_record(path)
    assert record.pop("labels") == {"source": "official", "perturbation": "Metadata_broad_sample", "control": "DMSO"}
    write_table(path, read_table(path), record)
    assert open_work(lab / "w").labels == {"perturbation": "Metadata_broad_sample", "control": "DMSO"}
    assert ingest(official).text() == "already packed: P1, P2"


def test_a_well_that_the_plate_map_lacks_is_unknown(lab):
    metadata = write_metadata(lab / "m", {"P1": "U2OS", "P2": "A549"}, {"A01": "", "A02": "BRD-1"})
    text = ingest(plan(lab, labels=None, perturbation=None, metadata=metadata)).text()
    assert text.count("  1 well without a label, unknown and not a control: B01\n") == 2
    assert column(lab, "broad_sample") == {f"P{n}{well}": label for n in (1, 2) for well, label in
                                           (("A01", ""), ("A02", "BRD-1"), ("B01", ""))}  # fmt: skip
    assert column(lab, "is_control") == {f"P{n}{well}": well == "A01" for n in (1, 2) for well in ("A01", "A02", "B01")}
    assert column(lab, "Cell_type")["P2B01"] == "A549"  # of the plate, whatever the well holds


def test_both_tables_are_joined_and_must_agree(lab):
    metadata = write_metadata(lab / "m", {"P1": "U2OS", "P3": "A549"}, {"A01": "", "A02": "BRD-1", "C01": "BRD-9"})
    (lab / "lab.csv").write_text("plate,well,broad_sample,pert_iname,dose\nP1,A01,DMSO,,0\nP1,B01,BRD-2,two,5\nP2,A01,BRD-1,,5\n")
    text = ingest(plan(lab, metadata=metadata, perturbation=None)).text()
    assert "1 well of the plate map without images: C01" in text
    rows = ["P1A01", "P1A02", "P1B01", "P2A01", "P2A02", "P2B01"]
    assert column(lab, "broad_sample") == dict(zip(rows, ["", "BRD-1", "BRD-2", "BRD-1", "", ""], strict=True))
    assert column(lab, "pert_iname") == dict(zip(rows, ["DMSO", "name-BRD-1", "two", "", "", ""], strict=True))
    assert column(lab, "dose") == dict(zip(rows, ["0", "", "5", "5", "", ""], strict=True))
    assert [row for row, control in column(lab, "is_control").items() if control] == ["P1A01"]
    assert open_work(lab / "w").labels == {"perturbation": "Metadata_broad_sample", "control": "DMSO"}
    ingest(plan(lab, source=None, metadata=metadata, perturbation="pert_iname", control="name-BRD-1"))
    assert [row for row, control in column(lab, "is_control").items() if control] == ["P1A02"]
    for text, said in [
        ("P1,A02,BRD-2,,1", "A02 of plate P1: lab.csv says broad_sample 'BRD-2', the official tables say BRD-1"),
        ("P1,A01,BRD-2,,1", r"A01 of plate P1: lab.csv says broad_sample 'BRD-2', the official tables say empty \(DMSO\)"),
        ("P1,A02,,one,1", "A02 of plate P1: lab.csv says pert_iname 'one', the official tables say name-BRD-1"),
    ]:
        (lab / "lab.csv").write_text(f"plate,well,broad_sample,pert_iname,dose\n{text}\n")
        with pytest.raises(KitError, match=said):
            ingest(plan(lab, metadata=metadata, perturbation=None))
    with pytest.raises(UsageError, match="--control BRD-1: the official tables say which wells are DMSO"):
        ingest(plan(lab, metadata=metadata, perturbation="broad_sample", control="BRD-1"))


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        ("images --labels lab.csv", 2, "has several columns: name that of the treatments with --perturbation: compound, dose"),
        (
            "images --labels lab.csv --perturbation compond",
            1,
            "no column compond; did you mean compound?; it has: compound, dose",
        ),
        ("images --labels lab.csv --perturbation compound --control DMS", 2, "no well has this compound; did you mean DMSO?"),
        ("images --labels lab.csv --perturbation ''", 2, "--perturbation is empty: name the column of the treatments"),
        ("images --labels lab.csv --perturbation compound --control ''", 2, "--control is empty: a well without a label is unkn"),
        ("images --labels lab.csv --perturbation compound --plates P3", 2, "--plates P3: no such plate"),
        ("images --labels other.csv --plates P2", 1, "plate P2 has no labels: not in other.csv; the file has P1, P7"),
        ("images --labels far.csv", 1, "plate P1 has no labels: not in far.csv; the file has P7"),
        ("images --labels lab.csv --labels far.csv", 2, "--labels is given 2 times: it takes one value"),
        ("images --labels lab.csv --control DMSO --control H2O", 2, "--control is given 2 times: it takes one value"),
        ("images --control DMSO", 2, "--control DMSO: also give --labels FILE"),
        ("images --perturbation dose", 2, "--perturbation dose: also give --labels FILE"),
        ("", 2, "give SOURCE, the plates to pack; or --labels or --metadata"),
        ("--labels other.csv --layout lab.csv", 2, "--layout needs SOURCE"),
        ("--labels other.csv --bits 16", 2, "--bits needs SOURCE"),
        ("--labels other.csv", 2, "holds no store"),
    ],
)
def test_what_is_wrong_is_one_line_and_packs_nothing(lab, capsys, words, code, line):
    (lab / "other.csv").write_text("plate,well,gene\nP1,A01,TP53\nP7,A01,TP53\n")
    (lab / "far.csv").write_text("plate,well,gene\nP7,A01,TP53\n")
    kit_here(f"ingest {words} --work w", code)
    said = capsys.readouterr().err
    assert line in said
    assert len(said.splitlines()) == 1
    assert not (lab / "w" / "plates").exists()


def test_plates_on_one_side_only_are_listed(lab):
    (lab / "other.csv").write_text("plate,well,gene\nP1,A01,TP53\nP7,A01,TP53\n")
    for _ in range(2):
        text = ingest(plan(lab, labels=lab / "other.csv", perturbation=None)).text()
        assert "without labels: " in text
        assert "plates in --labels that are not here: P7" in text
    assert open_work(lab / "w").plates == ["P1", "P2"]
    ingest(plan(lab))
    text = ingest(plan(lab, source=None, labels=lab / "other.csv", perturbation=None)).text()
    assert "\nplates not in --labels, which keep the labels they had: P2\n" in text


def test_plates_labelled_by_different_columns(lab):
    ingest(plan(lab))
    (lab / "other.csv").write_text("plate,well,gene\nP2,A01,TP53\n")
    ingest(plan(lab, source=None, labels=lab / "other.csv", perturbation=None))
    with pytest.raises(KitError, match="labelled by different columns, P2 by gene and P1 by compound"):
        _ = open_work(lab / "w").perturbation
    assert open_work(lab / "w").only(["P2"]).perturbation == "Metadata_gene"
