"""How long the inputs of a language model are: distributions of sequence lengths, as shares of the samples.

An offline benchmark may sort its inputs, so that a batch holds texts of about one length and is padded to it alone.
"""

from dataclasses import dataclass

from workloads.provenance import Origin, Provenance


@dataclass(frozen=True)
class Lengths:
    """A distribution: the share of samples in batches padded to each length, in tokens. Shares sum to 1."""

    name: str
    shares: tuple[tuple[int, float], ...]
    origin: Origin

    @property
    def mean(self) -> float:
        return sum(length * share for length, share in self.shares)


PADDED = Lengths(
    "padded to 384", ((384, 1.0),), Origin(Provenance.PUBLISHED, "MLPerf: SQuAD v1.1 with at most 384 tokens")
)
SQUAD_LIKE = Lengths(
    "SQuAD-like",
    ((112, 0.22), (160, 0.48), (224, 0.24), (384, 0.06)),
    Origin(
        Provenance.ASSUMED,
        "a paragraph of an encyclopaedia with a question: most of 110 to 220 tokens, few that reach the longest; no "
        "submission states its histogram",
        low=0.85,
        high=1.15,
    ),
)
