"""What the fuzzer found, replayed: the compiled reader and tifffile give one verdict, and the same pixels."""

import hashlib
import tarfile
from pathlib import Path

import numpy as np
import pytest

from kit.images.source import tiff
from kit.images.source.tiff import BadImage, read_tiff, read_tiff_reference
from tests.compiled import unless_blocked

CORPUS = Path(__file__).with_name("tiff_corpus.tar.xz")  # csrc/fuzz/run.sh writes it; without it the replay fails


def corpus() -> dict[str, bytes]:
    with tarfile.open(CORPUS) as archive:
        return {Path(file.name).name: archive.extractfile(file).read() for file in archive if file.isfile()}


def test_the_corpus_is_whole():
    found = corpus()
    assert len(found) >= 200
    assert found == {hashlib.sha1(data).hexdigest(): data for data in found.values()}  # the fuzzer names a file by its content


@unless_blocked
def test_findings_decode_alike_or_are_refused():
    assert tiff.cpu_reason() == "ready", "without the compiled reader the reference would be compared with itself"
    decoded = [name for name, data in corpus().items() if decodes_alike(data)]
    assert decoded, "each file was refused: no pixel was compared"


def decodes_alike(data: bytes) -> bool:
    """See that both readers give the same pixels (True) or both refuse (False)."""
    try:
        expected = read_tiff_reference(data).counts_HW
    except BadImage:
        with pytest.raises(BadImage):
            read_tiff(data)
        return False
    np.testing.assert_array_equal(read_tiff(data).counts_HW, expected)
    return True
