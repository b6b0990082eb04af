"""Tools of others that translate hardware, in an environment in which they run."""

from collections.abc import Iterator
from contextlib import contextmanager
from os import W_OK, X_OK, access, environ
from pathlib import Path

from amaranth._toolchain.yosys import find_yosys
from amaranth.back import verilog

from workloads.files.cache import folder_of_this_run


def to_verilog(component: object, name: str, strip: bool = False) -> str:
    """The Verilog of an Amaranth component, `name` its top module. strip: whether Amaranth's own attributes go."""
    with home_for_tools():
        text: str = verilog.convert(component, name=name, emit_src=False, strip_internal_attrs=strip)
        return text


def yosys_of_amaranth(script: str) -> str:
    """What Amaranth's own Yosys prints for a script of its few passes; it is there already, and starts at once.

    `find_yosys` is no public name of Amaranth, whose version is pinned below 0.6.
    """
    with home_for_tools():
        said: str = find_yosys(lambda version: version >= (0, 40)).run(["-q", "-"], script, ignore_warnings=True)
        return said


@contextmanager
def home_for_tools() -> Iterator[None]:
    """A tool keeps what it has compiled below $HOME, and ends with a traceback where it cannot: it gets another one.

    Raises UserError where no folder can be had.
    """
    given = {name: environ.get(name) for name in ("HOME", "XDG_CACHE_HOME")}
    cache = Path(given["XDG_CACHE_HOME"] or Path(given["HOME"] or "/nowhere", ".cache"))
    if given["HOME"] and _can_be_written(cache / "wasmtime"):
        yield
        return
    environ.update(HOME=str(folder_of_this_run()), XDG_CACHE_HOME=str(folder_of_this_run()))
    try:
        yield
    finally:
        for name, value in given.items():
            environ.pop(name)
            if value is not None:
                environ[name] = value


def _can_be_written(folder: Path) -> bool:
    """Whether a folder is there and can be written; it is made, as the tool itself would."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return False
    return access(folder, W_OK | X_OK)
