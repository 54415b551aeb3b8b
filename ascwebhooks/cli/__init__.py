"""Click commands, one module a noun."""
