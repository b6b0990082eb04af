"""Two readers of one program: `events` (SimPy, every command an event) and `maxplus` (jumps over what repeats)."""
