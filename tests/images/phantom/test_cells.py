"""The made cells against what they were asked to be: known answers measured from the pixels."""

import dataclasses
import functools

import numpy as np
import pytest
from scipy import ndimage

from kit.errors import UsageError
from kit.images.phantom.cells import WAVELENGTHS, Scene, bumps, draw_scene, texture_bank
from kit.images.phantom.config import EFFECTS, TRAITS, library
from kit.images.phantom.files import plates
from kit.images.phantom.optics import Exposure, _blur, photograph
from kit.images.phantom.plates import PhantomConfig, draw_well, make_plates, well_traits
from kit.images.phantom.tables import layout
from kit.streams import made_plate

CONFIG = PhantomConfig()
MITO, AGP, RNA, ER, DNA = range(5)
PLAIN = dict.fromkeys(TRAITS, 0.0)


@functools.cache
def scenes(
    effect: str | None, *, line: int = 0, strength: float = 1.0, number: int = 12, config: PhantomConfig = CONFIG
) -> list[Scene]:
    traits = PLAIN | {key: value * strength for key, value in dict(EFFECTS).get(effect, {}).items()}
    return [
        draw_scene(config, config.lines[line], traits, made_plate(config.seed, "site", 0, line, site)) for site in range(number)
    ]


def nuclei(made: list[Scene]) -> np.ndarray:
    """Areas of the nuclei, pixels, by a fixed threshold on the DNA stain of cells that do not vary in brightness."""
    areas = []
    for scene in made:
        labels, number = ndimage.label(scene.stains[DNA] > 0.3)
        inside = labels.copy()
        for edge in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
            inside[np.isin(inside, edge)] = 0
        areas += [area for area in np.bincount(inside.ravel(), minlength=number + 1)[1:] if area > 20]
    return np.array(areas)


STEADY = dataclasses.replace(CONFIG, cell_spread=0.0, cell_stain=0.0, rounded=0.0, chromatin_contrast=0.0)


@pytest.mark.parametrize("line", [0, 1])
@pytest.mark.parametrize(("effect", "factor"), [("nucleus-large", 0.30), ("nucleus-small", -0.28)])
def test_nucleus_area_follows_the_strength(line, effect, factor):
    plain = np.median(nuclei(scenes(None, line=line, config=STEADY)))
    assert plain == pytest.approx(np.pi * STEADY.lines[line].nucleus_radius ** 2, rel=0.15)
    for strength in (0.5, 1.0):
        area = np.median(nuclei(scenes(effect, line=line, strength=strength, config=STEADY)))
        assert np.log(area / plain) == pytest.approx(2 * factor * strength, abs=0.08)


@pytest.mark.parametrize("line", [0, 1])
def test_the_number_of_cells_falls_by_the_count_effect(line):
    plain = sum(scene.cells for scene in scenes(None, line=line, number=60))
    fewer = sum(scene.cells for scene in scenes("fewer-cells", line=line, number=60))
    assert plain / 60 == pytest.approx(CONFIG.lines[line].cells * (CONFIG.side / 256) ** 2, rel=0.1)
    assert np.log(fewer / plain) == pytest.approx(-0.7, abs=0.12)


def test_intensity_effects_change_their_channel_alone():
    plain, bright = (np.mean([scene.stains.mean(axis=(1, 2)) for scene in scenes(e)], axis=0) for e in (None, "mito-bright"))
    np.testing.assert_allclose(np.log(bright / plain), [0.70, 0, 0, 0, 0], atol=1e-5)
    dim = np.mean([scene.stains.mean(axis=(1, 2)) for scene in scenes("er-dim")], axis=0)
    np.testing.assert_allclose(np.log(dim / plain), [0, 0, 0, -0.70, 0], atol=1e-5)


def test_dots_change_the_form_of_the_mitochondria_not_their_mean():
    plain, dots = scenes(None, number=30), scenes("dots", number=30)
    mean = [np.mean([scene.stains[MITO].mean() for scene in made]) for made in (plain, dots)]
    assert mean[1] / mean[0] == pytest.approx(1, abs=0.06)
    dark = [np.mean([(scene.stains[MITO][scene.stains[ER] > 0.1] < 0.3).mean() for scene in made]) for made in (plain, dots)]
    assert dark[1] > 1.25 * dark[0]  # between dots there is more room than between filaments
    np.testing.assert_array_equal(plain[0].stains[DNA], dots[0].stains[DNA])


@pytest.mark.parametrize(("effect", "sign"), [("er-fine", 1), ("er-coarse", -1)])
def test_er_texture_changes_its_wavelength_by_degrees(effect, sign):
    def roughness(made):  # root mean square step between neighbours over that between pixels four apart
        near = np.mean([np.diff(scene.stains[ER], axis=1).var() for scene in made])
        far = np.mean([(scene.stains[ER][:, 4:] - scene.stains[ER][:, :-4]).var() for scene in made])
        return near / far

    steps = [roughness(scenes(effect, strength=strength)) for strength in (0, 0.5, 1)]
    assert (np.diff(steps) * sign > 0).all()


