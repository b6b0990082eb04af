"""Networks written by hand in PyTorch, each with the facts a training run and a capture need."""
