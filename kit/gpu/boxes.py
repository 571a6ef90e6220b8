"""Which parts a run has, and how long each may take."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kit.errors import UsageError
from kit.words import nearest

RESERVE = 8.0  # seconds at the end of a run for its files
LEAST = 5.0  # seconds: a part with less does not start


@dataclass(frozen=True)
class Part:
    """One thing to do. `module` runs as `python -m MODULE --seconds N --json FILE`, and ends by itself in N seconds."""

    name: str
    module: str
    seconds: float  # that it may take where it is asked for by name, and its weight in a prepared run
    needs_gpu: bool = True  # else it is worth its time without one, too
    packages: tuple[str, ...] = ()  # by their import names: without one of them it is skipped
    options: tuple[str, ...] = ()
    ahead: tuple[str, ...] = ()  # what prepares it without a GPU, while the parts before it run
    alone: bool = False  # it wants every CPU: nothing is prepared meanwhile that has not begun before
    rehearsal: tuple[str, ...] = ("--rehearse",)  # instead, without a GPU, where the lines of the code are to be walked


@dataclass(frozen=True)
class Run:
    """A prepared run: seconds in all, from the start of the script to its end, and the weight of each part."""

    seconds: float
    weights: Mapping[str, float]


_STORE = ("imagecodecs", "google_crc32c", "tomli_w", "pydantic", "pandas", "pyarrow", "tqdm")
_TRAINING = ("pydantic", "safetensors", "tomli_w")
_LEARNING = (*_STORE, "safetensors", "filelock", "tenacity", "skimage")
PARTS = {
    part.name: part
    for part in (
        Part("build", "kit.gpu.build", 90, needs_gpu=False, alone=True),
        Part("tests", "kit.gpu.tests", 120, needs_gpu=False, packages=("pytest",)),
        Part("views", "kit.kernels.bench", 75, options=("--device", "cuda"), rehearsal=("--device", "cpu", "--only", "jitter")),
        Part("recipes", "kit.gpu.recipes", 60, packages=_TRAINING),
        Part("steps", "kit.bench.steps", 150, packages=_TRAINING, rehearsal=("--device", "cpu", "--tiny", "--batch", "2")),
        Part("loader", "kit.bench.loader", 75, packages=(*_TRAINING, *_STORE), options=("--threads", "0"), alone=True),
        Part("learn", "kit.gpu.learn", 240, packages=_LEARNING, ahead=("--prepare",)),
        Part("sanitizer", "kit.gpu.sanitizer", 75),
    )
}
RUNS = {
    "first": Run(240, {"build": 45, "tests": 75, "views": 45, "recipes": 60}),
    "second": Run(360, {"build": 30, "steps": 80, "loader": 50, "learn": 190}),
}


def chosen_parts(text: str) -> list[Part]:
    """Return the parts named in `build,tests`, in the order in which they run; all for an empty text.

    Raises:
        UsageError: no such part.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in PARTS:
            raise UsageError(f"PARTS: there is no part {name!r}{nearest(name, PARTS)}; there are {', '.join(PARTS)}")
    return [part for part in PARTS.values() if not names or part.name in names]


def box_of(name: str, waiting: Sequence[str], weights: Mapping[str, float], left: float) -> float:
    """Return the seconds that a part may take: its share, by weight, of what is left for it and the parts that wait.

    What a part does not use thus goes to those behind it.
    """
    return left * weights[name] / sum(weights[other] for other in (name, *waiting))