def test_elongation_nucleoli_and_actin_edge_are_seen():
    plain = scenes(None, config=STEADY)
    rna = [
        np.mean([s.stains[RNA][s.stains[DNA] > 0.1].mean() for s in made])
        for made in (plain, scenes("nucleoli-many", config=STEADY))
    ]
    assert rna[1] > 1.2 * rna[0]
    edge = [np.mean([s.stains[AGP].mean() for s in made]) for made in (plain, scenes("actin-edge", config=STEADY))]
    assert edge[1] > 1.3 * edge[0]

    def aspect(made):
        ratios = []
        for scene in made:
            labels, _ = ndimage.label(scene.stains[DNA] > 0.3)
            for place, where in enumerate(ndimage.find_objects(labels), start=1):
                y, x = np.nonzero(labels[where] == place)
                if len(y) > 60:
                    low, high = np.linalg.eigvalsh(np.cov(np.stack([y, x])))
                    ratios.append(np.sqrt(high / low))
        return np.median(ratios)

    assert aspect(scenes("elongated", config=STEADY)) > 1.15 * aspect(plain)


def test_inert_compounds_are_dmso():
    by_sample = {sample: well for well, sample in layout(CONFIG).items()}
    for compound in library(CONFIG):
        if "inert" in compound.name:
            assert all(well_traits(CONFIG, plate, by_sample[compound.broad_sample]) == PLAIN for plate in plates(CONFIG))
    np.testing.assert_array_equal(scenes("inert-1")[0].stains, scenes(None)[0].stains)


def test_lines_respond_each_in_their_way_and_wells_about_it():
    large = library(CONFIG)[0]
    wells = [well for well, sample in layout(CONFIG).items() if sample == large.broad_sample]

    def response(config):
        return np.array([[well_traits(config, plate, well)["nucleus_size"] / 0.30 for well in wells] for plate in plates(config)])

    steady = response(dataclasses.replace(CONFIG, well_response=0.0))
    assert steady.min() >= 0.8
    assert steady.max() <= 1.2
    assert (steady[:4] == steady[0, 0]).all()
    assert (steady[4:] == steady[4, 0]).all()
    assert steady[0, 0] != steady[4, 0]
    wells_alone = np.log(response(CONFIG) / steady)
    assert len(set(wells_alone.ravel())) == wells_alone.size
    assert 0.04 < wells_alone.std() < 0.14  # well_response = 0.08, 16 wells


def test_strength_scales_every_effect_and_later_compounds_are_weaker_doses():
    weak = library(dataclasses.replace(CONFIG, strength=0.5))
    for half, full in zip(weak, library(CONFIG), strict=True):
        assert half.traits == {key: value / 2 for key, value in full.traits.items()}
    more = library(PhantomConfig(compounds=20))
    assert more[18].name == "made-nucleus-large-at-0.5"
    assert more[18].traits == {"nucleus_size": 0.15}
    assert len({compound.inchikey for compound in more}) == len({compound.broad_sample for compound in more}) == 20


def test_position_artefact_is_off_by_default_and_belongs_to_the_position():
    dmso = [well for well, sample in layout(CONFIG).items() if not sample]
    assert all(well_traits(CONFIG, plate, well) == PLAIN for plate in plates(CONFIG) for well in dmso)
    biased = dataclasses.replace(CONFIG, position_artefact=1.0)
    shifts = {well: [well_traits(biased, plate, well) for plate in plates(biased)] for well in dmso}
    assert all(shift == each[0] for each in shifts.values() for shift in each)
    assert len({each[0]["count"] for each in shifts.values()}) == len(dmso)


def test_position_artefact_shows_in_the_cells(monkeypatch):
    """The number of cells at each DMSO position agrees between two plates with the artefact on, and not with it off."""
    monkeypatch.setattr("kit.images.phantom.plates.photograph", lambda *_: None)  # cells are counted, not photographed

    def agreement(strength):
        config = dataclasses.replace(CONFIG, position_artefact=strength, dmso_wells=16, compounds=1)
        dmso = [well for well, sample in layout(config).items() if not sample]
        cells = [
            [sum(n for _, n in draw_well(config, plate, well, range(1, 6)).values()) for well in dmso]
            for plate in plates(config)[:2]
        ]
        return np.corrcoef(np.log(cells))[0, 1]

    assert agreement(2.0) > 0.75
    assert abs(agreement(0.0)) < 0.5


def test_a_site_is_the_same_drawn_alone_or_with_its_well():
    plate = plates(CONFIG)[3]
    well = next(iter(layout(CONFIG)))
    np.testing.assert_array_equal(draw_well(CONFIG, plate, well, [5])[5][0], draw_well(CONFIG, plate, well, [2, 5])[5][0])


