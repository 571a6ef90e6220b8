"""Execute notebooks/quickstart.ipynb and keep its outputs in it, pictures made small: python docs/quickstart.py"""

import base64
import io
import os
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image

NOTEBOOK = Path(__file__).parents[1] / "notebooks" / "quickstart.ipynb"
WIDTH, COLOURS = 900, 256  # of a picture that is kept


def small(picture: str) -> str:
    """Return a PNG, in base64 as notebooks hold it, at no more than WIDTH pixels and COLOURS colours."""
    image = Image.open(io.BytesIO(base64.b64decode(picture))).convert("RGB")
    if image.width > WIDTH:
        image = image.resize((WIDTH, round(image.height * WIDTH / image.width)), Image.Resampling.LANCZOS)
    data = io.BytesIO()
    image.quantize(COLOURS).save(data, "PNG", optimize=True)
    return base64.b64encode(data.getvalue()).decode()


def kept(notebook: nbformat.NotebookNode, folder: str) -> nbformat.NotebookNode:
    """Return a notebook executed in `folder` with small pictures, without that folder's name and the times of its cells."""
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", ()):
            if "image/png" in output.get("data", {}):
                output.data["image/png"] = small(output.data["image/png"])
            if "text" in output:
                output.text = output.text.replace(f"{folder}/", "")
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return notebook


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        executed = nbformat.read(NOTEBOOK, as_version=4)
        client = NotebookClient(executed, timeout=3600, kernel_name="python3", resources={"metadata": {"path": folder}})
        client.execute(env={**os.environ, "KIT_QUIET": "1"})
    nbformat.write(kept(executed, folder), NOTEBOOK)
