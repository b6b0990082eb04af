"""Training methods: which operand each keeps sparse, and its masks. One file a method; none imports torch by itself."""
