"""Training in PyTorch, and the recorder of its steps. Nothing outside this package and `models` imports torch."""
