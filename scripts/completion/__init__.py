"""What scripts/completions.py writes: the app as a shell sees it, and a writer a shell."""
