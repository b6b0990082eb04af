// Words of 32 bits: of LANES copies at once (lanes), and of one (single). Ports are members, as those of Verilator.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

struct VerilatedContext {};  // the harness makes one for every block
template <size_t N> struct Wide {
    uint32_t m_storage[N]{};
    uint32_t& operator[](size_t at) { return m_storage[at]; }
};
template <class T> inline uint32_t take(const T& from, size_t word) { return uint32_t(uint64_t(from) >> 32 * word); }
template <size_t N> inline uint32_t take(const Wide<N>& from, size_t word) { return from.m_storage[word]; }
template <class T> inline void give(T& to, size_t word, uint32_t value) {
    to = T((uint64_t(to) & ~(uint64_t(0xffffffff) << 32 * word)) | uint64_t(value) << 32 * word);
}
template <size_t N> inline void give(Wide<N>& to, size_t word, uint32_t value) { to.m_storage[word] = value; }

constexpr size_t LANES = 8;
constexpr size_t lanes_for(size_t copies) { return (copies + LANES - 1) / LANES * LANES; }

namespace lanes {
typedef uint32_t W __attribute__((vector_size(4 * LANES)));
typedef uint32_t Loose __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int32_t Truth __attribute__((vector_size(4 * LANES)));
inline W load(const uint32_t* from) { return (W)*(const Loose*)from; }
inline void store(uint32_t* to, W value) { *(Loose*)to = (Loose)value; }
inline W one(Truth truth) { return (W)truth & 1u; }
inline W same(W a, uint32_t b) { return (W)(a == b); }
inline W choose(W which, W a, W b) { return a ^ ((a ^ b) & -which); }
template <size_t TOTAL> inline W fetch(const uint32_t* from, W at) {
    W out;
    for (size_t lane = 0; lane < LANES; lane++) out[lane] = from[at[lane] * TOTAL + lane];
    return out;
}
template <size_t TOTAL> inline void keep(uint32_t* to, W which, W at, W value) {
    for (size_t lane = 0; lane < LANES; lane++)
        if (which[lane]) to[at[lane] * TOTAL + lane] = value[lane];
}
}  // namespace lanes

namespace single {
typedef uint32_t W;
inline W load(const uint32_t* from) { return *from; }
inline void store(uint32_t* to, W value) { *to = value; }
inline W one(bool truth) { return truth; }
inline W same(W a, uint32_t b) { return -W(a == b); }
inline W choose(W which, W a, W b) { return which ? b : a; }
template <size_t TOTAL> inline W fetch(const uint32_t* from, W at) { return from[at]; }
template <size_t TOTAL> inline void keep(uint32_t* to, W which, W at, W value) {
    if (which) to[at] = value;
}
}  // namespace single
