"""Random streams: one table, no two purposes with the same numbers, the same bits on every machine."""

import ast
import hashlib
import itertools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kit import streams
from kit.streams import MADE_PLATE, Stream, generator, made_plate, random_words, shuffled, torch_seed
from tests.images.made_work import label, make_work

ROOT = Path(__file__).parents[1]
WORDS = [7740968084702345440, 3317699270718579150]  # seed 7, masks of step 3
NUMPY = "2.4."  # that MADE was made with
MADE = "ba7c0a856bd98e7ee4e4965a1344ffbef49d0bb6c3ab15fd226daf59067f9c97"


def test_words_are_the_same_on_every_machine():
    assert random_words(2, 7, Stream.MASKS, 3).tolist() == WORDS
    assert random_words(5, 7, Stream.MASKS, 3)[:2].tolist() == WORDS
    assert generator(7, Stream.MASKS, 3).bit_generator.random_raw(2).tolist() == WORDS
    assert torch_seed(7, Stream.BACKBONE) == int(random_words(1, 7, Stream.BACKBONE)[0]) // 2
    assert sorted(shuffled(9, 7, Stream.SLOTS, 1, 2)) == list(range(9))


def test_no_two_streams_share_a_key():
    words = [random_words(4, seed, stream).tobytes() for seed in (0, 1, 2) for stream in Stream]
    places = itertools.product(MADE_PLATE, (0, 1, 1007), (0, 383), (0, 15))
    words += [made_plate(seed, *place).bit_generator.random_raw(4).tobytes() for seed in (0, 1, 2) for place in places]
    assert len(set(words)) == len(words)


def test_counters_of_a_stream_do_not_overlap():
    """Word 0 of the counter belongs to the generator: a long draw does not reach the next step's numbers."""
    long = random_words(4096, 0, Stream.BOXES, 0, 0)
    others = [random_words(4, 0, Stream.BOXES, *counter) for counter in ((1,), (0, 1), (0, 0, 1), (0, 1, 0))]
    assert not np.isin(np.concatenate(others), long).any()


def test_a_run_and_its_plates_draw_every_stream_for_one_purpose(tmp_path, monkeypatch):
    """Record who draws what while plates are made and a run trains: no key and counter may serve two callers."""
    pytest.importorskip("torch")
    from kit.images.phantom.plates import PhantomConfig, make_plates
    from tests.model.run_tiny import run_tiny

    drawn: dict[tuple, set[str]] = {}
    real = streams._philox

    def record(seed, purpose, counter=()):
        frame = sys._getframe(2)
        drawn.setdefault((seed, purpose, *counter), set()).add(f"{frame.f_globals['__name__']}.{frame.f_code.co_name}")
        return real(seed, purpose, counter)

    monkeypatch.setattr(streams, "_philox", record)
    plates = {"seed": 3, "plates_per_line": 1, "wide_plates_per_line": 0, "compounds": 2, "dmso_wells": 1, "side": 64}
    make_plates(tmp_path / "plates", PhantomConfig(**plates), jobs=1)
    make_work(tmp_path / "work")
    label(tmp_path / "work", "P1", "P2")
    run_tiny(tmp_path / "work", "run", train={"max_steps": 3, "knn_epochs": 0.5}, loss={"mask_share": 1.0})
    assert not {key: who for key, who in drawn.items() if len(who) > 1}
    used = {key[1] for key in drawn}
    of_scores = (Stream.WELL_SHUFFLE, Stream.INTERVALS, Stream.ORDERS)  # kit.companions; kit.measures
    of_views = (Stream.DROP_CHANNELS, Stream.CELLS, Stream.PROBES)  # cellrep; crops around cells; heads on features
    elsewhere = (Stream.IBOT_HEAD, Stream.NUCLEI, *of_views, *of_scores)  # a head of its own; kit views
    assert {streams._RUN | stream for stream in Stream} - used <= {streams._RUN | stream for stream in elsewhere}


def test_nobody_invents_a_stream():
    """Philox and torch's seed are named in kit/streams.py, or seeded from it."""
    for path in [*(ROOT / "kit").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            name = node.attr if isinstance(node, ast.Attribute) else ""
            assert name != "Philox" or path.name == "streams.py", f"{path}: numpy's Philox belongs to kit/streams.py"
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.manual_seed":
                assert ast.unparse(node.args[0]).startswith("torch_seed("), f"{path}: torch.manual_seed without a stream"


@pytest.mark.skipif(not np.__version__.startswith(NUMPY), reason=f"numpy {np.__version__} rounds otherwise than {NUMPY}")
def test_made_plates_of_a_seed_stay_equal(tmp_path):
    """Byte for byte, with the vector instructions that every machine has: numpy's exp and log differ in the last bit beyond."""
    beyond = "AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR X86_V4"
    settings = ["plates_per_line=1", "wide_plates_per_line=1", "compounds=2", "dmso_wells=1", "side=112", "missing_wells=0.1"]
    command = [sys.executable, "-c", "from kit.cli.main import main; main()", "phantom", tmp_path / "made", "--seed", "3"]
    command += [word for setting in settings for word in ("--set", setting)]
    environment = {**os.environ, "NPY_DISABLE_CPU_FEATURES": beyond, "OMP_NUM_THREADS": "1", "KIT_QUIET": "1"}
    subprocess.run(command, env=environment, check=True, capture_output=True)
    digest = hashlib.sha256()
    files = sorted(path for path in (tmp_path / "made").rglob("*") if path.is_file())
    for path in files:
        digest.update(str(path.relative_to(tmp_path / "made")).encode() + b"\0" + path.read_bytes())
    assert (len(files), digest.hexdigest()) == (1288, MADE)
