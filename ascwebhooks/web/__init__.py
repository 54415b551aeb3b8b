"""HTTP in: decode a request, call a service."""
