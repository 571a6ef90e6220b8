"""Heads on images: crops, the frozen network's layers, the loss and its gradient, thresholds, the schedule and the grid."""

import copy
import math

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score
from torch import nn

from kit.config import ModelConfig
from kit.model.vit import seeded_vit
from kit.probes.crops import centre_crops, random_crops, self_normalise
from kit.probes.heads import AttentionHead, Supervised, TwoLayers, frozen_features
from kit.probes.thresholds import averaged, best_thresholds
from kit.probes.training import Schedule, chance_f1, fit, loss_of, named, of_grid, seeded, share_of

CONFIG = ModelConfig(dim=8, depth=5, heads=2, patch=4, position_side=8, ffn="mlp", layerscale=1.0, drop_path=0.0, registers=1)


def numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape)).float()


def test_random_crops_are_pieces_of_the_image_mirrored_by_chance():
    image_HW = torch.arange(30.0).view(1, 1, 5, 6)
    found = {tuple(crop.flatten().tolist()) for crop in random_crops(image_HW.expand(600, 1, 5, 6), 4, np.random.default_rng(0))}
    pieces = [image_HW[0, 0, y : y + 4, x : x + 4] for y in (0, 1) for x in (0, 1, 2)]
    mirrored = [torch.flip(piece, axes) for piece in pieces for axes in ([], [0], [1], [0, 1])]
    assert found == {tuple(piece.flatten().tolist()) for piece in mirrored}
    assert centre_crops(image_HW, 4)[0, 0, 0].tolist() == [1, 2, 3, 4]


def test_self_normalised_as_numpy_would():
    crop_BCPP = numbers(2, 3, 5, 5) * 4 + 7
    crop_BCPP[0, 1] = 2.0  # a flat channel becomes 0, not infinite
    values = crop_BCPP.numpy().astype(np.float64)
    mean, sd = values.mean((2, 3), keepdims=True), values.std((2, 3), keepdims=True)
    np.testing.assert_allclose(self_normalise(crop_BCPP), (values - mean) / (sd + 1e-7), atol=1e-5)


def test_features_of_a_frozen_network():
    """The layers are what networks give that end after two, three, four and all five blocks; the vector is of the last."""
    network, crop_BCPP = seeded_vit(CONFIG, 2, 0).eval(), numbers(3, 2, 8, 8)
    vectors_BD, tokens_BND = frozen_features(network, crop_BCPP)
    given = []
    for depth in (2, 3, 4, 5):
        short = copy.deepcopy(network)
        short.blocks = short.blocks[:depth]
        given.append(short(crop_BCPP))
    torch.testing.assert_close(tokens_BND, torch.cat([tokens.patch_BND for tokens in given], dim=-1))
    torch.testing.assert_close(vectors_BD, torch.cat([given[-1].cls_BD, given[-1].patch_BND.mean(dim=1)], dim=1))
    assert not network.blocks[-1]._forward_hooks


def test_attention_pooling_and_two_layers_as_numpy_would():
    head, tokens_BND = AttentionHead(6, 3), numbers(2, 5, 6)
    torch.testing.assert_close(head.pool(tokens_BND), tokens_BND.mean(dim=1))  # before training
    head.query.data = numbers(6, seed=1)
    tokens, query = tokens_BND.numpy(), head.query.detach().numpy()
    weight_BN = np.exp(tokens @ query / math.sqrt(6))
    pooled_BD = (weight_BN[..., None] * tokens).sum(1) / weight_BN.sum(1, keepdims=True)
    first, _, second = head.layers
    assert first.weight.shape == (6, 6)
    hidden_BD = np.maximum(pooled_BD @ first.weight.detach().numpy().T + first.bias.detach().numpy(), 0)
    expected_BL = hidden_BD @ second.weight.detach().numpy().T + second.bias.detach().numpy()
    np.testing.assert_allclose(head(tokens_BND).detach(), expected_BL, atol=1e-5)
    assert torch.autograd.gradcheck(AttentionHead(3, 2).double(), numbers(2, 2, 3).double().requires_grad_())


@pytest.mark.parametrize("exclusive", [True, False])
def test_losses_and_their_gradients_by_their_formulas(exclusive):
    logit_BL = numbers(4, 3).requires_grad_()
    said_BL = torch.eye(3, dtype=torch.int64)[[0, 2, 1, 1]]
    loss_of(logit_BL, said_BL, exclusive).backward()
    logit, said = logit_BL.detach().numpy().astype(np.float64), said_BL.numpy()
    if exclusive:
        p = np.exp(logit) / np.exp(logit).sum(1, keepdims=True)
        loss, gradient = -np.log((p * said).sum(1)).mean(), (p - said) / 4
    else:
        p = 1 / (1 + np.exp(-logit))
        loss, gradient = -(said * np.log(p) + (1 - said) * np.log(1 - p)).mean(), (p - said) / 12
    assert loss_of(logit_BL, said_BL, exclusive).item() == pytest.approx(loss, abs=1e-6)
    np.testing.assert_allclose(logit_BL.grad, gradient, atol=1e-6)


def test_best_thresholds_against_every_threshold():
    rng = np.random.default_rng(0)
    said_NL, probability_NL = rng.integers(0, 2, (40, 3)), rng.integers(0, 12, (40, 3)) / 11  # with ties
    said_NL[:, 2] = 0
    found_L = best_thresholds(said_NL, probability_NL)
    for label in range(2):
        of = [f1_score(said_NL[:, label], probability_NL[:, label] >= threshold) for threshold in np.linspace(0, 1, 111)]
        assert f1_score(said_NL[:, label], probability_NL[:, label] >= found_L[label]) == pytest.approx(max(of))
    assert found_L[2] == 0.5
    assert best_thresholds(np.array([[1], [1], [0]]), np.array([[0.9], [0.5], [0.2]]))[0] == pytest.approx(0.35)


