"""Figures that others published or measured, each with its source.

Nothing is fitted to them but two efficiencies of the A100, to one row of `gpu_measured.csv` that `a100.yaml` names.
"""

from pathlib import Path

PUBLISHED = Path(__file__).parent
