"""What a checkpoint holds, and how it is written, found and read.

    checkpoints/step_00000740.safetensors   student.*, teacher.*, optimiser.*, centre.*: every tensor of the run
    checkpoints/step_00000740.json          the step, the place in the data, the scaler, the data's mean and sd and all that the
                                            run owns of the store, the alarm's state, the configuration, and the SHA-256 of the
                                            tensors and of itself; written last, so its presence = complete
    checkpoints/best.json                   the step with the best online k-NN score; never deleted

Every random draw of a run is a function of (seed, step) or (seed, epoch, position), so these numbers are the whole state of
the random generators.
"""

import hashlib
import json
import logging
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save_file
from torch import Tensor

from kit.config import RunConfig
from kit.errors import KitError
from kit.files import file_sha256, whole_file, write_whole
from kit.model.learner import Learner
from kit.model.vit import Vit, seeded_vit
from kit.recipe import config_from_dict, config_to_dict

SCHEMA = 2  # 1: random streams that overlapped; such a run embeds, but cannot be continued
READABLE = (1, SCHEMA)
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Place:
    """Where a run stands: steps done, and the next batch to take."""

    step: int
    epoch: int
    position: int
    minutes: float  # of training so far


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _seal(record: dict) -> str:
    """Return JSON text that carries its own checksum."""
    body = json.dumps(record, sort_keys=True)
    return json.dumps({**record, "sha256_self": _digest(body.encode())}, sort_keys=True, indent=1) + "\n"


def learner_tensors(learner: Learner) -> dict[str, Tensor]:
    """Return every tensor of a learner by name."""
    tensors = {f"student.{name}": value for name, value in learner.student.state_dict().items()}
    tensors |= {f"teacher.{name}": value for name, value in learner.teacher.state_dict().items()}
    tensors |= {"centre.cls": learner.centres.cls_K, "centre.patch": learner.centres.patch_K}
    for group in learner.optimiser.param_groups:
        for name, parameter in zip(group["names"], group["params"], strict=True):
            for key, value in learner.optimiser.state.get(parameter, {}).items():
                tensors[f"optimiser.{key}.{name}"] = value
    return {name: value.detach().cpu().contiguous() for name, value in tensors.items()}


def put_tensors(learner: Learner, tensors: dict[str, Tensor]) -> None:
    """Load the tensors of a checkpoint into a learner; every name and shape must match."""
    for prefix, network in (("student.", learner.student), ("teacher.", learner.teacher)):
        network.load_state_dict({name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)})
    device = learner.device
    learner.centres.cls_K, learner.centres.patch_K = tensors["centre.cls"].to(device), tensors["centre.patch"].to(device)
    for group in learner.optimiser.param_groups:
        for name, parameter in zip(group["names"], group["params"], strict=True):
            keys = [key for key in ("step", "exp_avg", "exp_avg_sq") if f"optimiser.{key}.{name}" in tensors]
            state = {key: tensors[f"optimiser.{key}.{name}"] for key in keys}
            if state:  # in the layout of the parameter, as AdamW makes them; its count of steps beside them, in float32
                learner.optimiser.state[parameter] = {
                    key: value.to(device) if key == "step" else torch.empty_like(parameter.detach()).copy_(value)
                    for key, value in state.items()
                }


def save_checkpoint(folder: Path, learner: Learner, place: Place, extra: dict) -> Path:
    """Write a checkpoint and return its JSON file; a kill at any moment leaves it whole or absent.

    Args:
        extra: plain values to keep with it: `mean` and `sd` of the data, what the run owns, the alarm's state.
    """
    stem = folder / f"step_{place.step:08d}"
    with whole_file(stem.with_suffix(".safetensors")) as part:
        try:
            save_file(learner_tensors(learner), part)
        except SafetensorError as error:  # a full disk
            raise KitError(f"cannot write {stem.with_suffix('.safetensors')}: {error}") from error
        digest = file_sha256(part)
    record = {
        "schema": SCHEMA,
        "place": place.__dict__,
        "scaler": learner.scaler.state_dict(),
        "config": config_to_dict(learner.config),
        "torch": torch.__version__,
        "sha256_tensors": digest,
        **extra,
    }
    write_whole(stem.with_suffix(".json"), _seal(record))
    return stem.with_suffix(".json")


