"""Spawning, relaying and recording a job: standard library only."""
