"""Draw the pictures of the README into docs/pictures: `make pictures`.

The scores are those of docs/results/learn.json, which `make learn` measures.

The real site is drawn where real CPJUMP1 files lie beside the checkout, or in the folder that KIT_REAL_DATA names.
"""

import json
import os
import statistics
import tempfile
from pathlib import Path

import click
from matplotlib.figure import Figure
from PIL import Image

import kit
from kit.challenge.score_text import direction_names
from kit.files import whole_file
from kit.images.ingest.plan import IngestPlan
from kit.images.ingest.run import ingest
from kit.images.phantom.figure import composite, draw_plate_figure, scaled
from kit.images.phantom.plates import PhantomConfig, make_plates
from kit.images.store.work import Work
from kit.model.views_figure import draw_views_figure
from kit.recipe import load_recipe
from kit.trials.compare_table import shown_scores

PICTURES = Path(__file__).parent / "pictures"
LEARNED = Path(__file__).parent / "results" / "learn.json"
REAL = Path(os.environ.get("KIT_REAL_DATA", Path(__file__).parents[2] / "shared" / "data"))
SITE = ("BR00117013", "D14", 5)
WIDTH = 1000  # pixels
COLOURS = 256  # enough for these pictures, and a third of the bytes


def draw_made_plates(folder: Path) -> None:
    """Draw one made plate of each cell line as docs/pictures/made_plates.png."""
    few = PhantomConfig(
        plates_per_line=1, wide_plates_per_line=0, compounds=8, wells_per_compound=1, dmso_wells=1, missing_wells=0
    )
    make_plates(folder / "plates", few, jobs=1)
    draw_plate_figure(folder / "plates", folder / "made.png")
    shrink(folder / "made.png", PICTURES / "made_plates.png")


def draw_real_site(folder: Path) -> None:
    """Draw a real site, read from the packed store: its eight channels (real_site.png), three of them under each
    augmentation (views.png)."""
    ingest(IngestPlan(REAL / "cpjump1_images", folder / "work", metadata=REAL / "cpjump1_metadata", plates=SITE[:1], jobs=1))
    _real_figure(kit.open(folder / "work")).savefig(folder / "real.png")
    shrink(folder / "real.png", PICTURES / "real_site.png")
    recipe = load_recipe("sslprofiler-local")
    draw_views_figure(kit.open(folder / "work"), recipe.views, folder / "views.png", channels=("AGP", "DNA", "Brightfield"))
    shrink(folder / "views.png", PICTURES / "views.png")


def _real_figure(work: Work) -> Figure:
    """Return the channels and a composite; every channel of a panel is scaled on its own, from percentile 1 to 99.8."""
    plate, well, site = SITE
    pixels = work.read_site(plate, well, site)
    about = work.wells.set_index(["Metadata_Plate", "Metadata_Well"]).loc[plate, well]
    rgb = ("AGP", "ER", "DNA")
    panels = [(name, scaled(image)) for name, image in zip(work.channels, pixels, strict=True)]
    panels.append((f"{' '.join(rgb)} as red, green, blue", composite(pixels, rgb)))
    figure = Figure(figsize=(8.4, 8.9), dpi=100, layout="constrained")
    figure.suptitle(f"{plate} {well} site {site}: {about.Metadata_Cell_type}, {about.Metadata_pert_iname}, from the packed store")
    for axis, (title, panel) in zip(figure.subplots(3, 3).flat, panels, strict=True):
        axis.imshow(panel, cmap="gray", vmin=0, vmax=1, interpolation="antialiased")
        axis.set_title(title, fontsize=10, pad=3)
        axis.axis("off")
    return figure


def draw_scores() -> None:
    """Draw what `make learn` measured on made plates, all four directions, with chance: docs/pictures/scores.png."""
    rows = {name: scores for name, (_, scores) in shown_scores(json.loads(LEARNED.read_text())).items()}
    directions = direction_names(score for scores in rows.values() for score in scores)
    figure = Figure(figsize=(8.4, 3.6), dpi=100, layout="constrained")
    axis = figure.subplots()
    width = 0.8 / len(rows)
    for place, (name, scores) in enumerate(rows.items()):
        per_direction = [[100 * score["directions"][direction]["accuracy"] for score in scores] for direction in directions]
        x = [group + (place - (len(rows) - 1) / 2) * width for group in range(len(directions))]
        spread = [statistics.stdev(values) if len(values) > 1 else 0 for values in per_direction]
        axis.bar(
            x,
            [statistics.mean(values) for values in per_direction],
            width,
            yerr=spread,
            capsize=2,
            label="trained, recipe demo" if name == "demo" else name,
        )
    chance = 100 * next(iter(rows.values()))[0]["chance"]
    axis.axhline(chance, color="black", linestyle="--", linewidth=1, label=f"chance, {chance:.1f} %")
    axis.set_xticks(range(len(directions)), directions)
    axis.set_ylabel("5-NN accuracy, %")
    axis.set_title("made plates: compounds found again; bars: spread over training seeds", fontsize=10)
    axis.legend(fontsize=8, frameon=False, ncols=3, loc="upper center")
    axis.set_ylim(0, axis.get_ylim()[1] * 1.25)
    with whole_file(PICTURES / "scores.png") as part:
        figure.savefig(part, format="png")


def shrink(source: Path, path: Path) -> None:
    """Write the picture `source` at most WIDTH pixels wide and in few colours."""
    picture = Image.open(source).convert("RGB")
    if picture.width > WIDTH:
        picture = picture.resize((WIDTH, round(picture.height * WIDTH / picture.width)), Image.Resampling.LANCZOS)
    with whole_file(path) as part:
        picture.quantize(COLOURS, dither=Image.Dither.NONE).save(part, format="PNG", optimize=True)


def main() -> None:
    """Draw what can be drawn here, and say which files were written."""
    draw_scores()
    click.echo(PICTURES / "scores.png")
    with tempfile.TemporaryDirectory() as folder:
        draw_made_plates(Path(folder))
        click.echo(PICTURES / "made_plates.png")
        if (REAL / "cpjump1_images").is_dir():
            draw_real_site(Path(folder))
            click.echo(f"{PICTURES / 'real_site.png'}\n{PICTURES / 'views.png'}")
        else:
            click.echo(
                f"real_site.png and views.png stay as they are: no cpjump1_images in {REAL} (KIT_REAL_DATA names another folder)"
            )


if __name__ == "__main__":
    main()
