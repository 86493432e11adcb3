"""The examples that the user gave: arrays, a data set, or a data set in shards."""
