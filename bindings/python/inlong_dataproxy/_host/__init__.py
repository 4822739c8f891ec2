"""The process around the package: forks, its end, Ctrl-C, the interpreter."""
