"""Transfers of the core, which move whole words, each for one address of one bank or of neighbouring ones.

The west memory takes a word of operands, the north memory as many weights with their indices as fit into a word, the
output memory gives as many results as do. What is left of a word is not used, and is counted. Example: words of 8
bytes hold 4 FP16 operands, 3 weights of 16 + 3 bits, 4 results in FP16 or 2 sums in FP32; 8 columns of 2 kept weights
take 2 x 3 words.
"""

from dataclasses import dataclass

from dataflows.systolic.banks import Banks
from simulator.machines.systolic import SystolicArch


@dataclass(frozen=True)
class Words:
    """size: bytes of a word. operand_bits, index_bits: of a weight in the north memory. lanes: columns that SORE sorts
    at once. side: lines that the transposer turns at once."""

    banks: Banks
    size: int
    operand_bits: int
    index_bits: int
    lanes: int
    side: int

    @classmethod
    def of(cls, arch: SystolicArch, banks: Banks) -> "Words | None":
        """None for a machine that is no core: its transfers have no gaps."""
        if arch.core is None:
            return None
        index_bits = (arch.array.window_max - 1).bit_length()
        lanes = arch.sore.lanes if arch.sore else 1
        side = arch.transposer.side if arch.transposer else 1
        return cls(banks, arch.core.word_bytes, 8 * arch.format.operand_bytes, index_bits, lanes, side)

    def weights(self, is_sparse: bool) -> int:
        """Weights in a word; dense ones need no indices."""
        return 8 * self.size // (self.operand_bits + self.index_bits * is_sparse)

    def across(self, cols: int, each: int) -> int:
        """Words for one address of so many columns, `each` to a word; columns lie in turns of the array's."""
        turns, rest = divmod(cols, self.banks.cols)
        return turns * -(-self.banks.cols // each) + -(-rest // each)

    def turned(self, lines: int) -> int:
        """Lines that the transposer takes in for so many: whole blocks."""
        return -(-lines // self.side) * self.side