def drop_old(folder: Path, keep: int) -> None:
    """Delete all but the last `keep` checkpoints and the best."""
    best = best_step(folder)
    for record in sorted(folder.glob("step_*.json"))[:-keep]:
        if record.stem != f"step_{best:08d}":
            record.unlink()
            record.with_suffix(".safetensors").unlink(missing_ok=True)


def best_step(folder: Path) -> int:
    """Return the step that best.json names, -1 if there is none."""
    path = folder / "best.json"
    return json.loads(path.read_text())["step"] if path.is_file() else -1


def read_checkpoint(record_path: Path) -> tuple[dict, dict[str, Tensor]]:
    """Return the record and the tensors of a checkpoint.

    Raises:
        KitError: a file is missing, cut short or changed.
    """
    try:
        record = json.loads(record_path.read_text())
        seal = record.pop("sha256_self")
    except (ValueError, KeyError, AttributeError) as error:
        raise KitError(f"{record_path} is damaged: {error}") from error
    if seal != _digest(json.dumps(record, sort_keys=True).encode()):
        raise KitError(f"{record_path} is damaged: checksum mismatch")
    tensors = record_path.with_suffix(".safetensors")
    if not tensors.is_file():
        raise KitError(f"{tensors} is missing")
    data = tensors.read_bytes()
    if _digest(data) != record["sha256_tensors"]:
        raise KitError(f"{tensors} is damaged: checksum mismatch")
    if record["schema"] not in READABLE:
        raise KitError(
            f"{record_path} has schema {record['schema']}; this version of kit reads {' and '.join(map(str, READABLE))}"
        )
    return record, load(data)


def newest_checkpoint(folder: Path) -> tuple[dict, dict[str, Tensor]] | None:
    """Return the newest checkpoint that is whole, None if there is none at all.

    A damaged one is passed over with a warning.

    Raises:
        KitError: there are checkpoints, and every one is damaged.
    """
    problems = []
    for path in sorted(folder.glob("step_*.json"), reverse=True):
        try:
            found = read_checkpoint(path)
        except KitError as error:
            problems.append(str(error))
            log.warning("%s; trying the one before", error)
            continue
        if problems:
            log.warning("using %s instead", path.name)
        return found
    if problems:
        raise KitError(f"no usable checkpoint in {folder}: {problems[0]}")
    return None


def is_checkpoint(path: Path) -> bool:
    """Return whether a file is one of kit's checkpoints, by its name and the record beside it; others hold foreign weights."""
    path = Path(path)
    return path.suffix == ".json" or (path.suffix == ".safetensors" and path.with_suffix(".json").is_file())


def load_backbone(source: Path, *, step: int | None = None) -> tuple[Vit, RunConfig, Tensor, Tensor]:
    """Return a run's teacher backbone in evaluation mode, its configuration, and the data's mean and sd per channel.

    Args:
        source: a run folder (its newest whole checkpoint), or the .safetensors or .json file of one checkpoint.
        step: in a run folder, this checkpoint.

    Raises:
        KitError: nothing there, or nothing whole.
    """
    source = Path(source)
    if source.is_dir() and step is None:
        found = newest_checkpoint(source / "checkpoints")
        if found is None:
            raise KitError(f"{source} has no checkpoint; run kit train first")
        record, tensors = found
    else:
        path = source / "checkpoints" / f"step_{step:08d}.json" if source.is_dir() else source.with_suffix(".json")
        if not path.is_file():
            raise KitError(f"{path} does not exist: give a run folder, or a file of its checkpoints folder")
        record, tensors = read_checkpoint(path)
    config = config_from_dict(record["config"], where=str(source))
    backbone = seeded_vit(config.model, config.inputs, 0)
    prefix = "teacher.backbone."
    backbone.load_state_dict({name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)})
    backbone.requires_grad_(False).eval()
    return backbone, config, torch.tensor(record["mean"]), torch.tensor(record["sd"])
