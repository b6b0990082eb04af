"""A module that fails in its own way when it is imported."""

CHAOS = {}["chaos"]
