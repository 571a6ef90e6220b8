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
