"""The examples that the user gave: arrays, a data set, a data set in shards, or several of them."""
