"""Many threads on scratchpads: the fabric's input language and its event model."""
