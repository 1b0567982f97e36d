"""The commands that people type, built with Typer."""
