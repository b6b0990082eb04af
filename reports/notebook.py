"""A result as a notebook shows it: its headline and the table per phase."""

from html import escape

from reports.terminal import headline, phase_cells
from simulator.result import Result


def show(result: Result) -> str:
    """HTML of its own, every text escaped; nothing of a dense run where there is none beside the result."""
    last = None if result.dense is not None else -2
    heading, *rows = (row[:last] for row in phase_cells(result))
    head = "".join(f"<th>{escape(name)}</th>" for name in heading)
    body = "".join(f"<tr>{''.join(f'<td>{escape(text)}</td>' for text in row)}</tr>" for row in rows)
    title = f"<p>{escape(headline(result.card))}</p>"
    return f"{title}<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
