// A tile through the compiled array: words offered and sums taken stream by stream, with gaps at random if wanted.
#include <vector>

template <class T> static void put(T& port, size_t at, size_t bits, const uint64_t* words) {
    T mask = bits >= 8 * sizeof(T) ? ~T(0) : ((T(1) << bits) - 1);
    port = (port & ~(mask << at)) | ((T(words[0]) & mask) << at);
}
template <size_t N> static void put(VlWide<N>& port, size_t at, size_t bits, const uint64_t* words) {
    for (size_t done = 0; done < bits;) {
        size_t to = (at + done) % 32, from = done % 64, step = std::min({bits - done, 32 - to, 64 - from});
        uint32_t mask = step == 32 ? ~0u : (1u << step) - 1;
        uint32_t part = uint32_t(words[done / 64] >> from) & mask;
        uint32_t& word = port[(at + done) / 32];
        word = (word & ~(mask << to)) | (part << to);
        done += step;
    }
}
template <class T> static uint64_t get(const T& port, size_t at, size_t bits) {
    return (uint64_t(port) >> at) & (bits == 64 ? ~0ull : (1ull << bits) - 1);
}
template <size_t N> static uint64_t get(const VlWide<N>& port, size_t at, size_t bits) {
    uint64_t out = 0;
    for (size_t bit = 0; bit < bits; bit++) out |= uint64_t(port[(at + bit) / 32] >> ((at + bit) % 32) & 1) << bit;
    return out;
}

struct Side {  // streams side by side: words[stream][number][64-bit words of one]
    uint64_t count, bits, longest, *words, *lengths;
};
struct Luck {  // xorshift64*, so that the same seed gives the same gaps
    uint64_t state, gaps;
    bool waits() {
        state ^= state >> 12, state ^= state << 25, state ^= state >> 27;
        return ((state * 2685821657736338717ull) >> 56) < gaps;
    }
};

template <class V, class P>
static void offer(V& valid, P& payload, const Side& side, std::vector<uint64_t>& at, std::vector<char>& on, Luck& luck) {
    size_t size = (side.bits + 63) / 64;
    for (size_t i = 0; i < side.count; i++) {
        if (on[i] || at[i] == side.lengths[i] || (luck.gaps && luck.waits())) continue;
        put(payload, i * side.bits, side.bits, side.words + (i * side.longest + at[i]) * size);
        uint64_t one = 1;
        put(valid, i, 1, &one);
        on[i] = 1;
    }
}
template <class V> static void taken(V& valid, const V& ready, const Side& side, std::vector<uint64_t>& at, std::vector<char>& on) {
    uint64_t zero = 0;
    for (size_t i = 0; i < side.count; i++)
        if (on[i] && get(ready, i, 1)) put(valid, i, 1, &zero), on[i] = 0, at[i]++;
}

static bool all(const Side& side, const std::vector<uint64_t>& at) {
    for (size_t i = 0; i < side.count; i++)
        if (at[i] < side.lengths[i]) return false;
    return true;
}

// Returns cycles from the run's acceptance until the last sum was taken, or -1 after `limit` cycles.
extern "C" int64_t tile(
    Vblock* b, uint64_t* run, Side* west, Side* north, Side* seed, uint64_t wanted, uint64_t* sums, uint64_t columns,
    uint64_t sum_bits, uint64_t prime, uint64_t limit, uint64_t luck_seed, uint64_t gaps) {
    Luck luck{luck_seed | 1, gaps};
    std::vector<uint64_t> west_at(west->count), north_at(north->count), seed_at(seed->count), got(columns);
    std::vector<char> west_on(west->count), north_on(north->count), seed_on(seed->count);
    uint64_t left = columns * wanted;
    int64_t accepted = -1;
    put(b->run_payload, 0, 200, run);
    for (uint64_t cycle = 0; cycle < limit; cycle++) {
        offer(b->west_valid, b->west_payload, *west, west_at, west_on, luck);
        offer(b->north_valid, b->north_payload, *north, north_at, north_on, luck);
        offer(b->seed_valid, b->seed_payload, *seed, seed_at, seed_on, luck);
        b->run_valid = accepted < 0 && cycle >= prime;
        for (size_t i = 0; i < columns; i++) {
            uint64_t ready = !(luck.gaps && luck.waits());
            put(b->result_ready, i, 1, &ready);
        }
        b->eval();
        bool accepts = b->run_valid && b->run_ready;
        auto west_ready = b->west_ready; auto north_ready = b->north_ready; auto seed_ready = b->seed_ready;
        for (size_t i = 0; i < columns; i++)
            if (get(b->result_valid, i, 1) && get(b->result_ready, i, 1)) {
                if (got[i] == wanted) return -2;  // more than there should be
                sums[i * wanted + got[i]++] = get(b->result_payload, i * sum_bits, sum_bits);
                left--;
            }
        bool over = accepted >= 0 && b->idle && !left;  // the far corner may still wait for its words
        over = over && all(*west, west_at) && all(*north, north_at) && all(*seed, seed_at);
        edge(b);
        if (accepts) accepted = cycle;
        if (over) return cycle - accepted;
        taken(b->west_valid, west_ready, *west, west_at, west_on);
        taken(b->north_valid, north_ready, *north, north_at, north_on);
        taken(b->seed_valid, seed_ready, *seed, seed_at, seed_on);
    }
    return -1;
}
extern "C" void counters(Vblock* b, uint64_t* out) {
    for (size_t i = 0; i < 5; i++) out[i] = get(b->counters, 32 * i, 32);
}
