"""Compiled kernels: numba's, whose code is kept from run to run, and is checked before any of it is loaded.

numba keeps code as pickles, beside the module or in the user's cache, and loads whatever lies there. Here every file
begins with a digest, and counts only where nobody else can have written it; a damaged one is compiled again. Where
nothing can be kept, kernels live in memory for the run.
"""

import inspect
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from pickle import loads
from typing import Any, TypeVar

from numba import njit
from numba.core.caching import (
    CompileResultCacheImpl,
    FunctionCache,
    IndexDataCacheFile,
    InTreeCacheLocator,
    UserProvidedCacheLocator,
)

from workloads.files.cache import is_trusted, lasting_folder
from workloads.terminal import Forgiving, note

Kernel = TypeVar("Kernel", bound=Callable[..., Any])
DIGEST_BYTES = 32


def compiled(nogil: bool = False, inner: bool = False) -> Callable[[Kernel], Kernel]:
    """The decorator of a kernel. nogil: whether other threads may run beside it. inner: whether kernels alone call it,
    so that it compiles without what Python would need for a call.
    """

    def make(function: Kernel) -> Kernel:
        kernel: Any = njit(nogil=nogil, no_cpython_wrapper=inner, no_cfunc_wrapper=inner)(function)  # type: ignore[call-overload]
        with suppress(RuntimeError, OSError):  # numba's word for no place to keep it; a module that is no file
            kernel._cache = _Kept(function)
        made: Kernel = kernel
        return made

    return make


@cache
def _say_once() -> None:
    """That it takes a while, once a process. Only the command says so: a library prints nothing."""
    if isinstance(sys.stderr, Forgiving):
        note("compiling for this machine, once; this takes some seconds")


class _UserCache(UserProvidedCacheLocator):
    """A place below the user's caches, for an installation that cannot be written."""

    def __init__(self, function: Callable[..., Any], file: str) -> None:
        super().__init__(function, file)
        folder = lasting_folder("kernels")
        if folder is None:
            raise OSError("nothing can be kept")
        self._cache_path = str(folder / self.get_suitable_cache_subpath(file))

    @classmethod
    def from_function(cls, function: Callable[..., Any], file: str) -> "_UserCache | None":
        try:
            found = cls(function, file)
            found.ensure_cache_path()
        except OSError:
            return None
        return found


class _Places(CompileResultCacheImpl):
    """Where numba looks for a place: where the user says ($NUMBA_CACHE_DIR), beside the module, the user's caches."""

    _locator_classes = [UserProvidedCacheLocator, InTreeCacheLocator, _UserCache]  # noqa: RUF012 - numba's own kind


class _Kept(FunctionCache):
    """A kernel's code on disk."""

    _impl_class = _Places

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        files = self._cache_file
        self._cache_file = _Files(files._cache_path, self._impl.filename_base, files._source_stamp)
        self._cache_file.installer = Path(inspect.getfile(function)).stat().st_uid

    def load_overload(self, signature: object, target: object) -> object:
        found: object = super().load_overload(signature, target)
        if found is None:
            _say_once()
        return found

    def save_overload(self, signature: Any, code: Any) -> None:
        with suppress(OSError):  # a full disk costs time at the next run, and nothing else
            super().save_overload(signature, code)


class _Files(IndexDataCacheFile):
    """The files of one kernel, each a digest and a pickle. installer: who owns the module itself, and is trusted."""

    installer = 0

    def _load_index(self) -> dict[Any, str]:
        content = self._checked(Path(self._index_path))
        if content is None:
            return {}
        version, stamp, overloads = loads(content)
        return overloads if (version, stamp) == (self._version, self._source_stamp) else {}

    def _save_index(self, overloads: dict[Any, str]) -> None:
        self._keep(Path(self._index_path), self._dump((self._version, self._source_stamp, overloads)))

    def _load_data(self, name: str) -> object:
        content = self._checked(Path(self._data_path(name)))
        return None if content is None else loads(content)

    def _save_data(self, name: str, data: object) -> None:
        self._keep(Path(self._data_path(name)), self._dump(data))

    def _keep(self, path: Path, content: bytes) -> None:
        with self._open_for_write(str(path)) as file:
            os.fchmod(file.fileno(), 0o644)  # what others could write is not loaded
            file.write(sha256(content).digest() + content)

    def _checked(self, path: Path) -> bytes | None:
        """The pickle in a file; None where it is not there, is damaged, or may be somebody else's."""
        with suppress(OSError), path.open("rb") as file:
            if is_trusted(os.fstat(file.fileno()), self.installer):
                content = file.read()
                digest, rest = content[:DIGEST_BYTES], content[DIGEST_BYTES:]
                return rest if sha256(rest).digest() == digest else None
        return None
