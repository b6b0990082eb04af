"""A method put on a torch model: its layers stay what they are, and FF, BP and WU of each use operands of their own."""
