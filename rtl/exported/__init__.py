"""What `simulate verilog` writes: a folder that someone can use who has nothing else."""
