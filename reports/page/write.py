"""The page of a result on disk, as `result.page(path)` writes it."""

from pathlib import Path

from reports.page.build import result_page
from reports.reporting import NOT_ASKED, check_page, put_page
from simulator.result import Result


def write(result: Result, path: Path, force: bool = False) -> None:
    """Write the page of a result, without the sensitivity, for which the step is run again.

    Raises UserError where the path is a folder, is there already, or cannot be written.
    """
    check_page(path, force)
    put_page(path, result_page(result, said=NOT_ASKED), replace=force)
