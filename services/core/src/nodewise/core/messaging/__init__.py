"""Celery on Redis: the adapters that carry the messages of `nodewise.core.messages`."""