def test_predictions_and_thresholds_are_averaged():
    probability_KNL = np.array([[[0.2], [0.9]], [[0.6], [0.7]]])
    assert averaged(probability_KNL, np.array([[0.3], [0.6]])).tolist() == [[0], [1]]  # .4 and .8 against .45


def test_ten_steps_of_adamw_under_one_cycle_in_numpy():
    x_NF, said_NL, rate, decay = numbers(4, 2), torch.eye(2, dtype=torch.int64)[[0, 1, 1, 0]], 0.5, 0.1
    made = seeded(lambda: nn.Linear(2, 2, bias=False), 0)
    model = fit(
        made(), lambda some, _: x_NF[some], said_NL, np.arange(4), Schedule(epochs=10, least_steps=1, batch=4),
        rate=rate, decay=decay, exclusive=True, seed=0,
    )  # fmt: skip

    def between(start: float, end: float, share: float) -> float:
        return end + (start - end) / 2 * (1 + math.cos(math.pi * share))

    weight, first, second = made().weight.detach().numpy().astype(np.float64), 0.0, 0.0
    for step in range(10):
        up = 0.3 * 11 - 1
        lr = between(rate / 25, rate, step / up) if step <= up else between(rate, rate / 25e4, (step - up) / (10 - up))
        p = np.exp(x_NF.numpy() @ weight.T)
        gradient = (p / p.sum(1, keepdims=True) - said_NL.numpy()).T @ x_NF.numpy() / 4
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        weight = weight * (1 - lr * decay)
        weight -= lr * first / (1 - 0.9 ** (step + 1)) / (np.sqrt(second / (1 - 0.999 ** (step + 1))) + 1e-8)
    np.testing.assert_allclose(model.weight.detach(), weight, atol=1e-4)


def test_the_grid_takes_what_scores_best_on_held_out_images():
    x_NF = numbers(40, 2)
    said_NL = torch.eye(2, dtype=torch.int64)[(x_NF[:, 0] > 0).long()]
    schedule = Schedule(epochs=20, batch=10, rates=(1e-6, 0.1), decays=(0.0,))
    options = {"exclusive": True, "seed": 0}
    made = seeded(lambda: nn.Linear(2, 2), 3)
    best, chosen = of_grid(made, lambda some, _: x_NF[some], lambda some: x_NF[some], said_NL, np.arange(30), np.arange(30, 40),
                        schedule, **options)  # fmt: skip
    assert (chosen.rates, chosen.decays) == ((0.1,), (0.0,))
    direct = fit(made(), lambda some, _: x_NF[some], said_NL, np.arange(30), schedule, rate=0.1, decay=0.0, **options)
    torch.testing.assert_close(best.weight, direct.weight, rtol=0, atol=0)
    assert (named(best(x_NF).detach().numpy(), True) == said_NL.numpy()).all(axis=1).mean() > 0.9


def test_the_grid_searches_dropout_where_a_model_has_it():
    given = seeded_vit(CONFIG, 2, 0).requires_grad_(False).eval()
    made = seeded(lambda: Supervised(copy.deepcopy(given), 2), 0)
    image_NCHW, said_NL = numbers(8, 2, 8, 8), torch.eye(2, dtype=torch.int64)[[0, 1] * 4]

    def found(*drops: float) -> tuple[torch.Tensor, tuple[float, ...]]:
        schedule = Schedule(epochs=1, least_steps=1, batch=8, rates=(0.1,), decays=(0.0,), drops=drops)
        model, chosen = of_grid(made, lambda some, _: image_NCHW[some], lambda some: image_NCHW[some], said_NL, np.arange(6),
                                np.arange(6, 8), schedule, exclusive=True, seed=0)  # fmt: skip
        return model.head.weight.detach(), chosen.drops

    without, half = found(0.0)[0], found(0.5)[0]
    assert not torch.equal(without, half)
    assert torch.equal(half, found(0.5)[0])  # the same draws each time
    both, chosen = found(0.0, 0.5)
    assert torch.equal(both, {0.0: without, 0.5: half}[chosen[0]])
    model = made().train()
    model.drop.p = 1.0  # everything dropped: the bias is left
    torch.testing.assert_close(model(image_NCHW), model.head.bias.expand(8, -1))


def test_a_share_of_the_labels_has_every_class():
    said_NL = np.eye(4, dtype=int)[np.repeat([0, 1, 2, 3], [60, 30, 9, 1])]
    rows = np.arange(100)
    few = share_of(said_NL, rows, 0.1, 1)
    assert 10 <= len(few) <= 13
    assert (said_NL[few].sum(axis=0) > 0).all()
    assert (share_of(said_NL, rows, 1.0, 1) == rows).all()
    assert (share_of(said_NL, rows, 0.1, 1) == few).all()
    assert (share_of(said_NL, rows, 0.1, 2) != few).any()
    assert chance_f1(said_NL) == pytest.approx(0.25)
    assert named(np.array([[0.6, 0.7], [0.1, 0.2]]), False).tolist() == [[1, 1], [0, 0]]


def test_a_supervised_network_learns_all_of_it_and_leaves_the_given_one_alone():
    given = seeded_vit(CONFIG, 2, 0).requires_grad_(False).eval()
    model = Supervised(copy.deepcopy(given), 3)
    model(numbers(2, 2, 8, 8)).square().sum().backward()
    assert all(value.grad is not None for name, value in model.named_parameters() if "mask_token" not in name)
    assert not any(value.requires_grad for value in given.parameters())
    assert TwoLayers(4, 5, 3)[0].out_features == 5
