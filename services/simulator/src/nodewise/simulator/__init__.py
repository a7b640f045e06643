"""What would happen: discrete events around the very code that decides in production."""
