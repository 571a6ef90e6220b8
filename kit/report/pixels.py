"""Small pictures inside the page: JPEG as data, and sites as colours. C channels, H W pixels."""

import base64
import io
from pathlib import Path

import numpy as np

_QUALITY = 82


def jpeg_uri(image: np.ndarray | Path, width: int | None = None) -> str:
    """Return a picture as a data: address, at most `width` pixels wide.

    image: uint8 [H, W, 3], or the path of a picture.
    """
    from PIL import Image  # comes with matplotlib

    opened = Image.open(image).convert("RGB") if isinstance(image, Path) else Image.fromarray(image)
    if width is not None and opened.width > width:
        opened = opened.resize((width, round(opened.height * width / opened.width)), Image.Resampling.LANCZOS)
    data = io.BytesIO()
    opened.save(data, format="JPEG", quality=_QUALITY, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(data.getvalue()).decode()}"


def enlarged(colour_RR3: np.ndarray, side: int) -> np.ndarray:
    """Return R rows of R colours, 0 to 1, as squares of pixels, NaN in near black: uint8 [side, side, 3]."""
    from PIL import Image

    shown = np.where(np.isfinite(colour_RR3), 0.12 + 0.88 * colour_RR3, 0.05)
    return np.asarray(Image.fromarray((255 * shown).round().astype(np.uint8)).resize((side, side), Image.Resampling.NEAREST))
