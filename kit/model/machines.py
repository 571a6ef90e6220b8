"""The machines that `kit plan` knows."""

from dataclasses import dataclass, replace

SPARE = 0.9  # share of a card's memory to plan with: the allocator and the context take the rest


@dataclass(frozen=True)
class Quota:
    """What is lent of a machine. weekly: hours a week. working: bytes of disk that a session may write and keep."""

    weekly: float
    working: float

    def text(self, hours: float) -> str:
        """Say what a job of so many hours takes of it."""
        weeks = hours / self.weekly
        taken = f"{hours:.1f} hours" if hours >= 0.1 else "minutes"
        return f"{taken} of {self.weekly:.0f} GPU hours a week: {'fits a week' if weeks <= 1 else f'{weeks:.1f} weeks'}"


@dataclass(frozen=True)
class Machine:
    """A machine to plan for: peak and memory are the vendor's data sheet's, what a training step reaches is an assumption."""

    text: str
    cards: int
    memory: float  # bytes of a card
    peak: float  # FLOP/s of a card: dense, bf16 (T4: fp16), accumulated in float32
    share: float  # of the peak, what a whole step is planned to reach
    quota: Quota | None = None

    @property
    def rate(self) -> float:
        """FLOP/s of all cards together that hours are planned with."""
        return self.cards * self.peak * self.share

    @property
    def usable(self) -> float:
        """Bytes of a card that a step may take."""
        return self.memory * SPARE

    def with_memory(self, gigabytes: float | None) -> "Machine":
        """Return it with cards of another memory, GB of 10**9 bytes; None: its own."""
        return self if gigabytes is None else replace(self, memory=gigabytes * 1e9)


MACHINES = {
    "rtx4090": Machine("one RTX 4090", 1, 24e9, 165e12, 0.4),
    "a100": Machine("one A100 (80 GB)", 1, 80e9, 312e12, 0.4),
    "h100": Machine("one H100 (SXM)", 1, 80e9, 989e12, 0.32),
    "h200": Machine("one H200", 1, 141e9, 989e12, 0.32),
    "kaggle-2xt4": Machine("2 x T4 of a Kaggle notebook", 2, 16e9, 65e12, 0.25, Quota(weekly=30, working=20e9)),
}
