"""Results of the library on their way to whoever waits for them."""
