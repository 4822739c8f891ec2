"""The native library: finding it, its functions, codes, options and log lines."""
