"""What hardware in the loop said of a step, in sentences."""

from collections.abc import Sequence

from simulator.card_parts import Json

MEANING = (
    "Confirmed are values, bit for bit, and array cycles at the size of the array in the loop; never DRAM or anything "
    "else around the array. Shapes are those of the step, reductions cut short where they are long; values are a small "
    "real step's sampled blocks, repeated to the shape, those of another layer where a layer has none."
)

CORE_MEANING = (
    "Confirmed are the results of whole products as they lie in DRAM, bit for bit, and all their cycles, those that "
    "wait for DRAM too: the core loads its operands, turns or sorts them, multiplies, and stores. The DRAM is a model "
    "that serves in order at the machine's bandwidth and latency. Values are a small real step's sampled blocks, "
    "repeated to the shape, or drawn where the work has none."
)


def meaning(card: Json) -> str:
    """What the word confirmed means."""
    return CORE_MEANING if card["hardware"] == "core" else MEANING


def hil_sentences(card: Json) -> list[str]:
    """The run in a few sentences. `card` is the `hil` part of a result's card."""
    if card["hardware"] == "core":
        return _core_sentences(card)
    tiles, agree = card["tiles"], card["confirmed_tiles"]
    where = {"sim": "the compiled RTL", "link": "a virtual board"}.get(card["hardware"], card["hardware"])
    shares = card["confirmed_share_of_array_cycles"]
    phases = ", ".join(f"{phase} {share:.1%}" for phase, share in shares.items() if phase != "step")
    out = [
        f"{agree} of {tiles} tiles agree with the models on {where} ({card['array']}): {card['bits']:,} bits compared, "
        f"{card['wrong_bits']:,} wrong; {card['tiles_with_other_cycles']} tiles with other cycles "
        f"({card['hardware_cycles']:,} array cycles run).",
        f"They are of classes (layer, phase, dataflow, pattern) that take {shares['step']:.1%} of the step's modelled "
        f"array cycles ({phases}). Of {card['operands']:,} operands "
        f"{_share(card['nonzero_operands'], card['operands'])} were not zero; {card['own_values_tiles']} tiles had "
        "their own layer's values.",
    ]
    if card["resumed_tiles"]:
        out.append(f"{card['resumed_tiles']} tiles had been run before this command went on.")
    if card["unconfirmed_tiles"]:
        out.append(
            f"{card['unconfirmed_tiles']} tiles are not confirmed: no answer that can be believed. "
            "The same command tries these again, and only these."
        )
    if card["first_difference"]:
        out.append(f"The first that is not confirmed: {card['first_difference']}.")
    return [*out, *_lanes(card["lanes"]), *_link(card["link"])]


def _core_sentences(card: Json) -> list[str]:
    """Whole products, and what the core's array waited for."""
    products, agree, share = card["tiles"], card["confirmed_tiles"], card["confirmed_share_of_array_cycles"]["step"]
    waits = [both for each in card["waits"] for both in each["buffers"].values()]
    other = sum(hardware != simulated for hardware, simulated in waits)
    out = [
        f"{agree} of {products} products agree with the models on the core ({card['array']}): {card['bits']:,} bits of "
        f"results compared, {card['wrong_bits']:,} wrong; {card['tiles_with_other_cycles']} products with other cycles "
        f"({card['hardware_cycles']:,} cycles run). Their classes take {share:.1%} of the step's array cycles.",
        f"The array could have begun but for a slot in {sum(hardware for hardware, _ in waits):,} cycles, counted for "
        f"each buffer; {other} of {len(waits)} of these counts are not the simulator's.",
    ]
    if card["first_difference"]:
        out.append(f"The first that is not confirmed: {card['first_difference']}.")
    return out


def _lanes(blocks: Sequence[Json]) -> list[str]:
    """What SORE and WUVE made of sampled weights, gradients and states."""
    out = []
    for lane, said in (("SORE", "masks of sampled weights"), ("WUVE", "updates of sampled weights")):
        mine = [each for each in blocks if each["lane"] == lane]
        if not mine:
            continue
        agree, ties = sum(each["status"] == "confirmed" for each in mine), sum(each["ties"] for each in mine)
        bits, wrong_bits = sum(each["bits"] for each in mine), sum(each["wrong_bits"] for each in mine)
        cut = f"; {ties:,} groups with a tie at the cut" if lane == "SORE" else ""
        wrong = next((each for each in mine if each["difference"]), None)
        first = f"; the first that is not: {wrong['layer']} {wrong['what']}: {wrong['difference']}" if wrong else ""
        out.append(
            f"{lane}: {agree} of {len(mine)} {said} are training's own, {bits:,} bits, {wrong_bits:,} wrong"
            f"{cut}{first}."
        )
    return out


def _link(link: Json) -> list[str]:
    moved = link["sent"] + link["received"]
    if not moved:
        return []
    seconds = max(float(link["seconds"]), 1e-9)
    return [
        f"The link moved {moved / 1e6:,.2f} MB in {seconds:,.1f} s ({moved / seconds / 1e3:,.0f} kB/s, the hardware's "
        f"own time included), {_share(link['payload'], moved)} of it commands and replies; {link['repeated']} times "
        f"frames were sent again, {link['damaged']} came damaged, {link['sessions']} sessions."
    ]


def _share(part: float, whole: float) -> str:
    return f"{part / whole:.0%}" if whole else "none"
