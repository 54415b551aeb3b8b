"""PostgreSQL and Valkey: every statement, every key."""
