"""What is fuzzed: a module for kinds that belong together. Every module here is loaded by itself."""
