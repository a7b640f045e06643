"""What breaks while the whole stack works, and what must hold all the same."""
