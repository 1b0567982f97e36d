"""The documented API on loopback, for trying jobs without an account."""
