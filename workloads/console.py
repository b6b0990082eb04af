"""rich's console, with every text that comes from outside escaped."""

from typing import Any

from rich.console import Console
from rich.text import Text

from workloads.errors import plain


class PlainConsole(Console):
    """A console that escapes in every cell what a terminal would obey."""

    def render_str(self, text: str, **how: Any) -> Text:
        """A text as it is shown. It takes what rich's own takes."""
        return super().render_str(plain(text), **how)

    def on_broken_pipe(self) -> None:
        """Nobody reads any more: the command says with which exit code it ends, where rich would end the process."""
        raise BrokenPipeError


def console(error: bool = False, width: int | None = None) -> PlainConsole:
    """The console of standard output, or of standard error.

    width: of a line where nobody looks at a terminal, so that no table is cut short there; None for any width.
    """
    found = PlainConsole(stderr=error, highlight=False, soft_wrap=True)
    if found.is_terminal or width is None:
        return found
    return PlainConsole(stderr=error, highlight=False, soft_wrap=True, width=width)
