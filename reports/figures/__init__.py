"""Figures, one function each, one style. They need the extra `report`."""
