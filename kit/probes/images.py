"""Cell-DINO's evaluation on images: heads on frozen networks, and networks trained by the labels, on shares of the labels.

Folds keep a group (a plate, a movie) whole: one of five is tested, and of the labelled images of the others a fifth, by group,
picks rate and decay. Every row has the same folds and labelled images. N images, C channels, L classes, V crops of an image.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kit.errors import UsageError
from kit.model.vit import Vit
from kit.probes.classify import deal_groups, macro_f1, summary
from kit.probes.crops import centre_crops, random_crops, self_normalise
from kit.probes.heads import AttentionHead, Supervised, TwoLayers, frozen_features
from kit.probes.thresholds import averaged, best_thresholds
from kit.probes.training import Schedule, chance_f1, named, of_grid, probabilities, seeded, share_of
from kit.progress import progress

CROPS = 4  # random crops of an image that a head is trained on, drawn once
SHARES = (0.01, 0.1, 1.0)
_BATCH = 128
HEADS = ("linear", "two layers", "attention, five heads")


@dataclass(frozen=True, kw_only=True, slots=True)
class Labelled:
    """images_NCHW: float 0 to 1. said_NL: yes or no for each class. group_N: what a fold keeps whole. side: of crops, pixels."""

    images_NCHW: Tensor
    said_NL: Tensor
    group_N: np.ndarray
    side: int

    @property
    def exclusive(self) -> bool:
        """Whether every image has one class."""
        return bool((self.said_NL.sum(dim=1) == 1).all())

    def folds(self, rows: np.ndarray, seed: int) -> np.ndarray:
        """Return the fold of each of these rows; single images where they are of fewer than two groups."""
        groups = self.group_N[rows] if len(np.unique(self.group_N[rows])) > 1 else np.arange(len(rows))
        return deal_groups(self.said_NL[rows].argmax(dim=1).numpy(), groups, seed)


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What is run. schedule: of heads; network: of whole networks, whose rate, decay and dropout are from a grid of their own."""

    seeds: Sequence[int] = (0, 1, 2)
    shares: tuple[float, ...] = SHARES
    schedule: Schedule = field(default_factory=Schedule)
    network: Schedule = field(default_factory=lambda: Schedule(epochs=10, rates=(3e-4, 1e-3), decays=(0.05,), drops=(0.0, 0.1)))

    @classmethod
    def of(cls, percents: str, *, seeds: int, epochs: int, network_epochs: int) -> "Plan":
        """Return the plan of shares in percent, such as "1,10,100".

        Raises:
            UsageError: other text, or a share that is not above 0 and at most 100.
        """
        try:
            shares = tuple(float(percent) / 100 for percent in percents.split(","))
        except ValueError:
            shares = ()
        if not shares or not all(0 < share <= 1 for share in shares):
            raise UsageError(f"--shares {percents}: need percents above 0 and at most 100, such as 1,10,100")
        plain = cls(seeds=range(seeds), shares=shares)
        heads, network = replace(plain.schedule, epochs=epochs), replace(plain.network, epochs=network_epochs)
        return replace(plain, schedule=heads, network=network)


@dataclass(frozen=True, slots=True)
class Shown:
    """What a model is shown: one of V random crops to train, the middle to score. Each holds what is shown of every image."""

    random_VN: list[Tensor]
    centre_N: Tensor

    @property
    def count(self) -> int:
        """How many crops are shown, of all images."""
        return (len(self.random_VN) + 1) * len(self.centre_N)

    def batches(self, rows: np.ndarray, epoch: int) -> Tensor:
        return self.random_VN[epoch % len(self.random_VN)][rows].float()

    def middle(self, rows: np.ndarray) -> Tensor:
        return self.centre_N[rows].float()


def heads_on_images(
    labelled: Labelled, networks: dict[str, Vit], plan: Plan, *, end_to_end: Sequence[str] = ()
) -> dict[str, dict[str, Any]]:
    """Return the macro-F1 on the images left out: {row: {share: {"mean", "sd", "runs"}}}, and {"chance": ...} beside the rows.

    networks: frozen ones by name, each with the rows of HEADS. end_to_end: the names of those that are trained whole as well.
    """
    runs: dict[str, dict[float, list[float]]] = {}
    chances = []
    models = len(plan.shares) * (len(HEADS) * len(networks) + len(end_to_end))
    for place, seed in enumerate(plan.seeds, start=1):
        label = f"seed {place} of {len(plan.seeds)}"
        crops = drawn(labelled, seed)
        with progress(total=len(networks) * crops.count, label=f"{label}: embed", unit="crop") as bar:
            of_network = {name: embedded(network, crops, bar.update) for name, network in networks.items()}
        fold_N = labelled.folds(np.arange(len(labelled.group_N)), seed)
        test, rest = np.flatnonzero(fold_N == 0), np.flatnonzero(fold_N != 0)
        chances.append(chance_f1(labelled.said_NL[test].numpy()))
        with progress(total=models, label=f"{label}: heads", unit="model") as bar:
            for share in plan.shares:
                rows = share_of(labelled.said_NL.numpy(), rest, share, seed)
                one = _Run(labelled, plan, rows, test, seed)
                for name, (vectors, tokens) in of_network.items():
                    for head, f1 in one.heads(vectors, tokens, bar.update).items():
                        runs.setdefault(f"{name}: {head}", {}).setdefault(share, []).append(f1)
                for name in end_to_end:
                    f1 = one.whole(networks[name], crops)
                    bar.update()
                    runs.setdefault(f"{name}: trained whole", {}).setdefault(share, []).append(f1)
    rows_of = {name: {f"{share:g}": summary(values) for share, values in shares.items()} for name, shares in runs.items()}
    return {"rows": rows_of, "chance": {"mean": float(np.mean(chances))}}


