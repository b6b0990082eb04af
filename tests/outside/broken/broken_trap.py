"""A class that fails in its own way when it is made."""


class Trap:
    def __init__(self) -> None:
        raise ValueError("not today")
