"""Celery in: decode a message, call a service."""
