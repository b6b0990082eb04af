"""Thousands of spoiled inputs through the program, each held against the same rules: `make fuzz`.

`python -m tests.fuzz` prints its seed and the counts of each kind (accepted, refused, failed); of every failure it
prints the kind, the seed of the input, how to run that input alone, and what was seen. `--seed random` draws a fresh
seed. Inputs that once did harm have a name (`case`) and are run besides, unless with `--no-cases`.

A new kind is a function of ten lines in a module of `inputs`: it draws with Hypothesis, writes into a folder, and
returns what is to be run there.

    @kind("settings", share=600)
    def settings(draw: Draw, folder: Path) -> Input:
        return Input(("--gemm", "64x64x64", "--set", draw(words()), "--out", "r"))

A server process imports the program once and forks a child for every input, so an input costs a tenth of a second.
"""
