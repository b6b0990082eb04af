"""A zoo of models written by others: what is recorded of each, held against a count that the recorder has no part in."""
