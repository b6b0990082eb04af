"""What a band is of: digests of a step and of a machine, so that a band is never shown beside another."""

import json
from hashlib import sha256

from simulator.card import Card


def job_digest(card: Card) -> str:
    """Sixteen hexadecimal digits over the work, its method and patterns, and the compiler's options."""
    work = {**card.job.work.told(), "batch": card.batch, "sequence": card.sequence}
    return _digest([work, card.method, card.pattern, card.job.patterns, sorted(card.job.options)])


def machine_digest(card: Card) -> str:
    """The same over every number of the machine and of its energy table in force with its range, not their sources."""
    numbers = {path: [each.value, each.provenance, each.low, each.high] for path, each in card.numbers.items()}
    energy = card.energy and [
        card.energy.table,
        {name: [each.value, each.provenance, each.low, each.high] for name, each in card.energy.entries.items()},
    ]
    return _digest([card.kind, card.arch_hash, numbers, energy])


def _digest(node: object) -> str:
    return sha256(json.dumps(node, sort_keys=True, default=str).encode()).hexdigest()[:16]
