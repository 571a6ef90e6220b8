"""kit first: a checked and scored submission from a loopback copy of the gallery, from folders, and from published weights."""

import gzip
import json
import threading
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kit.challenge import gallery
from kit.challenge.check import check
from kit.errors import KitError
from kit.profiles.fill import fill_wells
from kit.profiles.table import Profiles, read_profiles
from tests.commands import kit_command
from tests.images.made_work import make_work
from tests.profiles.test_embed import published

PLATES = ("BR00116991", "BR00116992", "BR00117010", "BR00117011")  # two of A549, two of U2OS
DMSO = ("B05", "B06", "B07")
WELLS = {**{f"A0{n}": f"BRD-{n}" for n in range(1, 7)}, "B01": "BRD-1", "B02": "BRD-2", **dict.fromkeys(DMSO, "")}
UNMEASURED = ("BR00117010", "A06")
KIND = gallery.KINDS[0]


def write_gallery(folder: Path, kind: str = KIND, plates=PLATES) -> None:
    """Write profiles as the gallery has them; one plate has a feature more, one a gap, and one lacks a well."""
    rng, centres = np.random.default_rng(0), np.random.default_rng(1).standard_normal((8, 12)) * 3
    for plate in plates:
        wells = [well for well in WELLS if (plate, well) != UNMEASURED]
        codes = [int(WELLS[well][-1]) if WELLS[well] else 0 for well in wells]
        table = pd.DataFrame(centres[codes] + rng.standard_normal((len(wells), 12)), columns=[f"Cells_{n}" for n in range(12)])
        table.insert(0, "Metadata_broad_sample", [WELLS[well] or None for well in wells])
        table.insert(0, "Metadata_Well", wells)
        table.insert(0, "Metadata_Plate", plate)
        table["Nuclei_own"] = 1.0 if plate == PLATES[0] else np.nan
        if plate != PLATES[0]:
            del table["Nuclei_own"]
        table["Nuclei_gap"] = [np.nan if plate == PLATES[1] and row == 2 else 0.5 * row for row in range(len(wells))]
        (folder / plate).mkdir(parents=True, exist_ok=True)
        with gzip.open(folder / plate / f"{plate}{kind}.csv.gz", "wt") as file:
            table.to_csv(file, index=False)


@dataclass
class Bucket:
    """A server of a folder under the gallery's path. answers: what it says first to each of the next requests, such as 503."""

    folder: Path
    port: int = 0
    asked: list[str] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{urllib.parse.urlparse(gallery.GALLERY).path}"


@pytest.fixture
def bucket(tmp_path, monkeypatch) -> Iterator[Bucket]:
    """The gallery's own layout on this machine, which `kit first` takes for the gallery."""
    served = Bucket(tmp_path / "bucket")
    write_gallery(served.folder)

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args):
            pass

        def do_GET(self):
            served.asked.append(self.path)
            path = served.folder / self.path.removeprefix(urllib.parse.urlparse(gallery.GALLERY).path + "/")
            status = served.answers.pop(0) if served.answers else 200 if path.is_file() else 404
            data = path.read_bytes() if status == 200 else b""
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setattr("kit.first.GALLERY", served.url)
    monkeypatch.setattr("kit.challenge.gallery._FIRST_WAIT", 0.001)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    yield served
    server.shutdown()
    server.server_close()


@pytest.fixture
def ids(tmp_path) -> Path:
    return write_ids(tmp_path / "metadata_test.csv", PLATES, [well for well in WELLS if WELLS[well]])


def write_ids(path: Path, plates, wells) -> Path:
    rows = [(plate, well) for plate in plates for well in wells]
    table = pd.DataFrame(rows, columns=["plate", "well"]).sample(frac=1, random_state=1)
    table.insert(0, "ID", [f"{number:03d}" for number in range(len(table))])
    table.to_csv(path, index=False)
    return path


def test_the_challenges_plates():
    assert {line: len(plates) for line, plates in gallery.PLATES.items()} == {"U2OS": 8, "A549": 16}
    assert len(gallery.LINE_OF) == 24
    assert all(len(plate) == 10 for plate in gallery.LINE_OF)
    assert gallery.GALLERY.endswith("/cpg0000-jump-pilot/source_4/workspace/profiles/2020_11_04_CPJUMP1")


