"""Send many messages without waiting for each, and look at every result.

Run: python 02_send_async.py http://manager:8083 my_group my_stream 1000
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import Future, as_completed

from inlong_dataproxy import Client, QueueFullError, Result, SendError


def send_patiently(client: Client, payload: str, stream_id: str) -> Future[Result]:
    while True:
        try:
            return client.send_async(payload, stream_id=stream_id)
        except QueueFullError:
            # The bound of pending messages: results make room. block_if_queue_is_full=True waits by itself.
            time.sleep(0.01)


def main() -> int:
    url, group_id, stream_id, count = sys.argv[1:5]
    acked = failed = 0
    with Client(url, group_id=group_id) as client:
        futures = [send_patiently(client, f"message {n}", stream_id) for n in range(int(count))]
        for future in as_completed(futures):
            try:
                future.result()
                acked += 1
            except SendError as error:
                failed += 1
                print(f"{error.name}: {error}; send it again: {error.retriable}", file=sys.stderr)
    print(f"{acked} acked, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
