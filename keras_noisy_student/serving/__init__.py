"""Serving: a network as a file that needs neither this package nor Keras to run."""
