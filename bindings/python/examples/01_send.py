"""Send one message and wait for its ack.

Run: python 01_send.py http://manager:8083 my_group my_stream "the payload"
"""

from __future__ import annotations

import sys

from inlong_dataproxy import Client, InlongError


def main() -> int:
    url, group_id, stream_id, payload = sys.argv[1:5]
    try:
        # Making the client asks the Manager for the group's nodes and proves one connection.
        with Client(url, group_id=group_id) as client:
            result = client.send(payload, stream_id=stream_id)
    except InlongError as error:
        print(f"not sent: {error}", file=sys.stderr)
        return 1
    print(f"acked by {result.node} after {result.attempts} attempt(s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
