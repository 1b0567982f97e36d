"""Used by scripts/completions.py: reads the app, and writes a completion script per shell."""
