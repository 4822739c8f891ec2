"""Send one message and wait for its ack.

Run: python 01_send.py [--auth ID:KEY] http://manager:8083 my_group my_stream "the payload"

Since 2.4 a Manager wants credentials. In the environment, as INLONG_BASIC_AUTH, no other user of the machine sees them.
"""

from __future__ import annotations

import os
import sys

from inlong_dataproxy import Client, InlongError


def main() -> int:
    arguments, auth = sys.argv[1:], os.environ.get("INLONG_BASIC_AUTH", "")
    if arguments[:1] == ["--auth"]:
        auth, arguments = arguments[1], arguments[2:]
    url, group_id, stream_id, payload = arguments
    try:
        # Making the client asks the Manager for the group's nodes and proves one connection.
        with Client(url, group_id=group_id, basic_auth=auth) as client:
            result = client.send(payload, stream_id=stream_id)
    except InlongError as error:
        print(f"not sent: {error}", file=sys.stderr)
        return 1
    print(f"acked by {result.node} after {result.attempts} attempt(s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
