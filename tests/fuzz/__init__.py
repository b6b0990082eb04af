"""Thousands of spoiled inputs through the program, each held against the same rules: `make fuzz`.

`python -m tests.fuzz` prints its seed and the counts of each kind (accepted, refused, failed); of every failure it
prints the kind, the seed of the input, how to run that input alone, and what was seen. `--seed random` draws a fresh
seed. `cases` holds inputs that once did harm, by name; they are run besides.

A new kind is a function of ten lines in a module of `inputs`: it draws with Hypothesis, writes into a folder, and
returns what is to be run there.

    @kind("settings", share=600)
    def settings(draw: Draw, folder: Path) -> Input:
        return step("--set", draw(words()))

A server process imports the program once and forks a child for every input, so an input costs a tenth of a second.
"""