def test_a_submission_from_the_gallery(bucket, ids, tmp_path):
    out = tmp_path / "a first"
    said = kit_command("first", out, "--ids", ids).stdout
    path = urllib.parse.urlparse(gallery.GALLERY).path
    assert bucket.asked == [f"{path}/{plate}/{plate}{KIND}.csv.gz" for plate in PLATES]
    checked = check(out / "submission.csv", ids)
    assert (checked.rows, checked.columns) == (4 * 8, 12), "without the feature of one plate and that with a gap"
    made = read_profiles(out / "profiles.parquet")
    assert [step["step"] for step in made.steps] == ["from", "rank_normal", "whiten", "fill", "l2"]
    assert "1 well that nobody measured: given the mean of the plate" in said
    assert dict(zip(made.who["Metadata_Plate"], made.who["Metadata_Cell_type"], strict=True)) == {
        plate: gallery.LINE_OF[plate] for plate in PLATES
    }
    scores = json.loads((out / "score.json").read_text())
    assert list(scores["directions"]) == ["U2OS->U2OS", "U2OS->A549", "A549->U2OS", "A549->A549"]
    assert scores["chance"] == pytest.approx(1 / 6)
    assert scores["mean"] > 2 * scores["chance"] > scores["null"]["value"]
    assert scores["wells"]["scored"] == 31, "not the well that was filled in"
    assert scores["verdict"]["directions"]["U2OS->A549"]["value"], "no step reads the position, and the file says so"
    for text in ("chance", "null (95th)", "24.1", "31.1", "34.2", "38.6", "40.0", f"next: kit submit '{out}/submission.csv'"):
        assert text in said
    bucket.asked.clear()
    kept = gallery.find_profiles(bucket.url, PLATES, out / "profiles")
    assert (len(kept.files), bucket.asked) == (4, []), "what was downloaded is kept"


def test_the_line_breaks_and_mends(bucket, tmp_path):
    bucket.answers += [503, 200, 429, 500]
    found = gallery.find_profiles(bucket.url, PLATES, tmp_path / "kept")
    assert found.gallery
    assert [path.name[:10] for path in found.files] == list(PLATES)
    assert len(bucket.asked) == 4 + 3


@pytest.mark.parametrize(
    ("answers", "said"),
    [([503] * 5, "503"), ([403], "the server answers 403"), ([404] * 3, "has none of BR00116991"),
     ([200, 404], "1 of the 4 plates with an ID have no profiles there (BR00116992)")],
)  # fmt: skip
def test_what_a_server_refuses_is_one_line(bucket, ids, tmp_path, answers, said):
    bucket.answers += answers
    error = kit_command("first", tmp_path / "out", "--ids", ids, code=1).stderr
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out" / "submission.csv").exists()


def test_nobody_answers(ids, tmp_path, monkeypatch):
    monkeypatch.setattr("kit.challenge.gallery._FIRST_WAIT", 0.001)
    error = kit_command("first", tmp_path / "out", "--ids", ids, "--profiles", "http://127.0.0.1:9/x", code=1).stderr
    assert "no answer after 5 tries" in error
    assert "name their folder with --profiles" in error


def test_folders(ids, tmp_path):
    write_gallery(tmp_path / "copy", gallery.KINDS[2])
    flat = tmp_path / "flat"
    flat.mkdir()
    copied = gallery.find_profiles(str(tmp_path / "copy"), PLATES, tmp_path)
    assert copied == gallery.Found(tuple(sorted((tmp_path / "copy").rglob("*.gz"))), gallery=True)
    for path in copied.files:
        path.rename(flat / path.name)
    moved = gallery.find_profiles(str(flat), PLATES, tmp_path)
    assert moved == gallery.Found(tuple(flat / path.name for path in copied.files), gallery=True)
    with pytest.raises(KitError, match=r"has no BR00117012_normalized_negcon\.csv\.gz: 1 of the 5 plates"):
        gallery.find_profiles(str(flat), [*PLATES, "BR00117012"], tmp_path)
    for path in moved.files:
        path.rename(flat / path.name.replace(gallery.KINDS[2], "_of_my_own"))
    said = kit_command("first", tmp_path / "out", "--ids", ids, "--profiles", flat).stdout
    assert check(tmp_path / "out" / "submission.csv", ids).rows == 32
    assert "what was done to the files before kit profile --from is not known" in said


