"""A plate's table on disk: one row per site, with a record of the ingest in the file's schema."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.lib
import pyarrow.parquet as pq

from kit.errors import KitError
from kit.files import whole_file


def write_table(path: Path, table: pd.DataFrame, record: dict) -> None:
    """Write the table with `record` in the file's schema under "kit"."""
    arrow = pa.Table.from_pandas(table, preserve_index=False)
    arrow = arrow.replace_schema_metadata({**(arrow.schema.metadata or {}), b"kit": json.dumps(record)})
    with whole_file(path) as part:
        pq.write_table(arrow, part)


def read_table(path: Path) -> pd.DataFrame:
    """Return a plate's sites table.

    Raises:
        KitError: the file is damaged.
    """
    with _damage(path):
        return pd.read_parquet(path)


def read_record(path: Path) -> dict:
    """Return what `write_table` recorded; errors as `read_table`."""
    with _damage(path):
        return json.loads(pq.read_schema(path).metadata[b"kit"])


@contextlib.contextmanager
def _damage(path: Path) -> Iterator[None]:
    try:
        yield
    except (pyarrow.lib.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, OSError) and error.errno:
            raise
        raise KitError(
            f"{path} is damaged ({str(error).splitlines()[0]}); delete it and ingest plate {path.stem} again"
        ) from error
