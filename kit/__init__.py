"""kit: from Cell Painting plates to a scored submission of the Cell Line Transferability challenge.

`kit.open(work)` gives the tables and pixels of a packed work folder, `kit.score(...)` the contents of `score.json`.
Heavy dependencies are imported on first use.
"""

from typing import TYPE_CHECKING

from kit.version import __version__

if TYPE_CHECKING:
    from kit.images.store.work import open_work as open
    from kit.sections import score

__all__ = ["__version__", "open", "score"]


def __getattr__(name: str) -> object:
    if name == "open":
        from kit.images.store.work import open_work

        return open_work
    if name == "score":
        from kit.sections import score

        return score
    raise AttributeError(f"module 'kit' has no attribute {name!r}")
