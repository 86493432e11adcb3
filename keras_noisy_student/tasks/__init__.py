"""Tasks: what a target is."""