def test_texture_bank_has_unit_variance_at_its_wavelengths():
    for wavelength, field in zip(WAVELENGTHS, texture_bank(CONFIG), strict=True):
        assert (abs(field.mean()), field.std()) == pytest.approx((0, 1), abs=1e-3)
        power = np.abs(np.fft.fft(field, axis=1)).__pow__(2).mean(axis=0)[:256]
        bend = np.sqrt((power * np.arange(256) ** 2).sum() / power.sum()) / 512  # rms frequency along one axis
        assert bend == pytest.approx(1 / wavelength / np.sqrt(2), rel=0.2)


def test_bumps_are_gaussians():
    y, x = np.array([20.3, 40.0]), np.array([30.8, 33.0])
    grid_y, grid_x = np.mgrid[:64, :64]
    expected = sum(np.exp(-((grid_y - a) ** 2 + (grid_x - b) ** 2) / (2 * 2.0**2)) for a, b in zip(y, x, strict=True))
    np.testing.assert_allclose(bumps(64, y, x, 2.0), expected, atol=0.012)  # cut off at three standard deviations
    assert bumps(64, y[:0], x[:0], 2.0).max() == 0


def test_blur_is_the_gaussian_of_scipy():
    image = made_plate(CONFIG.seed, "site").random((2, 40, 50), dtype=np.float32)
    expected = ndimage.gaussian_filter(image.astype(float), (0, 1.1, 1.1), mode="reflect", radius=(0, 4, 4))
    np.testing.assert_allclose(_blur(image, 1.1), expected, atol=1e-5)


def test_an_empty_field_shows_background_gain_and_light_alone():
    quiet = dataclasses.replace(CONFIG, counts_per_electron=1e-9, read_noise=0.0, debris=0.0, hot_images=0.0, vignette=0.0)
    empty = Scene(stains=np.zeros((5, 168, 168), np.float32), thickness=np.zeros((168, 168), np.float32), cells=0)
    slope = np.zeros((8, 2))
    slope[DNA] = 0.1, 0.0
    exposure = Exposure(gain_8=np.full(8, 2.0), background_5=np.full(5, 1.5), stain_5=np.ones(5), slope_82=slope, blur_px=1.0)
    image = photograph(quiet, empty, exposure, made_plate(quiet.seed, "camera"))
    expected = np.array([*(np.array(quiet.background) * 3 + 150), *[2 * 20500 + 150] * 3])
    np.testing.assert_allclose(image[[0, 1, 2, 3, 5, 6, 7], 80, 80], expected[[0, 1, 2, 3, 5, 6, 7]], atol=1)
    assert image[DNA, 0, 80] == pytest.approx(150 + 3 * 350 * 0.9, abs=1)
    assert image[DNA, -1, 80] == pytest.approx(150 + 3 * 350 * 1.1, abs=1)


def test_shot_noise_has_the_variance_of_its_counts():
    empty = Scene(stains=np.zeros((5, 168, 168), np.float32), thickness=np.zeros((168, 168), np.float32), cells=0)
    config = dataclasses.replace(CONFIG, hot_images=0.0, debris=0.0, vignette=0.0)
    exposure = Exposure(gain_8=np.ones(8), background_5=np.ones(5), stain_5=np.ones(5), slope_82=np.zeros((8, 2)), blur_px=1.0)
    image = photograph(config, empty, exposure, made_plate(config.seed, "camera"))
    light = np.array([*config.background, *[config.brightfield] * 3])
    np.testing.assert_allclose(image.var(axis=(1, 2)), light + config.read_noise**2 + 1 / 12, rtol=0.05)


def test_hot_pixels_are_at_the_top_and_as_rare_as_asked():
    plate, well = plates(CONFIG)[0], next(iter(layout(CONFIG)))
    every = dataclasses.replace(CONFIG, hot_images=1.0)
    image, _ = draw_well(every, plate, well, [1])[1]
    assert (image.max(axis=(1, 2)) == 65535).all()
    assert ((image == 65535).sum(axis=(1, 2)) <= 3).all()
    image, _ = draw_well(dataclasses.replace(CONFIG, hot_images=0.0, debris=0.0), plate, well, [1])[1]
    assert image.max() < 65535


def test_a_field_without_cells_can_be_drawn():
    scene = draw_scene(CONFIG, CONFIG.lines[0], PLAIN | {"count": -50.0}, made_plate(CONFIG.seed, "site"))
    assert (scene.cells, scene.stains.max()) == (0, 0)


def test_an_unknown_jobs_number_is_refused(tmp_path):
    with pytest.raises(UsageError, match="jobs = 0"):
        make_plates(tmp_path / "made", CONFIG, jobs=0)
