"""The recorder: says what happened. Moves lives, frees bookings, learns run times, makes reports."""
