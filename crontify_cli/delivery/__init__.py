"""How reports arrive: the API, what its answers mean, the journal, the outbox, recovery."""
