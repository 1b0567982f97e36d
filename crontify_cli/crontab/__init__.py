"""Crontabs on bytes: read, checked, wrapped, unwrapped and written back."""
