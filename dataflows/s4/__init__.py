"""The compiler for cards of bank-sparse chips."""
