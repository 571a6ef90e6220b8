"""Write small TIFFs of every kind that the reader knows, and some it does not, into the folder named: seeds for the fuzzer.

Real images (KIT_REAL_DATA, or shared/data beside the checkout) give their upper rows, written again as small files.
"""

import os
import sys
from pathlib import Path

import numpy as np
import tifffile

FORMATS = {
    "lzw": {"compression": "lzw"},
    "lzw-predictor": {"compression": "lzw", "predictor": True},
    "plain": {},
    "deflate": {"compression": "zlib"},
    "tiles": {"compression": "lzw", "tile": (16, 16)},
}


def images() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    made = {
        "noise": rng.integers(0, 65536, (12, 20)),
        "camera": rng.poisson(300, (20, 20)),
        "zeros": np.zeros((40, 50)),
        "ramp": np.arange(20 * 30).reshape(20, 30) * 11 % 65536,
    }
    folder = Path(os.environ.get("KIT_REAL_DATA", Path(__file__).parents[3] / "shared" / "data")) / "cpjump1_images"
    for path in sorted(folder.glob("BR00117006/Images/*.tiff")):
        made[path.stem[-12:]] = tifffile.imread(path)[500:516, 500:524]
    return made


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for content, counts in images().items():
        for name, options in FORMATS.items():
            for bits in (8, 16):
                for byteorder, bigtiff, rows in (("<", False, None), (">", False, 7), ("<", True, 5)):
                    strips = {} if "tile" in options or rows is None else {"rowsperstrip": rows}
                    path = folder / f"{content}-{name}-{bits}-{'big' if bigtiff else 'classic'}{rows or ''}.tiff"
                    pixels = np.asarray(counts).astype(f"u{bits // 8}")
                    tifffile.imwrite(path, pixels, byteorder=byteorder, bigtiff=bigtiff, metadata=None, **options, **strips)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
