"""What `kit score` puts beside an accuracy, as score.json holds it: every companion is a value, or null with a reason."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from kit.challenge.directions import Plan, plan_directions
from kit.challenge.outcomes import share_interval
from kit.challenge.rules import Rules
from kit.challenge.wells import Wells
from kit.companions.asked import Asked, Hits, Nearest, Questions, ask_plate, positions
from kit.companions.board import NO_CONTROLS
from kit.companions.null import SHUFFLES, ask_shuffled, by_gram
from kit.companions.recorded import FINAL_ONLY, UNSEEN, Repeat
from kit.companions.verdict import Evidence, judge
from kit.neighbours import Gram


def beside(
    gram: Gram,
    wells: Wells,
    rules: Rules,
    repeat: Repeat,
    *,
    noun: str = "control",
    no_controls: str = NO_CONTROLS,
    shuffles: int = SHUFFLES,
    scored: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """Return what score.json gains: null, cross_position, dmso_position, plate, verdict.

    Args:
        gram: a row for each of `wells`: all wells that there are features of, scored, controls and others.
        repeat: what the null repeats, see `recorded.read_steps`. noun: what a control well is, such as DMSO. no_controls: why no
            well is a control, where none is. scored: the directions of score.json, for the interval of an accuracy; without
            it that over the wells of all folds together.
    """
    near, plans = by_gram(gram, rules), plan_directions(wells, rules)
    questions = {name: Questions(wells, plan, rules) for name, plan in plans.items() if not plan.reason}
    asked = {name: one.ask(one.find(near), near) for name, one in questions.items()}
    nulls = list(ask_shuffled(gram, wells, questions, rules, repeat, shuffles)) if questions else []
    no_controls = "" if wells.is_control_M.any() else no_controls
    rows = {
        name: _Row(
            wells,
            plan,
            asked.get(name),
            [null[name] for null in nulls if name in null],
            repeat,
            no_controls,
            (scored or {}).get(name, {}).get("interval"),
        )
        for name, plan in plans.items()
    }
    return {
        "null": _null(rows, repeat, shuffles),
        "cross_position": _cross_position(rows),
        "dmso_position": _dmso_position(rows, wells) | {"wells": noun},
        "plate": _plate(near, wells, rules, no_controls) | {"wells": noun},
        "verdict": _verdict(rows, repeat),
    }


class _Row:
    """The companions of one direction."""

    def __init__(
        self,
        wells: Wells,
        plan: Plan,
        asked: Asked | None,
        shuffles: list[Asked],
        repeat: Repeat,
        no_controls: str,
        between: list[float] | None,
    ) -> None:
        self.reason = plan.reason
        if asked is None:
            return
        self.asked = asked
        lone, few = "no label of a tested well trains at another position", "too few control wells train"
        plate_M, label_M = wells.plate_M, wells.label_M
        self.accuracy = _evidence(asked.accuracy, asked.labels, plate_M, [one.accuracy for one in shuffles])
        self.apart = _evidence(asked.apart.share, asked.apart, label_M, [one.apart.share for one in shuffles], lone)
        self.kept = _evidence(asked.kept.share, asked.kept, label_M, [], lone)
        self.controls = _evidence(
            asked.controls.share, asked.controls, plate_M, [one.controls.share for one in shuffles], no_controls or few
        )
        if between is not None:
            self.accuracy = replace(self.accuracy, interval=between)
        aligned = repeat.align is not None
        self.verdict = judge(self.accuracy, self.apart, self.kept, self.controls, 1 / len(wells.classes), aligned=aligned)


def _evidence(
    value: float | None, hits: Hits, unit_M: np.ndarray, shuffled: Sequence[float | None], why_not: str = ""
) -> Evidence:
    if value is None:
        return Evidence(why_not=why_not)
    known = [share for share in shuffled if share is not None]
    mean, p95 = (float(np.mean(known)), float(np.percentile(known, 95))) if known else (None, None)
    return Evidence(value=value, interval=share_interval(hits.hit_Q, unit_M[hits.rows_Q]), null=mean, null_p95=p95)


def _null(rows: Mapping[str, _Row], repeat: Repeat, shuffles: int) -> dict[str, Any]:
    own = {
        name: _missing(row.reason) if row.reason else {"value": row.accuracy.null, "p95": row.accuracy.null_p95}
        for name, row in rows.items()
    }
    facts = {"note": f"{FINAL_ONLY}: {repeat.why_not}"} if repeat.why_not else {"align": repeat.align}
    return _with_mean(own, {"shuffles": shuffles, "final_features_only": bool(repeat.why_not), **facts})


def _cross_position(rows: Mapping[str, _Row]) -> dict[str, Any]:
    own: dict[str, dict[str, Any]] = {}
    for name, row in rows.items():
        if reason := row.reason or row.apart.why_not:
            own[name] = _missing(reason)
            continue
        kept = {"own_position_kept": row.kept.value, "own_position_kept_interval": row.kept.interval}
        own[name] = {**_shown(row.apart), **kept, "n_test": len(np.unique(row.asked.apart.rows_Q))}
    return _with_mean(own, {"intervals_over": "labels"})


def _dmso_position(rows: Mapping[str, _Row], wells: Wells) -> dict[str, Any]:
    own = {
        name: _missing(reason) if (reason := row.reason or row.controls.why_not) else _shown(row.controls)
        for name, row in rows.items()
    }
    n = len(np.unique(positions(wells)[wells.is_control_M]))
    return _with_mean(own, {"chance": 1 / n if n else None, "intervals_over": "plates"})


def _plate(near: Nearest, wells: Wells, rules: Rules, no_controls: str) -> dict[str, Any]:
    """Return how well control wells tell their plate; only a plate that has some can be an answer."""
    own: dict[str, dict[str, Any]] = {}
    plates_of, controlled = wells.plates_of(), set(wells.plate_M[wells.is_control_M])
    for group, all_plates in plates_of.items():
        plates = all_plates & controlled
        which = "" if len(all_plates) < 2 else " with control wells"
        if reason := no_controls or ("" if len(plates) > 1 else f"fewer than two plates{which}: {len(plates)}"):
            own[group] = _missing(reason)
            continue
        hits = ask_plate(wells, group, near, rules)
        between = share_interval(hits.hit_Q, wells.plate_M[hits.rows_Q])
        found = {"value": hits.share, "interval": between, "chance": 1 / len(plates), "n_test": len(hits.rows_Q)}
        own[group] = found if hits.share is not None else _missing("too few control wells at other positions")
    lacking = sorted(set().union(*plates_of.values()) - controlled)
    facts = {"without_controls": lacking} if lacking and not no_controls else {}
    return _with_mean(own, {"intervals_over": "plates"} | facts, "groups")


def _verdict(rows: Mapping[str, _Row], repeat: Repeat) -> dict[str, Any]:
    unseen = FINAL_ONLY if repeat.why_not else UNSEEN if repeat.unseen else ""
    own = {
        name: _missing(reason) if (reason := row.reason or unseen) else {"value": row.verdict.kind, "text": row.verdict.text}
        for name, row in rows.items()
    }
    kinds = {said["value"] for said in own.values() if said["value"]}
    if not kinds:
        return {"value": None, "reason": unseen or "no direction was scored", "directions": own}
    return {"value": kinds.pop() if len(kinds) == 1 else "differs between directions", "directions": own}


def _missing(reason: str) -> dict[str, Any]:
    return {"value": None, "reason": reason}


def _shown(evidence: Evidence) -> dict[str, Any]:
    return {
        "value": evidence.value, "interval": evidence.interval, "null": evidence.null, "null_p95": evidence.null_p95
    }  # fmt: skip


def _with_mean(own: dict[str, dict[str, Any]], facts: dict[str, Any], key: str = "directions") -> dict[str, Any]:
    """Return {"value": the mean of those with a value, or null with the first reason}, the facts and the parts."""
    values = [one["value"] for one in own.values() if one["value"] is not None]
    start = {"value": float(np.mean(values))} if values else _missing(next(iter(own.values()))["reason"])
    return {**start, **facts, key: own}
