"""`simulate validate`."""


def validate() -> None:
    """Placeholder."""
