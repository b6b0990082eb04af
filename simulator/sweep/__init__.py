"""Sweeps: many design points, each run once, on one machine or a cluster. What a point gives is the caller's to say."""
