"""`crontify doctor`: one module for each part of the system that is checked."""
