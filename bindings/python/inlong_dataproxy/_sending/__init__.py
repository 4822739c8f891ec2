"""Messages on their way into the library, for threads and asyncio alike."""
