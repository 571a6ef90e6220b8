"""Reading for the loader: the pixels zarr-python reads, only the chunks asked for, and every kind of damage by name."""

import google_crc32c
import numpy as np
import pytest
import zarr

from kit.errors import KitError
from kit.images.crops.reader import BadSite, SiteReader
from kit.images.ingest.plan import IngestPlan
from kit.images.ingest.run import ingest
from kit.images.store.codecs import pack
from kit.images.store.shards import Shard
from kit.images.store.work import open_work
from tests.images.made_plates import write_plate
from tests.images.made_work import CHANNELS, made_site, make_work

HERE = ("P1", "A02", 2)


@pytest.fixture
def work(tmp_path):
    return make_work(tmp_path, plates=("P1",), wells=3, sites=2)


def read(work, channels=CHANNELS, who=HERE):
    out = np.zeros((len(channels), 32, 32), np.uint8)
    SiteReader(work, channels, ["P1"]).read(*who, out)
    return out


def rewrite_index(work, change):
    """Let `change` edit the index of the well, and store it with a checksum that fits."""
    container = work.container("P1")
    path = container.shard(HERE[1])
    data = path.read_bytes()
    index = np.frombuffer(data[-container.chunks * 16 - 4 : -4], "<u8").reshape(-1, 2).copy()
    change(index, container.chunk(HERE[2], "AGP"))
    packed = index.tobytes()
    path.write_bytes(data[: -container.chunks * 16 - 4] + packed + google_crc32c.value(packed).to_bytes(4, "little"))


def test_pixels_are_those_that_zarr_reads(work):
    array = zarr.open_array(work.path / "plates" / "P1.zarr" / "pixels", mode="r")
    for well in range(3):
        for site in range(2):
            found = read(work, who=("P1", f"A{well + 1:02d}", site + 1))
            assert np.array_equal(found, array[well, site])
            assert np.array_equal(found, made_site("P1", f"A{well + 1:02d}", site + 1))


def test_channels_come_in_the_order_asked_for_and_no_other_is_touched(work, monkeypatch):
    touched = []
    plain = Shard.read
    monkeypatch.setattr(Shard, "read", lambda self, chunk: touched.append(chunk) or plain(self, chunk))
    found = read(work, ("RNA", "Mito"))
    assert np.array_equal(found, made_site(*HERE)[[2, 0]])
    container = work.container("P1")
    assert touched == [container.chunk(2, "RNA"), container.chunk(2, "Mito")]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ((2**62, 10), "past the end of the images"),
        ((0, 2**62), "past the end of the images"),
        ((2**63, 2**63), "past the end of the images"),
        ((2**64 - 1, 2**64 - 1), "not in the store"),
        ((3, 40), "checksum"),
        ((0, 2), "checksum"),
        ((0, 0), "0 pixels"),
    ],
)
def test_an_index_that_points_astray_is_refused_before_it_is_used(work, value, words):
    def change(index, chunk):
        index[chunk] = np.array(value, np.uint64)

    rewrite_index(work, change)
    with pytest.raises(BadSite, match=f"plate P1 well A02 site 2 AGP in .*{words}"):
        read(work)


def test_an_image_of_the_wrong_size_is_named(work):
    container = work.container("P1")
    path = container.shard(HERE[1])
    for image in (np.zeros((16, 32), np.uint8), np.zeros((64, 64), np.uint8)):
        packed = pack(image, container.codec)
        data = path.read_bytes()
        whole = container.chunks * 16 + 4
        path.write_bytes(data[:-whole] + packed + data[-whole:])

        place = len(data) - whole, len(packed)

        def change(index, chunk, place=place):
            index[chunk] = place

        rewrite_index(work, change)
        with pytest.raises(BadSite, match="plate P1 well A02 site 2 AGP"):
            read(work)


def test_counts_are_scaled_and_their_damage_is_named_once(tmp_path):
    write_plate(tmp_path / "plates", "BR00117010", channels=(1, 2))
    ingest(IngestPlan(tmp_path / "plates", tmp_path / "w8"))
    ingest(IngestPlan(tmp_path / "plates", tmp_path / "w16", bits=16))
    work, found_CHW = open_work(tmp_path / "w16"), np.zeros((2, 24, 24), np.uint8)
    reader = SiteReader(work, ("AGP", "Mito"), ["BR00117010"])
    reader.read("BR00117010", "B02", 2, found_CHW)
    assert np.array_equal(found_CHW, open_work(tmp_path / "w8").read_site("BR00117010", "B02", 2, ["AGP", "Mito"]))
    path = work.container("BR00117010").shard("B02")
    path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])
    with pytest.raises(BadSite) as caught:
        reader.read("BR00117010", "B02", 1, found_CHW)
    where = f"plate BR00117010 well B02 site 1 Mito in {path}"
    assert str(caught.value) == f"{where}: checksum mismatch: the stored bytes have changed"
    with pytest.raises(KitError) as caught:
        work.read_site("BR00117010", "B02", 1)
    assert str(caught.value) == f"{where}: checksum mismatch: the stored bytes have changed"


@pytest.mark.parametrize("keep", [0, 3, 100, -1])
def test_a_truncated_shard_is_named(work, keep):
    path = work.container("P1").shard("A02")
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(BadSite, match=r"plate P1 well A02 site 2.*damaged"):
        read(work)


def test_a_missing_shard_is_damage_but_a_missing_store_is_the_end(work):
    work.container("P1").shard("A02").unlink()
    with pytest.raises(BadSite, match=r"plate P1 well A02 site 2: .* is missing"):
        read(work)
    (work.path / "store.toml").unlink()
    with pytest.raises(KitError, match="is gone") as caught:
        read(work)
    assert not isinstance(caught.value, BadSite)
