"""Noise: what makes the training of a student hard: input noise, model noise, and the seeds of both."""
