"""Sub-commands of this room: light until they have work to do."""
