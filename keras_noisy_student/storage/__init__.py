"""Files that are complete or absent, and that tell when they were damaged. All through `tf.io.gfile`."""
