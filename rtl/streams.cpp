// Runs back to back through the compiled array: words offered and sums taken stream by stream, with gaps if wanted.
// WEST, NORTH, SEEDS, RESULTS: the ports of every row or column, {&valid, &ready, &payload, sizeof payload}.
#include <algorithm>
#include <cstring>
#include <vector>

struct Ports {
    uint8_t *valid, *ready;
    void* payload;
    size_t bytes;
};
struct Side {  // streams side by side: words[stream][number][64-bit words of one]
    uint64_t count, bits, longest, *words, *lengths;
};
struct Luck {  // xorshift64*, so that the same seed gives the same gaps
    uint64_t state, gaps;
    bool waits() {
        if (!gaps) return false;
        state ^= state >> 12, state ^= state << 25, state ^= state >> 27;
        return ((state * 2685821657736338717ull) >> 56) < gaps;
    }
};
struct Offered {  // what goes into the streams of one side
    std::vector<Ports> ports;
    const Side& side;
    std::vector<uint64_t> at;
    Offered(std::vector<Ports> ports, const Side& side) : ports(std::move(ports)), side(side), at(side.count) {}
    void offer(Luck& luck) {
        size_t size = (side.bits + 63) / 64;
        for (size_t i = 0; i < side.count; i++) {
            if (*ports[i].valid || at[i] == side.lengths[i] || luck.waits()) continue;
            memcpy(ports[i].payload, side.words + (i * side.longest + at[i]) * size, std::min(ports[i].bytes, 8 * size));
            *ports[i].valid = 1;
        }
    }
    void note(std::vector<char>& goes) {  // before the clock's edge
        goes.resize(side.count);
        for (size_t i = 0; i < side.count; i++) goes[i] = *ports[i].valid && *ports[i].ready;
    }
    void go_on(const std::vector<char>& goes) {  // after it
        for (size_t i = 0; i < side.count; i++)
            if (goes[i]) *ports[i].valid = 0, at[i]++;
    }
    bool done() const { return std::equal(at.begin(), at.end(), side.lengths); }
};
struct Counted {
    uint64_t values[6];
    explicit Counted(Vblock* b) {
        uint32_t words[6] = {};
        memcpy(words, &b->counters, std::min(sizeof words, sizeof b->counters));
        std::copy(words, words + 6, values);
        values[5] &= 0xFF;
    }
};

// runs: how many, 2 x 64 bits each. ends: sums of a column after each run. times: the cycle in which each run's last sum
// was taken, counted from the first run's acceptance. counted: the counters of each run. prime: cycles before the first
// run is offered. patience: cycles that a run may wait. Returns all cycles until the array is idle, -1 after `limit` cycles, -2 for a sum too many, or -3 for
// an array that has stopped with an error.
extern "C" int64_t stream(
    Vblock* b, uint64_t runs, uint64_t* run, Side* west, Side* north, Side* seed, uint64_t wanted, uint64_t* sums,
    uint64_t* ends, uint64_t* times, uint64_t* counted, uint64_t prime, uint64_t limit, uint64_t patience,
    uint64_t luck_seed, uint64_t gaps) {
    Luck luck{luck_seed | 1, gaps};
    Offered sides[3] = {{WEST(b), *west}, {NORTH(b), *north}, {SEEDS(b), *seed}};
    std::vector<Ports> results = RESULTS(b);
    size_t columns = results.size(), bytes = results[0].bytes;
    std::vector<uint64_t> got(columns);
    std::vector<char> goes[3];
    uint64_t left = columns * wanted, offered = 0, ended = 0;
    int64_t accepted = -1;
    b->patience = patience;
    Counted last(b);
    uint64_t begun = last.values[0] == 0;  // counters start again with a run: with the first one too, if they stand
    for (uint64_t cycle = 0; cycle < limit; cycle++) {
        for (auto& each : sides) each.offer(luck);
        b->run___05Fvalid = offered < runs && cycle >= prime;
        if (b->run___05Fvalid) memcpy(&b->run___05Fpayload, run + 2 * offered, sizeof b->run___05Fpayload);
        for (auto& each : results) *each.ready = !luck.waits();
        b->eval();
        Counted now(b);
        if (now.values[0] < last.values[0] && begun++) std::copy(last.values, last.values + 6, counted + 6 * (begun - 2));
        last = now;
        if (now.values[5]) {
            std::copy(now.values, now.values + 6, counted);
            return -3;
        }
        bool accepts = b->run___05Fvalid && b->run___05Fready;
        for (size_t i = 0; i < 3; i++) sides[i].note(goes[i]);
        for (size_t i = 0; i < columns; i++)
            if (*results[i].valid && *results[i].ready) {
                if (got[i] == wanted) return -2;
                sums[i * wanted + got[i]] = 0;
                memcpy(sums + i * wanted + got[i]++, results[i].payload, bytes);
                left--;
            }
        while (ended < runs && *std::min_element(got.begin(), got.end()) >= ends[ended]) times[ended++] = cycle - accepted;
        bool over = offered == runs && b->idle && !left && sides[0].done() && sides[1].done() && sides[2].done();
        edge(b);
        if (accepts && !offered++) accepted = cycle;
        if (over) {
            std::copy(now.values, now.values + 6, counted + 6 * (runs - 1));
            return cycle - accepted;
        }
        for (size_t i = 0; i < 3; i++) sides[i].go_on(goes[i]);
    }
    return -1;
}
