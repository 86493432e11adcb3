"""Video: clips as data, and networks for them."""

__all__: list[str] = []
