"""Whole stacks, driven from outside as users do. A package, so that the stack that its tests share ends with them."""
