"""What is made of an instance for a destination, after it was acknowledged: other encodings of the same data set."""
