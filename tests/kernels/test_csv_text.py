"""Rows of a CSV: the compiled writer and reader against polars, over every exponent of float32."""

import numpy as np
import pytest

from kit.kernels import csv_text
from kit.kernels.csv_text import csv_rows, csv_rows_reference, csv_values, csv_values_reference
from tests.compiled import unless_blocked

AWKWARD = [0.0, -0.0, 1.0, -1.5, 1e-5, 9.99e-7, 1e-6, 1e-7, 1.25e-7, 123456789, 1e12, 9999999e6, 1e13, 1e16, 3.4028235e38,
           1.1754944e-38, 1e-45, 16777217, 0.1, 0.3333333, 2147483648]  # fmt: skip


def numbers(rows: int = 40, columns: int = 25) -> np.ndarray:
    """Float32 of every exponent and sign, subnormals too, and the awkward ones."""
    bits = np.random.default_rng(0).integers(0, 2**32, rows * columns, dtype=np.uint32)
    values = bits.view(np.float32).copy()
    values[~np.isfinite(values)] = 1.0
    values[: len(AWKWARD)] = AWKWARD
    values[500:] = np.round(values[500:] % 1000, 3)  # and some of everyday size
    return values.reshape(rows, columns)


@unless_blocked
def test_the_compiled_rows_are_polars_to_the_byte():
    values_MF, first = numbers(), [f"{row:04d}" for row in range(40)]
    assert csv_text._native() is not None
    theirs = csv_rows_reference(first, values_MF).replace(b"e+", b"e")  # polars before 2 leaves the sign out
    assert csv_rows(first, values_MF).replace(b"e+", b"e") == theirs
    assert csv_rows(["a"], np.float32([[1e13, 1e-7]])) == b"a,1e+13,1e-7\n"


@pytest.mark.parametrize("read", [csv_values, csv_values_reference])
@pytest.mark.parametrize("write", [csv_rows, csv_rows_reference])
def test_what_is_written_reads_back_to_the_bit(read, write):
    values_MF, first = numbers(), [f"{row:04d} é" for row in range(40)]
    for text in (write(first, values_MF), write(first, values_MF).replace(b"\n", b"\r\n")[:-2]):
        found, back_MF = read(text, 25)
        assert found == first
        np.testing.assert_array_equal(back_MF.view(np.uint32), values_MF.view(np.uint32))


@pytest.mark.parametrize("read", [csv_values, csv_values_reference])
@pytest.mark.parametrize("text", [
    b"a,1", b"a,1,2,3", b"a,1,", b"a,,1", b"a,1,x", b"a,1,2x", b"a,1,nan", b"a,inf,1", b"a,1,1e39", b'"a",1,2', b"a",
    b"a,1,2\n\nb,1,2",
])  # fmt: skip
def test_a_line_that_is_not_plain_is_none(read, text):
    assert read(b"b,1,2\na,1,2.5", 2)[1].tolist() == [[1, 2], [1, 2.5]]
    assert read(b"b,1,2\n" + text, 2) is None


@pytest.mark.parametrize("native", [True, False])
def test_only_finite_float32_rows_are_written(native, monkeypatch):
    if not native:
        monkeypatch.setattr(csv_text, "cpu_extension", lambda: None)
    assert csv_rows(["a"], np.ones((1, 2), dtype=np.float32)) == b"a,1.0,1.0\n"
    for values in (
        np.ones((1, 2)),
        np.ones((2, 2), dtype=np.float32),
        np.float32([[1, np.nan]]),
        np.ones((2, 2), np.float32).T[:1],
    ):
        with pytest.raises(ValueError, match="values: "):
            csv_rows(["a"], values)


def test_what_runs_is_said_and_why(monkeypatch):
    with monkeypatch.context() as old_library:
        old_library.setattr(csv_text, "cpu_extension", lambda: object())  # compiled, and without the rows
        assert csv_text.backend() == ("polars", "kit.kernels._cpu: its C++ library converts no floats")
    monkeypatch.setattr(csv_text, "cpu_extension", lambda: None)
    monkeypatch.setattr(csv_text, "cpu_reason", lambda: "not built")
    assert csv_text.backend() == ("polars", "kit.kernels._cpu: not built")
