"""What the fields of a core's words mean, for whoever writes them by hand."""

from rtl.core.core import Fault

QUEUE_TEXTS = {
    "dram": "a load or a store of words of DRAM that follow each other",
    "sore": "weights from the raw memory through the SORE lanes into the north memory",
    "transposer": "blocks of 4 x 4 operands from the raw memory, turned, into the west memory",
    "array": "a run of the array: a part of a tile, or a tile's way out",
    "load_walks": "where the words of a load go, one walk after the other",
    "store_walks": "where the sums of a store are",
    "sort_walks": "where in the north memory a SORE command writes",
    "turn_walks": "where in the west memory a command of the transposer writes",
    "wuve": "weights, states and gradients through the update engine's lanes",
    "store_words": "a word a store, or a part of one",
    "constants": "the optimizer's numbers for a step, before the first command of `wuve` that is `fresh`",
    "ops": "a word an op, before its commands",
}
FIELD_TEXTS = {
    "control.takes": "a bit a buffer: a full slot that the command waits for, and takes",
    "control.fills": "a bit a buffer: an empty slot that it waits for, and fills by its end",
    "control.last": "it is its engine's last command of the op",
    "frees": "a bit a buffer: a slot that is empty again at its end",
    "stores": "a store waits for what this command leaves",
    "nothing": "not used",
    "does.joins": "to the memory it is one transfer with the command before",
    "does.late": "the larger of `keep` and the cycles that are to pass before a run has left",
    "does.turned": "words are read turned in blocks of four",
    "does.step": "from one block of four words to the next, in blocks",
    "does.columns": "columns that there are, of four",
    "does.taken": "first row of what is taken",
    "does.kept": "first row of what is kept",
    "does.rows": "rows of a block",
    "does.fresh": "the next word of `constants` is taken first",
    "more": "the next word belongs to the same command, or the same store",
    "does.store": "1 for a store",
    "does.address": "byte address in DRAM, a multiple of 8",
    "does.beats": "words",
    "does.memory": "that a load fills: 0 west, 1 north, 2 raw, 3 output, 4 that of the update engine",
    "does.per": "of a load into the north memory: 0 weights with indices, 1 dense weights",
    "does.tag": "as `control.fills` of a load, as `frees` of a store",
    "does.raw": "first word in the raw memory",
    "does.keep": "weights that are kept of a group",
    "does.pad": "also of a group that has fewer elements, which is filled up",
    "does.segments": "of the reduction",
    "does.full": "groups of `size` elements in a segment",
    "does.blocks": "runs of words of each group: one for every 4 columns",
    "wuve.does.blocks": "blocks of four columns, each of `rows` rows",
    "wuve.does.columns": "columns of the last block",
    "wuve.does.raw": "where the updated weights go as operands; each block begins at a multiple of four words",
    "wuve.does.gives": "they go there",
    "constants": "an FP32 pattern",
    "does.size": "elements of a group",
    "does.tail": "elements of a segment's last group, 0 for none",
    "does.ticks": "cycles that the run takes; the core stops where it takes others",
    "does.used": "rows that have operands; the others see zeros",
    "does.drains": "it is only a tile's way out",
    "does.gives": "sums leave",
    "real": "words that are there; others are filled in",
    "down": "addresses go down",
    "skip": "sums of every block that are dropped",
    "source": "0 sums, two in a word; 1 sums rounded to operands, four; 2 weights with indices; 3 weights; 4 masters",
    "active": "a bit an engine that has commands in this op: {engines}",
    "last": "the command has no further walk",
    "turns": "how often the loop turns",
    "address": "where it begins",
    "bank": "where it begins: a row of the west memory, a column of north and output; 0 in the raw memory; in that of "
    "the update engine twice the number of the field, and one more for the upper two of four columns",
    "loops.0.address": "how far a turn leads",
    "loops.0.bank": "how far a turn leads",
    "does.west.address": "first word of every row",
    "does.north.address": "first weight of every column",
    "does.seeds.address": "first of the sums to start from",
    "does.sums.address": "where the first sum goes",
    "count": "words, or sums of a block",
    "blocks": "blocks of sums, each with its own that are dropped",
}
LESS_ONE = {("dram", "does.beats"), *(("array", f"does.{each}.count") for each in ("west", "north", "seeds", "sums"))}
LESS_ONE |= {("array", "does.sums.blocks")}
FAULTS = {
    Fault.REFUSED: "a run that the array cannot carry out; bits 23:16 of STATUS say why",
    Fault.EARLY: "a run took fewer cycles than its word says",
    Fault.LATE: "a run took more cycles than its word says",
    Fault.READ: "the memory answered a read with an error",
    Fault.WRITE: "the memory answered a write with an error",
}


def text_of(queue: str, name: str, engines: str) -> str:
    """What a field of a queue's words means; empty for one that nothing is said of here."""
    names = (f"{queue}.{name}", name, name.rpartition(".")[2], queue)
    text = next((FIELD_TEXTS[each] for each in names if each in FIELD_TEXTS), "")
    less = (queue, name) in LESS_ONE or name.endswith(".turns")
    return text.format(engines=engines) + (", less one" if less else "")
