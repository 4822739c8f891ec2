"""What is behind AsyncClient: all on its loop."""
