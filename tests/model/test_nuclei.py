"""The size of the nuclei of a store, and the settings that show them at the size a recipe was made for."""

import re
import shlex
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from kit.errors import KitError, UsageError
from kit.images.phantom.config import A549_LIKE, U2OS_LIKE
from kit.model.magnification import advice, fit, spans, spans_around_cells, square_px
from kit.model.nuclei import NucleusSize, measure_nuclei, sample_sites
from kit.recipe import load_recipe, made_for, recipe_names
from tests.commands import kit_command
from tests.images import made_work
from tests.images.made_nuclei import nuclei_site


def nuclear_work(path, monkeypatch, image, plates=("P1", "P2"), wells=2, **store):
    """A store whose second channel, AGP, holds `image(number)` in its sites; the first is noise, the third black."""
    made = iter(range(1000))

    def site(plate, well, number, side):
        nuclei_HW = image(next(made))
        noise_HW = np.random.default_rng(number).integers(0, 256, nuclei_HW.shape, dtype=np.uint8)
        return np.stack([noise_HW, nuclei_HW, np.zeros_like(nuclei_HW)])

    monkeypatch.setattr(made_work, "made_site", site)
    return made_work.make_work(path, plates=plates, wells=wells, **store)


@pytest.mark.parametrize("scale", [0.6, 1.0, 1.8])
def test_made_nuclei_have_their_size_and_number_at_each_scale(tmp_path, monkeypatch, scale):
    cells = []

    def image(number):
        levels_HW, inside = nuclei_site(scale, number)
        cells.append(inside)
        return levels_HW

    work = nuclear_work(tmp_path, monkeypatch, image, sites=2, side=round(168 * scale))
    size = measure_nuclei(work, "AGP")
    truth = 2 * scale * U2OS_LIKE.nucleus_radius
    assert size.quartiles[1] == pytest.approx(truth, rel=0.10)
    whole = (1 - 2 * U2OS_LIKE.nucleus_radius / 168) ** 2  # of the nuclei, those that no edge cuts
    assert size.nuclei == pytest.approx(whole * sum(cells), rel=0.15)
    assert (size.sites, size.plates, size.height, size.width) == (8, 2, round(168 * scale), round(168 * scale))
    assert size.share == pytest.approx(2 * U2OS_LIKE.nucleus_radius / 168, rel=0.10)


def test_the_demo_was_made_for_the_made_plates():
    from kit.images.nuclei import find_nuclei

    sites = [nuclei_site(1.0, number, line)[0] for number in range(4) for line in (U2OS_LIKE, A549_LIKE)]
    median = np.median(np.concatenate([find_nuclei(site_HW)["diameter_px"] for site_HW in sites]))
    assert median == pytest.approx(made_for("demo").nucleus_px, rel=0.05)
    assert made_for("demo").site_px == 168


def test_no_nucleus_and_no_such_channel_are_one_line_each(tmp_path, monkeypatch):
    work = nuclear_work(tmp_path, monkeypatch, lambda number: nuclei_site(0.5, number)[0], sites=2, side=84)
    for channel in ("Mito", "RNA"):  # noise, and black
        with pytest.raises(KitError, match=f"^no nucleus found in 8 sites of {channel}"):
            measure_nuclei(work, channel)
    with pytest.raises(UsageError, match=r"has no channel AGB; did you mean AGP\?; it has Mito, AGP, RNA"):
        measure_nuclei(work, "AGB")


def test_the_sample_takes_turns_over_plates_and_wells(tmp_path):
    work = made_work.make_work(tmp_path, wells=4, sites=3, side=8, lone=[("P1", "A01")])
    sample = sample_sites(work.sites, 12, 0)
    assert Counter(sample["Metadata_Plate"]) == {"P1": 6, "P2": 6}
    first = sample.head(8)  # each well of each plate once, before any twice
    assert len(first[["Metadata_Plate", "Metadata_Well"]].drop_duplicates()) == 8
    assert sample.equals(sample_sites(work.sites, 12, 0))
    assert not sample.equals(sample_sites(work.sites, 12, 1))
    assert len(sample_sites(work.sites, 100, 0).drop_duplicates()) == len(work.sites) == 22


