"""Blank channels by value: a network that ignores one loses nothing with it, one that sees a single one loses all."""

import numpy as np
import pytest
import torch

from kit.model.blanking import blanked_vectors, kept_similarity
from kit.model.patch_maps import component_colours, foreground, patch_tokens
from kit.model.vit import seeded_vit
from tests.model.tiny import stir, tiny_config


@pytest.fixture
def network():
    network = seeded_vit(tiny_config().model, 3, 1).requires_grad_(False).eval()
    stir(network, 2)
    return network


@pytest.fixture
def view_BCPP():
    return torch.randn(6, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def filters(network) -> torch.Tensor:
    """The patch filters, by channel in dimension 1."""
    return next(weight for name, weight in network.patch_embed.named_parameters() if weight.ndim == 4)


def test_the_versions_are_all_channels_and_each_blank_in_turn(network, view_BCPP):
    found = blanked_vectors(network, view_BCPP)
    assert found.shape == (4, 6, 48)
    blank = view_BCPP.clone()
    blank[:, 1] = 0
    for version, view in ((0, view_BCPP), (2, blank)):
        tokens = network(view)
        by_hand = torch.cat([tokens.cls_BD, tokens.patch_BND.mean(dim=1)], dim=1)
        torch.testing.assert_close(found[version], by_hand)


def test_a_channel_that_the_network_ignores_changes_nothing(network, view_BCPP):
    filters(network)[:, 1] = 0
    kept = kept_similarity(blanked_vectors(network, view_BCPP))
    assert kept[1].item() == pytest.approx(1, abs=1e-9)
    assert kept[[0, 2]].max() < 0.95


def test_without_the_only_channel_it_sees_all_sites_are_alike(network, view_BCPP):
    filters(network)[:, [0, 2]] = 0
    vectors = blanked_vectors(network, view_BCPP)
    torch.testing.assert_close(vectors[2], vectors[2][:1].expand(6, -1))
    assert kept_similarity(vectors)[[0, 2]].tolist() == pytest.approx([1, 1])


def test_the_similarity_is_that_of_centred_vectors_by_hand():
    vectors = torch.tensor(
        [[[1.0, 5.0], [3.0, 5.0]], [[7.0, 1.0], [7.0, 9.0]], [[9.0, 0.0], [5.0, 0.0]], [[0.0, 0.0], [2.0, 2.0]]]
    )
    assert kept_similarity(vectors).tolist() == pytest.approx([0, -1, 0.5**0.5])
    assert kept_similarity(vectors[:, :1]).isnan().all()


def test_patches_with_contrast_are_foreground_whatever_the_channels_scale():
    view = torch.zeros(2, 2, 16, 16)
    view[0, :, :4, 4:12] = (
        torch.randn(2, 4, 8, generator=torch.Generator().manual_seed(1)) * torch.tensor([1.0, 100.0])[:, None, None]
    )
    view += 0.01 * torch.randn(view.shape, generator=torch.Generator().manual_seed(2)) * torch.tensor([1.0, 100.0])[:, None, None]
    found_BN = foreground(view, 4)
    assert np.flatnonzero(found_BN).tolist() == [1, 2]
    assert foreground(torch.zeros(1, 2, 8, 8), 4).all()


def test_colours_are_the_foregrounds_components_and_background_has_none(network, view_BCPP):
    patch_BND = patch_tokens(network, view_BCPP)
    torch.testing.assert_close(patch_BND, network(view_BCPP).patch_BND)
    shown_BN = np.random.default_rng(0).random(patch_BND.shape[:2]) < 0.7
    colour_BN3, share_3 = component_colours(patch_BND, shown_BN)
    assert (np.isnan(colour_BN3).all(axis=2) == ~shown_BN).all()
    rows = patch_BND.double().numpy()[shown_BN]
    left, strength, _ = np.linalg.svd(rows - rows.mean(0), full_matrices=False)
    np.testing.assert_allclose(share_3, (strength**2 / (strength**2).sum())[:3])
    for component in range(3):
        inside = (colour_BN3[shown_BN][:, component] > 0) & (colour_BN3[shown_BN][:, component] < 1)
        together = np.corrcoef(colour_BN3[shown_BN][inside, component], left[inside, component])[0, 1]
        assert abs(together) == pytest.approx(1, abs=1e-5)
    assert np.isnan(component_colours(patch_BND, np.zeros_like(shown_BN))[0]).all()
