"""The one exception a user's mistake ends in."""

import difflib
import re
from collections.abc import Iterable

KEPT = "\n\t"
LONG = re.compile(r"\S{400,}")  # a word that nobody reads to its end; of a longer path both ends show


class UserError(Exception):
    """A mistake in what the user gave. The command prints it as one sentence and exits with code 2.

    >>> str(unknown_name("model", "resnet81", ["resnet18", "vgg19"]))
    "unknown model 'resnet81'; did you mean 'resnet18'? (known: resnet18, vgg19)"
    """

    def __str__(self) -> str:
        return plain(LONG.sub(lambda word: f"{word[0][:200]}[...]{word[0][-60:]}", super().__str__()))


def plain(text: str) -> str:
    """The text with everything escaped that a terminal would obey or that turns the order of letters round.

    >>> plain("layer\\x1b[31m")
    'layer\\\\x1b[31m'
    """
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() or letter in KEPT else letter.encode("unicode_escape").decode()
        for letter in text
    )


def unknown_name(what: str, given: str, known: Iterable[str], where: str = "") -> UserError:
    """The error for a name that is not in a list: says where, what is allowed and the nearest match."""
    names = sorted(known)
    near = difflib.get_close_matches(given, names, n=1) or [name for name in names if name.lower() == given.lower()]
    place = f"{where}: " if where else ""
    hint = f"; did you mean '{near[0]}'?" if near else ""
    allowed = ", ".join(names) if names else "(none)"
    return UserError(f"{place}unknown {what} '{given}'{hint} (known: {allowed})")
