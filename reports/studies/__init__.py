"""Many runs, a table and a plot: `simulate study NAME`, each found by its entry point."""
