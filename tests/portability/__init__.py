"""What macOS and the BSDs lack, taken away from crontify on Linux: `pytest --hide all`."""
