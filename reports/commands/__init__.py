"""The room's sub-commands: each parses, calls and prints."""
