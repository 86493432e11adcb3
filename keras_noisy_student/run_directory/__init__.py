"""What a run leaves on disk, and what one that is started again finds there."""
