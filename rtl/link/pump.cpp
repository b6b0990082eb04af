// Bytes into a virtual board and out of it, at its byte streams or bit by bit at the pins of a serial port.
#include <cstddef>

// A cycle: the clock falls while the inputs change, and rises when they have been seen.

// Runs until all `in` bytes are taken and the board has been quiet for `patience` cycles, or for `limit` cycles, or until
// `room` bytes came out. Returns the cycles; says how many bytes went in and came out, and whether the board is quiet.
static const uint64_t PATIENCE = 64;
struct Pumped {
    uint64_t taken, made, quiet;
};

#ifdef PINS
struct Pins {  // of the one serial port this library plays; a bit takes PINS cycles
    uint64_t out_left = 0, out_bits = ~0ull, out_count = 0, in_left = 0, in_bits = 0, in_count = 0;
};
extern "C" void* wires() { return new Pins; }
extern "C" void unwire(Pins* p) { delete p; }
extern "C" uint64_t pump(
    Vblock* b, Pins* p, const uint8_t* in, uint64_t count, uint8_t* out, uint64_t room, uint64_t limit, Pumped* done) {
    uint64_t cycle = 0, still = 0;
    done->taken = done->made = done->quiet = 0;
    for (; cycle < limit && done->made < room; cycle++) {
        if (!p->out_left && done->taken < count) {
            p->out_bits = (uint64_t(in[done->taken++]) << 1) | (1 << 9);
            p->out_left = 10, p->out_count = PINS;
        }
        b->clk = 0;
        b->rx_pin = p->out_left ? p->out_bits & 1 : 1;
        if (p->out_left && !--p->out_count) p->out_bits >>= 1, p->out_left--, p->out_count = PINS;
        b->eval();
        if (!p->in_left) {
            if (!b->tx_pin) p->in_left = 9, p->in_count = PINS + PINS / 2, p->in_bits = 0;
        } else if (!--p->in_count) {
            p->in_bits |= uint64_t(b->tx_pin) << (9 - p->in_left);
            p->in_count = PINS;
            if (!--p->in_left) {
                if (b->tx_pin) out[done->made++] = uint8_t(p->in_bits);
            }
        }
        still = b->quiet && !p->in_left && !p->out_left && done->taken == count ? still + 1 : 0;
        b->clk = 1;
        b->eval();
        if (still > PATIENCE) {
            done->quiet = 1;
            break;
        }
    }
    return cycle;
}
#else
extern "C" void* wires() { return nullptr; }
extern "C" void unwire(void*) {}
extern "C" uint64_t pump(
    Vblock* b, void*, const uint8_t* in, uint64_t count, uint8_t* out, uint64_t room, uint64_t limit, Pumped* done) {
    uint64_t cycle = 0, still = 0;
    done->taken = done->made = done->quiet = 0;
    b->tx___05Fready = 1;
    for (; cycle < limit && done->made < room; cycle++) {
        b->clk = 0;
        b->rx___05Fvalid = done->taken < count;
        b->rx___05Fpayload = done->taken < count ? in[done->taken] : 0;
        b->eval();
        bool busy = b->rx___05Fvalid || b->tx___05Fvalid || !b->quiet;
        if (b->rx___05Fvalid && b->rx___05Fready) done->taken++;
        if (b->tx___05Fvalid) out[done->made++] = b->tx___05Fpayload;
        still = busy ? 0 : still + 1;
        b->clk = 1;
        b->eval();
        if (still > PATIENCE) {
            done->quiet = 1;
            break;
        }
    }
    b->rx___05Fvalid = 0;
    return cycle;
}
#endif