def size_of(share, side=1080, nuclei=500):
    median = share * side
    return NucleusSize(channel="DNA", nuclei=nuclei, quartiles=(0.8 * median, median, 1.3 * median), sites=48, plates=2,
                       height=side, width=side)  # fmt: skip


def printed_settings(text):
    words = shlex.split(text.splitlines()[-1])
    assert words[::2] == ["--set"] * (len(words) // 2)
    return words[1::2]


def test_a_site_that_is_not_square_counts_as_the_square_of_its_area():
    """As its crops do, whose areas are shares of its area."""
    wide = NucleusSize(channel="DNA", nuclei=1, quartiles=(9, 10, 11), sites=1, plates=1, height=100, width=400)
    assert wide.share == 10 / 200


@pytest.mark.parametrize("name", ["demo", "dinov2-8ch", "dinov2-518", "sslprofiler-local"])
@pytest.mark.parametrize("times", [0.3, 0.8, 1.0, 1.4, 2.2])
def test_a_nucleus_spans_what_it_does_on_the_recipes_own_plates(name, times):
    """At training and when embedding: in every view, to within half a patch of the smallest."""
    recipe, own = load_recipe(name), made_for(name)
    share = times * own.share
    settings = printed_settings(advice(size_of(share), recipe, recipe, own))
    fitted, meant = spans(load_recipe(name, settings), share), spans(recipe, own.share)
    np.testing.assert_allclose(fitted.views, meant.views, rtol=0.01)
    assert fitted.site == pytest.approx(meant.site, abs=0.51 * share * recipe.model.patch)
    assert (fitted.local is None) == (meant.local is None) == (recipe.crops.local_crops == 0)
    if meant.local:
        np.testing.assert_allclose(fitted.local, meant.local, rtol=0.01)
    again = advice(size_of(share), load_recipe(name, settings), recipe, own)
    assert printed_settings(again) == settings  # nothing moves when it is followed
    assert again.splitlines()[-2] == "These values fit as they are:"


def test_the_centre_of_a_site_is_embedded_at_its_own_magnification():
    """Sites of single cells, 160 px: the 128 px at the centre are not magnified, so 40 px stay 40; around cells likewise."""
    small = load_recipe("cell-dino-small", ["crops.around=site"])
    found = spans(small, 40 / 160, 160)
    assert (found.site, found.embedded, found.views) == (pytest.approx(40), "centres", (pytest.approx(40), pytest.approx(40)))
    assert spans_around_cells(load_recipe("cell-dino-small"), 40).site == pytest.approx(40)


def test_around_cells_the_square_counts():
    """160 px of which 128 are shown at 128: a nucleus keeps its pixels, whatever the site's side."""
    settings = ["crops.around=cell", "crops.global_area=[0.64,0.64]", "crops.global_side=128", "embed.side=128", "model.patch=8"]
    config = load_recipe("dinov2-8ch", [*settings, "crops.local_crops=0", "model.position_side=128"])
    size = NucleusSize(channel="DNA", nuclei=99, quartiles=(30, 33, 36), sites=9, plates=1, height=1080, width=1080)
    lines = advice(size, config, load_recipe("dinov2-8ch"), made_for("dinov2-8ch")).splitlines()
    assert lines[-3:] == [
        "In the squares of 160 px around cells (crops.cell_px) a nucleus spans",
        "  in global views   33 px",
        "  in embedded cells 33 px",
    ]


def test_a_recipe_around_cells_asks_for_squares_as_many_nuclei_wide():
    """Made for nuclei of 12.4 px in squares of 44: nuclei of 31 px, squares of 110, in views and cells of the same pixels."""
    recipe, own = load_recipe("simclr-around-cells"), made_for("simclr-around-cells")
    assert (own.nucleus_px, recipe.crops.cell_px) == (12.4, 44)
    size = NucleusSize(channel="DNA", nuclei=99, quartiles=(25, 31, 40), sites=9, plates=1, height=1080, width=1080)
    lines = advice(size, recipe, recipe, own).splitlines()
    assert lines[-4:] == [
        "  in global views   50 to 82 px, made for 20 to 33 px",
        "  in embedded cells 51 px, made for 20 px",
        "To give it the size that the recipe was made for:",
        "  --set crops.cell_px=110",
    ]
    followed = load_recipe("simclr-around-cells", ["crops.cell_px=110"])
    assert advice(size, followed, recipe, own).splitlines()[-4:] == [
        "  in global views   20 to 33 px, made for 20 to 33 px",
        "  in embedded cells 20 px, made for 20 px",
        "This value fits as it is:",
        "  --set crops.cell_px=110",
    ]
    assert square_px(recipe, own, 12.4 * 1.02) == 44  # as near as a sample's median


def test_around_a_place_crops_are_shares_of_the_square_and_sites_are_embedded_whole():
    """Nuclei of 12.4 px on sites of 168 px: in crops of 58 to 71 px of a square of 76, at 98 px; sites at 252 px, 1.5 times."""
    place = ["crops.around=place", "crops.cell_px=76", "crops.global_area=[0.58,0.87]"]
    recipe, config, own = load_recipe("simclr-small"), load_recipe("simclr-small", place), made_for("simclr-small")
    size = NucleusSize(channel="DNA", nuclei=99, quartiles=(11, 12.4, 14), sites=9, plates=1, height=168, width=168)
    assert advice(size, config, recipe, own).splitlines()[-3:] == [
        "With these settings a nucleus spans",
        "  in global views   17 to 21 px",
        "  in embedded sites 19 px",
    ]


def test_a_recipe_around_cells_is_not_fitted_to_whole_sites():
    recipe, own = load_recipe("simclr-around-cells"), made_for("simclr-around-cells")
    config = load_recipe("simclr-around-cells", ["crops.around=site"])
    size = NucleusSize(channel="DNA", nuclei=99, quartiles=(11, 12.4, 14), sites=9, plates=1, height=168, width=168)
    text = advice(size, config, recipe, own)
    assert "With these settings a nucleus spans" in text
    assert "made for" not in text


def test_on_the_recipes_own_plates_its_own_values_come_out():
    for name in recipe_names():
        recipe, own = load_recipe(name), made_for(name)
        if own is None:
            assert name.startswith("cell-dino")  # HPA's fields and single cells: the paper does not say how large nuclei are
            continue
        assert square_px(recipe, own, own.nucleus_px) == recipe.crops.cell_px
        for share in (own.share, 0.98 * own.share, 1.02 * own.share):  # as near as a sample's median
            assert fit(recipe, recipe, own, share) == (recipe.crops, recipe.embed.side)


def test_the_numbers_by_hand():
    """Sites half as wide in nuclei: a crop of half the side, a site embedded at half the side."""
    recipe, own = load_recipe("demo"), made_for("demo")
    crops, side = fit(recipe, recipe, own, own.share / 2)
    assert (crops.global_area, crops.global_side, side) == ((0.0297, 0.0442), 98, 504)
    crops, side = fit(recipe, recipe, own, 3 * own.share)  # 1.593 sites: 98 / 1.262 = 77.6 px, in patches 70
    assert (crops.global_side, side) == (70, 84)
    assert crops.global_area == pytest.approx((0.119 * 9 * 25 / 49, 0.177 * 9 * 25 / 49), rel=0.005)


def test_what_it_spans_now_and_what_the_recipe_was_made_for_are_said():
    recipe, own = load_recipe("sslprofiler-local"), made_for("sslprofiler-local")
    lines = advice(size_of(0.5 * own.share), recipe, recipe, own).splitlines()
    assert lines[0] == "DNA: 500 nuclei in 48 sites of 1080 x 1080 px on 2 plates"
    assert lines[1] == "median diameter 16.6 px (quartiles 13.2 and 21.5), 1.5 % of the site's side"
    assert lines[3:5] == ["  in global views   8 to 14 px, made for 16 to 28 px", "  in embedded sites 8 px, made for 16 px"]
    assert "5,476 patches a site, not 1,369" in lines[5]
    assert lines[-1] == "  --set crops.global_area=[0.08,0.25] --set embed.side=1036"


def test_views_shrink_where_a_crop_would_be_larger_than_the_site():
    recipe, own = load_recipe("sslprofiler-local"), made_for("sslprofiler-local")
    text = advice(size_of(2 * own.share), recipe, recipe, own)
    assert "for crops.global_side = 518 a crop would be larger than the site" in text
    assert printed_settings(text)[0] == "crops.global_side=252"  # 259 in whole patches
    with_larger = load_recipe("sslprofiler-local", ["crops.global_side=1036", "embed.side=1036"])
    text = advice(size_of(own.share), with_larger, recipe, own)
    assert printed_settings(text) == ["crops.global_area=[0.32,1]", "embed.side=518"]


def test_plates_that_a_recipe_cannot_fit_are_said_to_be():
    recipe, own = load_recipe("demo"), made_for("demo")
    text = advice(size_of(6 * own.share), recipe, recipe, own)
    assert "recipe demo does not fit these plates" in text
    assert "2 patches a side" in text
    assert "--set" not in text
    assert "12 nuclei in 48 sites of 1080 x 1080 px on 2 plates; too few to rely on" in advice(
        size_of(own.share, nuclei=12), recipe, recipe, own
    )


def test_the_diameter_in_micrometres_where_the_pixel_is_known():
    size = replace(size_of(0.03), pixel_um=0.65)
    assert size.text().splitlines()[1] == (
        "median diameter 32.4 px, 21.1 um (quartiles 25.9 and 42.1 px), 3 % of the site's side"
    )


def test_a_recipe_of_ones_own_says_what_it_was_made_for(tmp_path):
    def own(text):
        (tmp_path / "mine.toml").write_text('extends = "demo"\n' + text)
        return str(tmp_path / "mine.toml")

    assert made_for(own("[train]\nlr = 0.5\n")) == made_for("demo")
    areas = own("[crops]\nglobal_area = [0.2, 0.3]\n")
    assert made_for(areas) is None  # it is not the demo's plates any more
    text = advice(size_of(0.07), load_recipe(areas), load_recipe(areas), made_for(areas))
    assert "recipe mine does not say which plates" in text
    assert "--set" not in text
    both = own("[made_for]\nsite_px = 512\nnucleus_px = 20\n[crops]\nglobal_area = [0.2, 0.3]\n")
    assert made_for(both).share == 20 / 512
    for wrong, said in (("site_px = 512", "nucleus_px = 0.0: need more than 0"), ("side = 9", "unknown key side")):
        with pytest.raises(UsageError, match=re.escape(said)):
            made_for(own(f"[made_for]\n{wrong}\n"))


def test_the_command_line(tmp_path, monkeypatch):
    work = nuclear_work(tmp_path / "work", monkeypatch, lambda number: nuclei_site(1.0, number)[0], sites=1, side=168)
    before = sorted(path for path in tmp_path.rglob("*"))
    said = kit_command("views", work.path, "--nuclei", "AGP", "--recipe", "demo").stdout
    area, side = printed_settings(said)
    assert re.fullmatch(r"crops\.global_area=\[0\.1\d+,0\.2\d*\]", area), area
    assert side in ("embed.side=224", "embed.side=238")  # U2OS alone: larger nuclei than both lines together
    assert sorted(path for path in tmp_path.rglob("*")) == before
    asked = kit_command("views", work.path, code=2).stderr
    assert "give --out FILE.png for a picture, --nuclei CHANNEL to measure nuclei, or --noise" in asked
    for words, line in (
        (("",), "--nuclei '': give a channel"),
        (("AGP", "--nuclei", "RNA"), "--nuclei is given 2 times: it takes one value"),
    ):
        error = kit_command("views", work.path, "--nuclei", *words, code=2).stderr
        assert line in error
        assert len(error.splitlines()) == 1
    assert "no nucleus found in 4 sites of RNA" in kit_command("views", work.path, "--nuclei", "RNA", code=1).stderr