@dataclass(frozen=True, slots=True)
class _Run:
    """One seed and share: who trains, who is tested."""

    labelled: Labelled
    plan: Plan
    rows: np.ndarray
    test: np.ndarray
    seed: int

    def heads(self, vectors: Shown, tokens: Shown, tick: Callable[[], Any]) -> dict[str, float]:
        classes, dim = self.labelled.said_NL.shape[1], vectors.centre_N.shape[1]
        found = {}
        for name, make in (
            ("linear", lambda: nn.Linear(dim, classes)),
            ("two layers", lambda: TwoLayers(dim, 2 * dim, classes)),  # 4 D: the vector is 2 D wide
        ):
            found[name] = self._one(seeded(make, self.seed), vectors, self.plan.schedule)
            tick()
        found["attention, five heads"] = self._five(tokens)
        tick()
        return found

    def whole(self, network: Vit, crops: Shown) -> float:
        classes = self.labelled.said_NL.shape[1]
        return self._one(seeded(lambda: Supervised(copy.deepcopy(network), classes), self.seed), crops, self.plan.network)

    def _one(self, make: Callable[[], nn.Module], shown: Shown, schedule: Schedule) -> float:
        """Return the F1 of the model of the best rate and decay, by a fifth of the labelled images."""
        held_R, exclusive = self._folds() == 0, self.labelled.exclusive
        model, _ = of_grid(
            make, shown.batches, shown.middle, self.labelled.said_NL, self.rows[~held_R], self.rows[held_R], schedule,
            exclusive=exclusive, seed=self.seed,
        )  # fmt: skip
        return macro_f1(self._truth, named(probabilities(model, shown.middle, self.test, exclusive), exclusive))

    def _five(self, tokens: Shown) -> float:
        """Return the F1 of heads that each leave out a fold for their thresholds; yes or no for each class."""
        said_NL, dim = self.labelled.said_NL, tokens.centre_N.shape[-1]
        make = seeded(lambda: AttentionHead(dim, said_NL.shape[1]), self.seed)
        fold_R, schedule = self._folds(), self.plan.schedule
        of_heads, thresholds = [], []
        for fold in np.unique(fold_R):
            held = self.rows[fold_R == fold]
            head, schedule = of_grid(  # the first fold picks rate and decay for all
                make, tokens.batches, tokens.middle, said_NL, self.rows[fold_R != fold], held, schedule,
                exclusive=False, seed=self.seed,
            )  # fmt: skip
            thresholds.append(best_thresholds(said_NL[held].numpy(), probabilities(head, tokens.middle, held, False)))
            of_heads.append(probabilities(head, tokens.middle, self.test, False))
        return macro_f1(self._truth, averaged(np.stack(of_heads), np.stack(thresholds)))

    @property
    def _truth(self) -> np.ndarray:
        return self.labelled.said_NL[self.test].numpy()

    def _folds(self) -> np.ndarray:
        return self.labelled.folds(self.rows, self.seed)


def drawn(labelled: Labelled, seed: int) -> Shown:
    """Return the crops themselves, self-normalised, which networks are trained on."""
    rng, images, side = np.random.default_rng(seed), labelled.images_NCHW, labelled.side
    random = [self_normalise(random_crops(images, side, rng)) for _ in range(CROPS)]
    return Shown(random, self_normalise(centre_crops(images, side)))


def embedded(network: Vit, crops: Shown, tick: Callable[[int], Any]) -> tuple[Shown, Shown]:
    """Return what a frozen network makes of the crops: [CLS ; mean patch token], and the patch tokens of its last layers.

    tick: told how many crops each batch held.
    """

    def of(crop_NCPP: Tensor) -> tuple[Tensor, Tensor]:
        parts = []
        for some in crop_NCPP.split(_BATCH):
            parts.append(frozen_features(network, some))
            tick(len(some))
        return torch.cat([vectors for vectors, _ in parts]), torch.cat([tokens.half() for _, tokens in parts])

    random, (vectors, tokens) = [of(crop_NCPP) for crop_NCPP in crops.random_VN], of(crops.centre_N)
    return Shown([one for one, _ in random], vectors), Shown([one for _, one in random], tokens)
