"""What is behind Client: its threads."""
