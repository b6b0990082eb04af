"""The core: hardware that carries out the programs that the simulator times (see `rtl/README.md`)."""
