"""The command: it parses, calls and prints. What it calls is the library, or what an entry point names."""
