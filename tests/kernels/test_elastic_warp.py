"""The warp against scipy's splines and interpolation, exact cases, and the distribution of the field."""

import numpy as np
import pytest
import torch
from scipy.interpolate import BSpline
from scipy.ndimage import map_coordinates

from kit.kernels.elastic_warp import _lattice_reference, displacement, elastic_lattice, field_sd, reflect, rotation
from kit.kernels.view import elastic_warp
from kit.kernels.warp import AFFINE, ELASTIC, Warp, lattice_size

from .view_cases import make_warp, random_pixels


def turned(pixels, angle):
    B = len(pixels)
    kind_B = torch.full((B,), AFFINE, dtype=torch.int32)
    return elastic_warp(pixels, Warp(kind_B, rotation(torch.full((B,), angle, dtype=torch.float64), *pixels.shape[2:])))


def spline_field(coefficients_KK, height, width, spacing):
    """The displacement by scipy's BSpline, float64: lattice point k lies at (k - 1) * spacing."""
    rows, columns = coefficients_KK.shape
    return _basis(height, rows, spacing) @ coefficients_KK @ _basis(width, columns, spacing).T


def _basis(side, points, spacing):
    return BSpline.design_matrix(np.arange(side) / spacing, np.arange(-3, points + 1, dtype=float), 3).toarray()


@pytest.mark.parametrize(("H", "W"), [(40, 33), (50, 64)])
def test_oracle_in_float64(H, W):
    pixels = random_pixels(B=3, C=2, H=H, W=W)
    warp = make_warp(3, H, W)
    out = elastic_warp(pixels, warp).numpy()
    y, x = np.mgrid[:H, :W].astype(float)
    for i in range(3):
        a = warp.affine_B6[i].double().numpy() / 2**18
        at_x, at_y = (a[0] * x + a[1] * y + a[2], a[3] * x + a[4] * y + a[5]) if warp.kind_B[i] else (x, y)
        if warp.kind_B[i] == ELASTIC:
            lattice = warp.lattice_B2KK[i].double().numpy()
            at_x = at_x + spline_field(lattice[0], H, W, warp.spacing)
            at_y = at_y + spline_field(lattice[1], H, W, warp.spacing)
        for c in range(2):
            image = pixels[i, c].double().numpy() / 255
            expected = map_coordinates(image, [at_y, at_x], order=1, mode="mirror")
            np.testing.assert_allclose(out[i, c], expected, atol=2e-5)


@pytest.mark.parametrize("quarter", range(5))
def test_quarter_turns_are_exact(quarter):
    pixels = random_pixels(H=31, W=31)
    out = turned(pixels, quarter * torch.pi / 2)
    assert torch.equal(out, torch.rot90(pixels, quarter, (2, 3)).float() * (1 / 255))


def test_rotation_keeps_the_centre_and_the_norm():
    a = rotation(torch.linspace(0, 6.28, 50, dtype=torch.float64), 41, 61).double() / 2**18
    assert (a[:, 0] * 30 + a[:, 1] * 20 + a[:, 2] - 30).abs().max() < 1e-5
    assert (a[:, 3] * 30 + a[:, 4] * 20 + a[:, 5] - 20).abs().max() < 1e-5
    assert (a[:, 0] * a[:, 4] - a[:, 1] * a[:, 3] - 1).abs().max() < 1e-5


def test_reflection():
    assert reflect(torch.arange(-3, 8), 4).tolist() == [3, 2, 1, 0, 1, 2, 3, 2, 1, 0, 1]
    far = torch.arange(-12, 13)
    assert reflect(far, 4).tolist() == [abs((i + 3) % 6 - 3) for i in far.tolist()]  # period 6
    assert reflect(torch.tensor([-100, 100]), 4).min() >= 0
    assert reflect(torch.tensor([-100, 100]), 4).max() <= 3


def test_constant_image_stays_constant():
    out = elastic_warp(torch.full((3, 1, 40, 33), 77, dtype=torch.uint8), make_warp(3, 40, 33, sigma=4, alpha=3000.0))
    assert (out - 77 / 255).abs().max() < 1e-6


def test_channels_move_together():
    pixels = random_pixels(B=2, C=1).expand(2, 3, 40, 33).contiguous()
    out = elastic_warp(pixels, make_warp(2, 40, 33))
    assert torch.equal(out[:, 0], out[:, 1])
    assert torch.equal(out[:, 0], out[:, 2])


def fields(n, side, alpha, sigma):
    lattice = elastic_lattice(torch.arange(n), side, side, alpha=alpha, sigma=sigma, seed=21, stream=5)
    return torch.stack([displacement(one, side, side, sigma / 2.5) for one in lattice])


