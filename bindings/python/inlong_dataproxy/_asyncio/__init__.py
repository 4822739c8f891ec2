"""The parts of AsyncClient, all on its loop."""
