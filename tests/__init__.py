import os

# Otherwise each program that a test starts would compile our modules anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
