"""A model of DRAM behind an AXI4 master: C++ for a Verilator bench, and its timing in Python.

One server carries out bursts in the order of their addresses. Bursts of one command are one service: `user` is high
with the first of them. A service begins in the cycle in which its address is on the bus if the server is free then, or
else in the cycle after the last beat of the one before. In each of its cycles `num / den` bytes are added up, and a
beat of 8 bytes goes when they are there, at most one a cycle. A read beat is on its channel `latency` cycles after the
one in which it was served; a write beat is taken in the cycle in which it is served. Answers to writes come two cycles
after the last beat of their burst. Addresses are always taken at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from rtl.core.dma import PREFIX
from rtl.verilate import Port

BEAT = 8  # bytes
DECERR = 3  # the answer where there is no memory
ANSWER = 2  # cycles from the last beat of a burst to its answer
COUNTS = (
    "late",  # cycles in which a beat of a store was served and not there
    "held",  # cycles in which a beat of a load was there and not taken
    "both",  # cycles with an address of each kind
    "crossing",  # bursts that are not as the master may make them
    "early",  # cycles in which a beat was offered whose address was not
    "unlike",  # beats whose `wlast` was not that of their burst
    "beyond",  # bursts outside the memory
    "bursts",
)


class DramRate(NamedTuple):
    """Bytes a cycle, as a fraction that is 8 at most."""

    num: int
    den: int = 1


@final
@dataclass
class DramServer:
    """The timing of the model. free: the first cycle in which another service could begin."""

    rate: DramRate
    free: int = 0

    def serve(self, arrives: int, beats: int) -> NDArray[np.int64]:
        """The cycle of each beat of a command whose first address is on the bus in cycle `arrives`."""
        begins = max(self.free, arrives)
        at = begins - 1 - (-(np.arange(beats, dtype=np.int64) + 1) * BEAT * self.rate.den // self.rate.num)
        self.free = int(at[-1]) + 1
        return at


# In every cycle a bench evaluates its block, calls `look`, and `step` after all inputs are there: the block has been
# evaluated again by then. words: the memory from `base` on.
DRAM = """
#include <deque>
#include <vector>
struct Dram {
    COUNT_NAMES
    struct Burst { bool write, first, bad; uint64_t at, left; };
    struct Beat { uint64_t due, data; bool last, bad; };
    struct Answer { uint64_t due; bool bad; };
    uint64_t num, den, latency, base, size;
    uint64_t* words;
    uint64_t counts[COUNT] = {};
    uint64_t cycle = 0, sum = 0;
    bool fresh = true;  // the burst at the head has not been served yet
    int64_t offered = 0;  // beats of stores whose addresses have been on the bus, less those taken
    std::deque<Burst> bursts;
    std::deque<Beat> reads;
    std::deque<Answer> answers;
    bool serves = false;  // a beat of the burst at the head goes in this cycle
    template <class Block> void look(Block* b) {
        address(b->AXIarvalid, false, b->AXIaraddr, b->AXIarlen, b->AXIaruser, b->AXIarsize, b->AXIarburst);
        address(b->AXIawvalid, true, b->AXIawaddr, b->AXIawlen, b->AXIawuser, b->AXIawsize, b->AXIawburst);
        counts[BOTH] += b->AXIarvalid && b->AXIawvalid;
        if (!bursts.empty()) {
            if (fresh && bursts.front().first) sum = 0;
            fresh = false;
            serves = sum + num >= 8 * den;
        } else serves = false;
        b->AXIarready = 1, b->AXIawready = 1;
        b->AXIwready = serves && bursts.front().write;
        bool there = !reads.empty() && reads.front().due <= cycle;
        b->AXIrvalid = there, b->AXIrdata = there ? reads.front().data : 0xdeadbeefdeadbeef;
        b->AXIrlast = there && reads.front().last, b->AXIrresp = there && reads.front().bad ? DECERR : 0;
        bool answered = !answers.empty() && answers.front().due <= cycle;
        b->AXIbvalid = answered, b->AXIbresp = answered && answers.front().bad ? DECERR : 0;
        b->eval();
    }
    template <class Block> void step(Block* b) {
        if (b->AXIrvalid && b->AXIrready) reads.pop_front();
        else counts[HELD] += b->AXIrvalid;
        if (b->AXIbvalid && b->AXIbready) answers.pop_front();
        counts[EARLY] += b->AXIwvalid && offered <= 0;
        if (!bursts.empty()) {
            Burst& head = bursts.front();
            if (serves && head.write && !b->AXIwvalid) counts[LATE]++;  // this cycle is lost
            else {
                sum += num;
                if (serves) sum -= 8 * den, beat(b, head);
            }
        }
        cycle++;
    }
    void address(bool valid, bool write, uint64_t at, uint64_t length, bool first, int size_, int burst) {
        if (!valid) return;
        counts[BURSTS]++;
        uint64_t end = at + 8 * length;
        counts[CROSSING] += at % 8 != 0 || at / 2048 != end / 2048 || size_ != 3 || burst != 1;
        bool bad = at < base || end + 8 > base + size;
        if (bad) counts[BEYOND]++, at = base;
        bursts.push_back({write, first, bad, (at - base) / 8, length + 1});
        if (write) offered += length + 1;
    }
    template <class Block> void beat(Block* b, Burst& head) {
        bool last = head.left == 1;
        if (head.write) {
            if (!head.bad) words[head.at] = b->AXIwdata;
            counts[UNLIKE] += b->AXIwlast != last || b->AXIwstrb != 255;
            offered--;
            if (last) answers.push_back({cycle + ANSWER, head.bad});
        } else {
            reads.push_back({cycle + latency, head.bad ? 0 : words[head.at], last, head.bad});
        }
        head.at++, head.left--;
        if (last) bursts.pop_front(), fresh = true;
    }
};
"""


def dram_text(prefix: str = PREFIX) -> str:
    """C++ of `struct Dram`, for a block whose ports of AXI have this prefix; `counts` are in the order of `COUNTS`."""
    counts = f"enum {{ {', '.join(name.upper() for name in COUNTS)}, COUNT }};"
    names = f"{counts} enum {{ ANSWER = {ANSWER}, DECERR = {DECERR} }};"
    return DRAM.replace("AXI", Port(prefix, 1, True).member).replace("COUNT_NAMES", names)


def blamed(counts: Sequence[int]) -> dict[str, int]:
    """What went wrong, of a model's counts."""
    return {name: int(count) for name, count in zip(COUNTS, counts, strict=True) if count and name != "bursts"}
