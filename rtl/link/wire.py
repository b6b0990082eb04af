"""The wire to a board: bytes out, bytes in, by pyserial, which also reads URLs such as socket://host:port."""

import select
from abc import ABC, abstractmethod
from io import RawIOBase
from typing import final

from serial import SerialException, serial_for_url

from workloads.errors import UserError

FAILURES = (SerialException, OSError, ValueError)  # of pyserial


class LinkLost(Exception):
    """Nobody is there any more, or somebody else is; a sentence, without the place."""


class Wire(ABC):
    """Bytes to and from a board. Raises LinkLost where it breaks."""

    @abstractmethod
    def write(self, data: bytes) -> None: ...

    @abstractmethod
    def read(self, seconds: float) -> bytes:
        """What has come, waiting for at most so long for the first byte."""

    @abstractmethod
    def close(self) -> None: ...


@final
class SerialWire(Wire):
    """A port of this machine or a URL of pyserial's. Raises UserError when it cannot be opened."""

    def __init__(self, url: str, baud: int) -> None:
        alone = {} if "://" in url else {"exclusive": True}
        try:
            self._port = serial_for_url(url, baudrate=baud, timeout=0, write_timeout=2, **alone)
        except FAILURES as error:
            raise UserError(f"{url}: cannot be opened: {_said(error)}") from None
        self._file = _file_of(self._port)

    def write(self, data: bytes) -> None:
        try:
            self._port.write(data)
        except FAILURES as error:
            raise LinkLost(f"the connection broke: {_said(error)}") from None

    def read(self, seconds: float) -> bytes:
        try:
            if self._file is None:
                self._port.timeout = seconds
                return bytes(self._port.read(1) + self._port.read(self._port.in_waiting))
            if not select.select([self._file], [], [], seconds)[0]:
                return b""
            return bytes(self._port.read(1 << 14))
        except (*FAILURES, AttributeError, TypeError) as error:
            raise LinkLost(f"the connection broke: {_said(error)}") from None

    def close(self) -> None:
        inner = getattr(self._port, "_socket", None)
        self._port.close()
        if inner is not None:
            inner.close()  # pyserial leaves it open when the other side was the first to go


def _file_of(port: RawIOBase) -> int | None:
    """What can be waited on; not every URL has it."""
    try:
        return int(port.fileno())
    except (AttributeError, OSError):
        return None


def _said(error: BaseException) -> str:
    return str(getattr(error, "strerror", None) or error).strip().rstrip(".")
