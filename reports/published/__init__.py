"""Figures that others published or measured, each with its source. Nothing is fitted to them."""

from pathlib import Path

PUBLISHED = Path(__file__).parent
