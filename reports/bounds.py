"""What bounds a product on a fabric, and when more chips make it slower and why: from what the run counted."""

from collections.abc import Mapping

from reports.losses import ratio
from simulator.card_parts import Json
from simulator.fabric.outcome import Spent

SATURATED = 0.75  # a resource used for this share of the run is the bound
RESOURCES = {
    "pipeline": "instruction issue",
    "scratchpad": "scratchpad banks",
    "atomic": "atomic engines",
    "memory": "memory bandwidth",
    "network": "core ports",
    "link": "chip links",
    "dma": "DMA engines",
}
SHOWN = {"memory": "DRAM", "network": "core ports", "link": "chip links", "dma": "DMA engines"}
WAITS = {
    Spent.ISSUE: "instructions of single threads",
    Spent.LATENCY: "instruction latency",
    Spent.PIPELINE: "instruction issue",
    Spent.SCRATCHPAD: "scratchpad latency",
    Spent.ATOMIC: "atomic latency",
    Spent.MEMORY: "memory latency",
    Spent.NETWORK: "core ports",
    Spent.DMA: "DMA transfers",
    Spent.SERIAL: "serial parts",
    Spent.IDLE: "imbalance",
}


def bound(used: Mapping[str, float], thread_time: Mapping[str, float]) -> str:
    """What holds a run: a resource in use most of it, otherwise the two things its threads spend most time on."""
    name = _busiest(used)
    if used[name] >= SATURATED:
        return f"{RESOURCES[name]} {used[name]:.0%}"
    most = sorted(Spent, key=lambda each: -thread_time.get(each.value, 0.0))[:2]
    return ", ".join(f"{WAITS[each]} {thread_time[each.value]:.0%}" for each in most)


def bound_text(fabric: Json) -> str:
    """The same in sentences, with what threads at work wait for and how much DRAM, network and DMA engines are used.

    fabric: the run card's part on the product.
    """
    used, name = fabric["used"], _busiest(fabric["used"])
    shares = {each: fabric["thread_time"].get(each.value, 0.0) for each in Spent}
    idle = shares.pop(Spent.IDLE)
    cause = max(shares, key=lambda each: shares[each])
    work = (
        f"{_waits(cause, shares[cause], fabric)}, {ratio(shares[cause], 1 - idle):.0%} of the time of threads at work"
    )
    if used.get(name, 0.0) >= SATURATED:
        said = f"{RESOURCES[name]}, in use {used[name]:.0%} of the run"
    elif idle > shares[cause]:
        said = f"imbalance ({idle:.0%} of the threads' time is without work), then by {work}"
    else:
        said = work
    return (
        f"Bound by {said}. In use: {', '.join(f'{words} {used.get(each, 0.0):.1%}' for each, words in SHOWN.items())}."
    )


def _busiest(used: Mapping[str, float]) -> str:
    return max(RESOURCES, key=lambda each: used.get(each, 0.0))


def _waits(cause: Spent, share: float, fabric: Json) -> str:
    """In words. Time on memory is the latency of loads, or, where other threads' accesses delay them, bandwidth."""
    if cause is not Spent.MEMORY:
        return WAITS[cause]
    if 2 * fabric["load_time"] < share:
        return RESOURCES["memory"]
    own, one = fabric["chips"][0]["load_cycles"], min(each["load_cycles"] for each in fabric["chips"])
    flying = "one" if fabric["loads_in_flight"] == 1 else fabric["loads_in_flight"]
    return f"{'remote ' if own > 2 * one else ''}loads, {flying} in flight a thread (latency)"


def chips_text(fabric: Json) -> str:
    """When more chips make a product slower, and why: the run's own number of chips beside one, or one beside two."""
    few, many = sorted(fabric["chips"][:2], key=lambda each: each["chips"])
    place, other = ("here", "there") if many is fabric["chips"][0] else ("there", "here")
    waited = "each" if fabric["loads_in_flight"] == 1 else f"one in {fabric['loads_in_flight']}"
    return (
        f"Addresses are spread over all chips: a load takes {few['load_cycles']:,} cycles on {few['chips']} and "
        f"{many['load_cycles']:,} on {many['chips']}, and a thread waits for {waited}. To take as long, this product "
        f"needs about {many['at_work']:,.0f} of {many['threads']:,} threads at work on average {place} and "
        f"{few['at_work']:,.0f} of {few['threads']:,} {other}. More chips make it slower unless they keep "
        f"{ratio(many['at_work'], few['at_work']):.2f} times as many threads at work."
    )
