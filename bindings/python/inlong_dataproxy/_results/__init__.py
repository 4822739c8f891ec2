"""Results of the library on their way to anyone who waits for them."""