def test_published_weights(tmp_path):
    work = make_work(tmp_path / "work", plates=("P1", "P2"), wells=6, sites=1, lines=("U2OS", "U2OS"))
    labels = pd.DataFrame([(plate, f"A{well:02d}", f"c{well}" if well < 4 else "DMSO")
                           for plate in work.plates for well in range(1, 7)], columns=["plate", "well", "compound"])  # fmt: skip
    labels.to_csv(tmp_path / "labels.csv", index=False)
    kit_command("ingest", "--work", tmp_path / "work", "--labels", tmp_path / "labels.csv", "--control", "DMSO")
    ids = write_ids(tmp_path / "ids.csv", work.plates, ["A01", "A02", "A03"])
    weights = published(tmp_path / "vit.pth", patch=32)
    said = kit_command("first", tmp_path / "out", "--ids", ids, "--work", tmp_path / "work", "--weights", weights).stdout
    assert check(tmp_path / "out" / "submission.csv", ids).rows == 6
    assert read_profiles(tmp_path / "out" / "profiles.parquet").names[0].startswith("vit-fluorescence_")
    assert "next: kit submit" in said
    write_ids(ids, ("P1", "P3"), ["A01"])
    error = kit_command("first", tmp_path / "out", "--ids", ids, "--work", tmp_path / "work", "--weights", weights, code=2).stderr
    assert "lacks 1 plate with an ID: P3; kit ingest packs them" in error


@pytest.mark.parametrize(
    ("options", "said"),
    [(["--work", "w"], "--work goes with --weights"), (["--weights", "w"], "--weights goes with --work"),
     (["--work", "w", "--weights", "w", "--profiles", "p"], "two ways"), (["--profiles", "absent"], "absent does not exist"),
     (["--profiles", "ftp2://x/y"], "ftp2"), (["--out-of", "x"], "No such option")],
)  # fmt: skip
def test_bad_options(ids, tmp_path, options, said):
    assert said in kit_command("first", tmp_path / "out", "--ids", ids, *options, code=2).stderr


def test_out_is_a_folder_and_profiles_are_of_the_plates(ids, tmp_path):
    assert "is a file" in kit_command("first", ids, "--ids", ids, code=2).stderr
    write_gallery(tmp_path / "other", plates=("BR00117054",))
    error = kit_command("first", tmp_path / "out", "--ids", ids, "--profiles", tmp_path / "other", code=1).stderr
    assert f"nor the gallery's folders of these plates, such as {PLATES[0]}/{PLATES[0]}{KIND}.csv.gz" in error


def test_a_well_is_filled_with_the_mean_of_its_own_plate():
    who = pd.DataFrame({"Metadata_Plate": ["P1", "P1", "P2"], "Metadata_Well": ["A01", "A02", "A01"]})
    profiles = Profiles(features_MF=np.array([[1.0, 2], [3, 6], [9, 9]], np.float32), who=who, names=("a", "b"))
    asked = pd.DataFrame({"Metadata_Plate": ["P1", "P1", "P2"], "Metadata_Well": ["A01", "A03", "A02"]})
    filled = fill_wells(profiles, asked)
    np.testing.assert_array_equal(filled.features_MF, [[1, 2], [3, 6], [9, 9], [2, 4], [9, 9]])
    assert filled.who["Metadata_Well"].tolist() == ["A01", "A02", "A01", "A03", "A02"]
    assert fill_wells(profiles, asked[:1]) is profiles


def test_a_page_in_place_of_a_file_is_not_kept(bucket, ids, tmp_path):
    file = bucket.folder / PLATES[1] / f"{PLATES[1]}{KIND}.csv.gz"
    file.write_text("<html>sign in</html>")
    said = kit_command("first", tmp_path / "first", "--ids", ids, code=1).stderr
    assert f"{PLATES[1]}{KIND}.csv.gz: what came is no gzip file; does a proxy or a login page answer?" in said
    assert [path.name for path in (tmp_path / "first/profiles").iterdir()] == [f"{PLATES[0]}{KIND}.csv.gz"]
