"""The console that texts for a terminal are made with."""

from rich.console import Console


def wide_console() -> Console:
    """A console that never cuts a table short where nobody looks at a terminal."""
    console = Console(highlight=False, soft_wrap=True)
    return console if console.is_terminal else Console(highlight=False, soft_wrap=True, width=200)
