"""Plates that a trial packs for itself."""

from kit.errors import KitError
from kit.images.ingest.plan import IngestPlan
from kit.images.ingest.run import ingest


def packed(plan: IngestPlan) -> None:
    """Ingest plates.

    Raises:
        KitError: one failed, which ends the trial.
    """
    report = ingest(plan)
    if report.failed:
        raise KitError(report.failed[0])
