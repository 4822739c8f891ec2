"""Send many messages without waiting for each, and look at every result.

Run: python 02_send_async.py [--auth ID:KEY] http://manager:8083 my_group my_stream 1000

Since 2.4 a Manager wants credentials. In the environment, as INLONG_BASIC_AUTH, no other user of the machine sees them.
"""

from __future__ import annotations

import os
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
    arguments, auth = sys.argv[1:], os.environ.get("INLONG_BASIC_AUTH", "")
    if arguments[:1] == ["--auth"]:
        auth, arguments = arguments[1], arguments[2:]
    url, group_id, stream_id, count = arguments
    acked = failed = 0
    with Client(url, group_id=group_id, basic_auth=auth) as client:
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
