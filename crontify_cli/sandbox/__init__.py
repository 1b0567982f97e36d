"""A local server with the documented API, for trying jobs without an account."""
