"""Pseudo-labels: made by a teacher, stored, selected, and turned into targets."""
