"""The threads of Client."""
