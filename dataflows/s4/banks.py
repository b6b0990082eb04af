"""Which patterns a bank-sparse unit takes, and what stays dense."""

from dataclasses import replace

from simulator.machines.s4 import S4Arch
from workloads.errors import UserError
from workloads.op import MatrixOp, Role
from workloads.pattern import DENSE, Pattern

RATIOS = (1, 2, 4, 8, 16, 32)
CHANNELS = 4  # a sparse convolution's channels come in multiples of it (Moffett's public documentation)


def usable(op: MatrixOp, arch: S4Arch) -> tuple[MatrixOp, str]:
    """The op as the units take it, and why it stays dense where it was asked to be sparse, in words.

    Raises UserError for a pattern that does not keep a supported number in every bank.
    """
    if not op.left.pattern.is_dense:
        raise UserError(f"{op.layer} {op.phase}: this machine takes sparse weights only, not a sparse {op.left.role}")
    pattern = op.right.pattern
    if pattern.is_dense:
        return op, ""
    check_banks(pattern, arch.bank, f"{op.layer} {op.phase}")
    odd = _odd_channels(op)
    if op.right.role is not Role.WEIGHT or odd:
        return replace(op, right=replace(op.right, pattern=DENSE)), f"dense: {odd} channels are no multiple of 4"
    return op, ""


def check_banks(pattern: Pattern, bank: int, where: str) -> int:
    """The ratio of a pattern. Raises UserError where it keeps no supported number in every bank."""
    kept = [bank // ratio for ratio in RATIOS if bank % ratio == 0]
    allowed = f"a bank of {bank} keeps {', '.join(map(str, kept[:-1]))} or {kept[-1]}"
    if not pattern.is_grouped:
        raise UserError(f"{where}: pattern '{pattern}' does not keep the same number in every bank; {allowed}")
    if bank % pattern.m:
        raise UserError(f"{where}: pattern {pattern}: groups of {pattern.m} do not fill banks of {bank}; {allowed}")
    here = pattern.n * (bank // pattern.m)
    if here not in kept:
        near = min(kept, key=lambda number: abs(number - here))
        raise UserError(
            f"{where}: pattern {pattern} keeps {here} in a bank of {bank}; {allowed} (the nearest is {near}:{bank})"
        )
    return bank // here


def _odd_channels(op: MatrixOp) -> int:
    """The number of channels that keeps a convolution dense; 0 where none does."""
    if op.geometry is None:
        return 0
    inside, outside = op.geometry.in_channels, op.geometry.out_channels
    return next((channels for channels in (inside, outside) if channels % CHANNELS), 0)