@pytest.mark.parametrize(("side", "alpha", "sigma"), [(130, 1200.0, 40.0), (98, 90.0, 12.0)])
def test_field_has_the_covariance_of_the_paper(side, alpha, sigma):
    """A Gaussian process of SD alpha / (2 sigma sqrt(pi)) and correlation exp(-r^2 / (4 sigma^2)), within Monte-Carlo error."""
    field = fields(2000, side, alpha, sigma).double()
    sd = alpha / (2 * sigma * np.pi**0.5)
    assert field_sd(alpha, sigma) == pytest.approx(sd)
    for place in ((0, 0), (side // 2, side // 2 + 3), (side - 1, 5)):
        values = field[:, :, *place].flatten()
        error = sd / (2 * len(values)) ** 0.5
        assert abs(values.mean()) < 5 * sd / len(values) ** 0.5
        assert abs(values.std() - sd) < 5 * error
    start = field[:, :, 3, 2].flatten()
    for r in (1, 5, 10, 20, 40, 80):
        for other in (field[:, :, 3, 2 + r], field[:, :, 3 + r, 2]):
            expected = np.exp(-(r**2) / (4 * sigma**2))
            found = np.corrcoef(start, other.flatten())[0, 1]
            assert abs(found - expected) < 5 * (1 - expected**2) / len(start) ** 0.5 + 2e-4
    assert abs(np.corrcoef(field[:, 0, 9, 9], field[:, 1, 9, 9])[0, 1]) < 5 / 2000**0.5  # x and y are independent
    assert abs(np.corrcoef(field[:-1, 0, 9, 9], field[1:, 0, 9, 9])[0, 1]) < 5 / 1999**0.5  # and so are samples


def test_exact_covariance_of_the_construction():
    """No randomness: covariance of the spline field from its linear map, against the formula."""
    from kit.kernels.elastic_warp import _blur

    for sigma in (40.0, 12.0, 2.0):
        spacing, side = sigma / 2.5, int(4 * sigma) + 40
        points = lattice_size(side, spacing)
        basis = _basis(side, points, spacing)
        one_axis = basis @ _blur(points, sigma, torch.device("cpu")).numpy()
        covariance = one_axis @ one_axis.T * (2 * sigma * np.pi**0.5)
        r = np.arange(side)[:, None] - np.arange(side)
        assert np.abs(covariance - np.exp(-(r**2) / (4 * sigma**2))).max() < 4e-4


def test_no_folds_at_the_defaults():
    """The Jacobian of x + d(x) stays positive: the warp preserves topology, as the paper says."""
    worst = np.inf
    for field in fields(300, 224, 1200.0, 40.0):
        dx_dy, dx_dx = torch.gradient(field[0])
        dy_dy, dy_dx = torch.gradient(field[1])
        worst = min(worst, float(((1 + dx_dx) * (1 + dy_dy) - dx_dy * dy_dx).min()))
    assert worst > 0.1


def test_compiled_lattice_equals_the_reference():
    sample_B = torch.tensor([0, 2**40 + 3, -1])
    for side, sigma in ((98, 12.0), (30, 40.0)):
        out = elastic_lattice(sample_B, side, side + 7, alpha=500.0, sigma=sigma, seed=2**64 - 3, stream=9)
        size = [lattice_size(n, sigma / 2.5) for n in (side, side + 7)]
        expected = _lattice_reference(sample_B, *size, alpha=500.0, sigma=sigma, seed=2**64 - 3, stream=9)
        torch.testing.assert_close(out, expected, rtol=1e-6, atol=1e-6)


def test_alpha_0_moves_nothing():
    lattice = elastic_lattice(torch.arange(2), 30, 30, alpha=0.0, sigma=10.0, seed=0, stream=0)
    assert lattice.abs().max() == 0


def test_sample_decides_not_place():
    pair = elastic_lattice(torch.tensor([5, 9]), 60, 40, alpha=100.0, sigma=8.0, seed=1, stream=2)
    alone = elastic_lattice(torch.tensor([9]), 60, 40, alpha=100.0, sigma=8.0, seed=1, stream=2)
    assert torch.equal(pair[1:], alone)
    other = elastic_lattice(torch.tensor([9]), 60, 40, alpha=100.0, sigma=8.0, seed=1, stream=3)
    assert not torch.equal(alone, other)


@pytest.mark.parametrize(("alpha", "sigma", "named"), [(1.0, 0.0, "sigma"), (1.0, float("nan"), "sigma"), (-1.0, 9.0, "alpha")])
def test_bad_strength_is_named(alpha, sigma, named):
    with pytest.raises(ValueError, match=named):
        elastic_lattice(torch.arange(1), 30, 30, alpha=alpha, sigma=sigma, seed=0, stream=0)


def test_without_a_lattice_elastic_is_affine():
    pixels, warp = random_pixels(), make_warp(3, 40, 33, kinds=(2, 1, 2))
    affine = Warp(torch.ones(3, dtype=torch.int32), warp.affine_B6)
    assert torch.equal(elastic_warp(pixels, Warp(warp.kind_B, warp.affine_B6)), elastic_warp(pixels, affine))


def test_bad_warp_is_named():
    good = make_warp(3, 40, 33)
    for pixels, warp, named in (
        (random_pixels(H=40, W=1), good, "pixels_BCHW"),
        (torch.zeros(1, 1, 2, 5000, dtype=torch.uint8), good, "pixels_BCHW"),
        (random_pixels(), Warp(good.kind_B.long(), good.affine_B6, good.lattice_B2KK, good.spacing), "warp.kind_B"),
        (random_pixels(), Warp(good.kind_B, good.affine_B6[:, :5], good.lattice_B2KK, good.spacing), "warp.affine_B6"),
        (random_pixels(), Warp(good.kind_B, good.affine_B6, good.lattice_B2KK, 1.0), "warp.lattice_B2KK"),
        (random_pixels(), Warp(good.kind_B, good.affine_B6, good.lattice_B2KK, 0.0), "warp.spacing"),
    ):
        with pytest.raises(ValueError, match=named):
            elastic_warp(pixels, warp)
