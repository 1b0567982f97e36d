"""What is said of a run, and how it reaches the server."""
