"""Heads, targets and losses against numpy, gradients against the plain form by autograd."""

import numpy as np
import pytest
import torch

from kit.config import LossConfig
from kit.model.dino import Centres
from kit.model.heads import BatchNormRows, Head
from kit.model.losses import koleo, mean_logits, prototype_loss
from kit.model.sinkhorn import sinkhorn
from tests.model.tiny import as_numpy, assert_near, stir
from tests.oracle import dinov2_numpy, dinov2_torch

R, H, K = 23, 8, 50
TEACHER, STUDENT = 0.05, 0.1


def rows(n: int, seed: int, dtype=torch.float64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.nn.functional.normalize(torch.randn(n, H, generator=generator, dtype=torch.float64), dim=1).to(dtype)


@pytest.mark.parametrize(("dtype", "share"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_the_head_is_dinov2s(dtype, share):
    head = Head(24, LossConfig(prototypes=40, head_hidden=32, head_bottleneck=16))
    stir(head, 1)
    head.to(dtype)
    x = torch.randn(7, 24, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    assert_near((head(x.to(dtype)) @ head.last_layer().T).detach(), dinov2_numpy.head_logits(x.numpy(), as_numpy(head)), share)
    assert set(head.state_dict()) == {f"mlp.{i}.{kind}" for i in (0, 2, 4) for kind in ("weight", "bias")} | {
        "last_layer.weight_g",
        "last_layer.weight_v",
    }


@pytest.mark.parametrize(("dtype", "share"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize("chunk", [0, 1, 5, 23, 100])
@pytest.mark.parametrize("steps", [1, 3])
def test_sinkhorn_targets_are_the_plain_iterations(chunk, steps, dtype, share):
    teacher, prototypes = rows(R, 1, dtype), 1.3 * rows(K, 2, dtype)
    bias = sinkhorn(teacher, prototypes, TEACHER, steps=steps, chunk=chunk).bias_K
    targets = torch.softmax(teacher @ prototypes.T / TEACHER + bias, dim=1)
    logits = (teacher.double() @ prototypes.double().T).numpy()
    assert_near(targets, dinov2_numpy.sinkhorn(logits, TEACHER, steps), share)


@pytest.mark.parametrize(("dtype", "share"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize("chunk", [0, 5])
@pytest.mark.parametrize("steps", [1, 3])
def test_kept_targets_are_the_plain_iterations_and_leave_the_loss_as_it_is(chunk, steps, dtype, share):
    teacher, prototypes, student = rows(R, 1, dtype), 1.3 * rows(K, 2, dtype), rows(R, 3, dtype)
    kept, again = (sinkhorn(teacher, prototypes, TEACHER, steps=steps, chunk=chunk, keep=keep) for keep in (R * K * 8, 0))
    assert again.targets_RK is None
    assert_near(kept.bias_K, again.bias_K, share)
    assert_near(kept.targets_RK, dinov2_numpy.sinkhorn((teacher.double() @ prototypes.double().T).numpy(), TEACHER, steps), share)
    how = {"student_temperature": STUDENT, "teacher_temperature": TEACHER, "chunk": chunk}
    weight = torch.rand(R, generator=torch.Generator().manual_seed(8)).to(dtype)
    (_, first), (_, second) = (
        prototype_loss(student, prototypes, teacher, prototypes, made.bias_K, weight, targets_RK=made.targets_RK, **how)
        for made in (kept, again)
    )
    assert_near(first, second, share)


def test_the_sum_over_65536_prototypes_is_exact_to_float32():
    """A plain running sum over that many products is off by 5e-5."""
    prototypes, weight = 2 * rows(65_536, 2), torch.ones(4, dtype=torch.float64)
    how = {"student_temperature": STUDENT, "teacher_temperature": TEACHER}
    bias = torch.zeros(65_536, dtype=torch.float64)
    each = []
    for dtype in (torch.float64, torch.float32):
        operands = (rows(4, 3), prototypes, rows(4, 1), prototypes, bias, weight)
        each.append(prototype_loss(*(x.to(dtype) for x in operands), **how)[1])
    assert_near(each[1], each[0], 3e-6)


def test_targets_are_kept_up_to_the_stated_bytes():
    size = R * K * 4
    kept = [sinkhorn(rows(R, 1, torch.float32), rows(K, 2, torch.float32), TEACHER, steps=3, chunk=0, keep=keep).targets_RK
            for keep in (size - 1, size)]  # fmt: skip
    assert kept[0] is None
    assert kept[1] is not None


def test_rows_far_from_every_prototype_do_not_break_sinkhorn():
    """Logits of one row lie 300 below those of the others: exp of the difference is 0 in float32."""
    prototypes = rows(K, 2, torch.float32)
    teacher = torch.cat((rows(R, 1, torch.float32), torch.full((1, H), -100.0)))
    for keep in (0, 1e9):
        made = sinkhorn(teacher, prototypes.abs(), 0.05, steps=3, chunk=0, keep=keep)
        assert torch.isfinite(made.bias_K).all()
        targets = torch.softmax(teacher @ prototypes.abs().T / 0.05 + made.bias_K, 1)
        assert_near(targets.sum(1), torch.ones(R + 1), 1e-5)


def test_sinkhorn_without_rows_is_flat():
    assert torch.equal(sinkhorn(rows(0, 1), rows(K, 2), TEACHER, steps=3, chunk=4).bias_K, torch.zeros(K, dtype=torch.float64))


@pytest.mark.parametrize(("dtype", "share"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize("chunk", [0, 1, 5, 23, 100])
def test_chunked_loss_has_the_value_and_gradients_of_the_plain_form(chunk, dtype, share):
    bias = torch.randn(K, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    weight = torch.rand(R, generator=torch.Generator().manual_seed(8), dtype=torch.float64)
    teacher, teacher_prototypes = rows(R, 1), 1.3 * rows(K, 2)
    gradients, values = [], []
    for plain in (False, True):
        kind = torch.float64 if plain else dtype
        student = rows(R, 3).to(kind).requires_grad_()
        prototypes = (1.2 * rows(K, 4)).to(kind).requires_grad_()
        if plain:
            targets = torch.softmax(teacher @ teacher_prototypes.T / TEACHER + bias, dim=1)
            each = dinov2_torch.cross_entropy(student @ prototypes.T, targets, STUDENT)
            loss = (each * weight).sum()
        else:
            loss, each = prototype_loss(
                student, prototypes, teacher.to(kind), teacher_prototypes.to(kind), bias.to(kind), weight.to(kind),
                student_temperature=STUDENT, teacher_temperature=TEACHER, chunk=chunk,
            )  # fmt: skip
        (3 * loss).backward()
        gradients.append((student.grad, prototypes.grad))
        values.append((loss.detach(), each.detach()))
    for actual, expected in zip((*values[0], *gradients[0]), (*values[1], *gradients[1]), strict=True):
        assert_near(actual, expected, share)


def test_cross_entropy_is_numpys():
    teacher, student, prototypes = rows(R, 1), rows(R, 3), rows(K, 2)
    bias = sinkhorn(teacher, prototypes, TEACHER, steps=3, chunk=6).bias_K
    _, each = prototype_loss(
        student,
        prototypes,
        teacher,
        prototypes,
        bias,
        torch.ones(R),
        student_temperature=0.1,
        teacher_temperature=TEACHER,
        chunk=6,
    )
    targets = dinov2_numpy.sinkhorn((teacher @ prototypes.T).numpy(), TEACHER)
    assert_near(each, dinov2_numpy.cross_entropy((student @ prototypes.T).numpy(), targets), 1e-12)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 0.03), (torch.float16, 0.004)])
def test_half_precision_products_keep_the_gradient(dtype, tolerance):
    """65,536 prototypes make differences of probabilities that half precision would round to nothing."""
    many = 4096
    student = rows(R, 3, torch.float32).requires_grad_()
    prototypes = rows(many, 4, torch.float32)
    teacher, bias, weight = rows(R, 1, torch.float32), torch.zeros(many), torch.full((R,), 1e-6)
    gradients = []
    for kind in (None, dtype):
        student.grad = None
        loss, _ = prototype_loss(
            student, prototypes, teacher, prototypes, bias, weight,
            student_temperature=STUDENT, teacher_temperature=0.07, chunk=8, dtype=kind,
        )  # fmt: skip
        loss.backward()
        gradients.append(student.grad.clone())
    assert gradients[1].dtype == torch.float32
    assert float((gradients[1] - gradients[0]).norm() / gradients[0].norm()) < tolerance


def test_centring_moves_the_centre_for_the_next_step_only():
    teacher, prototypes = rows(R, 1), rows(K, 2)
    logits = (teacher @ prototypes.T).numpy()
    assert_near(mean_logits(teacher, prototypes), logits.mean(0), 1e-12)
    centres = Centres(torch.zeros(K, dtype=torch.float64), torch.zeros(K, dtype=torch.float64))
    for _ in range(2):
        centres.move(mean_logits(teacher, prototypes), torch.zeros(K, dtype=torch.float64), 0.9, torch.tensor(False))
    centre = 0.19 * logits.mean(0)  # 0.1 + 0.9 * 0.1
    assert_near(centres.cls_K, centre, 1e-12)
    targets = torch.softmax(teacher @ prototypes.T / TEACHER - centres.cls_K / TEACHER, dim=1)
    assert_near(targets, dinov2_numpy.centred(logits, centre, TEACHER), 1e-12)


@pytest.mark.parametrize(("dtype", "share"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_koleo_value_and_gradient(dtype, share):
    x = torch.randn(17, 12, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    ours, theirs = x.clone().to(dtype).requires_grad_(), x.clone().requires_grad_()
    loss = koleo(ours)
    loss.backward()
    dinov2_torch.koleo(theirs).backward()
    assert_near(loss.detach(), dinov2_numpy.koleo(x.detach().numpy()), share)
    assert_near(ours.grad, theirs.grad, share)


def test_koleo_stays_finite_for_equal_rows_in_half_precision_and_for_one_row():
    twins = torch.ones(4, 12, dtype=torch.float16, requires_grad=True)
    loss = koleo(twins)
    loss.backward()
    assert torch.isfinite(loss)
    assert float(koleo(torch.ones(1, 12))) == 0


def test_batch_norm_of_the_head_is_torchs():
    x = torch.randn(9, 5, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    norm = BatchNormRows(5).double()
    stir(norm, 3)
    expected = torch.nn.functional.batch_norm(x, None, None, norm.weight, norm.bias, training=True)
    assert_near(norm(x).detach(), expected.detach(), 1e-12)


def test_ibot_weights_are_views_first():
    masks = np.zeros((4, 16), bool)
    masks[0, :3] = masks[2, :5] = True
    logits = np.random.default_rng(0).normal(size=(8, K))
    targets = dinov2_numpy.softmax(np.random.default_rng(1).normal(size=(8, K)))
    each = dinov2_numpy.cross_entropy(logits, targets)
    assert dinov2_numpy.ibot(logits, targets, masks) == pytest.approx((each[:3].mean() + each[3:].mean()) / 4)
