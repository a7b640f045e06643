"""What other systems' users already have, read into our own terms."""
