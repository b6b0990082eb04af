"""Tiles of a product as the array takes them: the host's half of the hardware.

Test benches, exported golden vectors and boards use it alike.
"""

from rtl.tiles.output_stationary import output_stationary_tile
from rtl.tiles.tile import Tile, check_pattern
from rtl.tiles.weight_stationary import folds_of, weight_stationary_tile

__all__ = ["Tile", "check_pattern", "folds_of", "output_stationary_tile", "weight_stationary_tile"]
