"""How old content must be before a sweep may take it, and how its writers keep it younger."""

from datetime import timedelta
from typing import Final

GRACE: Final = timedelta(hours=24)
"""Content that was written or refreshed since is never swept: whoever wrote it has so long to put on record that he did."""

REFRESH_AFTER: Final = GRACE / 2
"""Whoever is about to write what is there already refreshes it when it is older; so it is safe for half of GRACE at least."""
