"""The command `simulate`: one file a sub-command, heavy imports inside functions."""
