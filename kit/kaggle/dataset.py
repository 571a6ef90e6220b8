"""Make a data set at Kaggle of a laid-out folder, or a new version of one that is there."""

import logging
import re
import time
from collections.abc import Sequence
from pathlib import Path

from kit.kaggle.answers import INTERRUPTED, REFUSED, SERVER, TOO_MANY, UNREACHABLE
from kit.kaggle.command import Refused, Upload, run

log = logging.getLogger(__name__)
PAUSES = (5.0, 20.0, 60.0)  # s before each new try; kaggle goes on with the file that broke off
_AGAIN = (TOO_MANY, SERVER, UNREACHABLE, INTERRUPTED)  # done twice it is a version more, no harm
_WAY_OUT = "Check the name (--id), and that the account may own data sets at all"


def is_there(ref: str) -> bool:
    """Return whether OWNER/NAME is a data set that can be read.

    Raises:
        KitError: Kaggle does not answer.
    """
    try:
        run(["datasets", "status", ref], quiet_seconds=120)
    except Refused as refused:
        if refused.failure.kind == REFUSED:  # Kaggle does not tell one that is not there from one of others
            return False
        raise
    return True


def send(ref: str, folder: Path, notes: str, *, public: bool = False, pauses: Sequence[float] = PAUSES) -> str:
    """Upload a folder, whose dataset-metadata.json says OWNER/NAME, and return its address.

    Args:
        notes: of the version. public: whether a new data set can be seen by all.

    Raises:
        KitError: Kaggle refuses, or the upload breaks off each time.
    """
    sizes = {path.name: path.stat().st_size for path in folder.iterdir() if path.suffix != ".json"}
    upload = Upload(label=f"uploading {ref}", sizes=sizes)
    for pause in (*pauses, None):
        new = ["datasets", "create", "-p", str(folder), *(["-u"] if public else [])]
        words = ["datasets", "version", "-p", str(folder), "-m", notes] if is_there(ref) else new
        try:
            printed = run(words, way_out=_WAY_OUT, upload=upload)
        except Refused as refused:
            if pause is None or refused.failure.kind not in _AGAIN:
                raise
            log.warning("%s; next try in %.0f s", refused, pause)
            time.sleep(pause)
        else:
            found = re.search(r"https?://\S+", printed)
            return found[0].rstrip(".") if found else f"https://www.kaggle.com/datasets/{ref}"
    raise AssertionError("the last try returns or raises")
