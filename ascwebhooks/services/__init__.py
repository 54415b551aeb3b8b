"""Use cases: what happens in what order, and where a transaction ends."""
