"""The keyword arguments of Client, for type checkers and editors. Made by generate_options.py: do not edit."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Literal, Optional, TypedDict, Union

from .auth import Auth

Duration = Union[float, timedelta, str]
"""Seconds, a timedelta, or a text with its unit such as "20ms"."""
Size = Union[int, str]
"""Bytes, or a text that ends in K, M or G (KiB, MiB, GiB)."""
FilePath = Union[str, "os.PathLike[str]"]


class Options(TypedDict, total=False):
    """The keyword arguments of Client beside url and group_id."""

    update_interval: Duration
    """Time between two requests for the node list, with 10 % jitter. Default 5m; 10ms to 24h."""

    conn_timeout: Duration
    """Time in which a connection must open and answer its first heartbeat; also NewClient's wait for the first connection.
    Default 3s; 10ms to 1m.
    """

    write_buffer_size: Size
    """Upper bound of the frames that are joined in one write to a connection; at most 64 KiB are joined on purpose, and a longer
    frame is never split. Default 8M; 1K to 1G.
    """

    read_buffer_size: Size
    """Upper bound of one answer; 64 KiB are always allowed, and a connection that announces more is closed. The memory is
    allocated when it is needed. Default 1M; 1K to 1G.
    """

    socket_send_buffer_size: Size
    """SO_SNDBUF of a connection; the kernel may use a smaller one. Default 8M; 1K to 1G."""

    socket_recv_buffer_size: Size
    """SO_RCVBUF of a connection; the kernel may use a smaller one. Default 1M; 1K to 1G."""

    buffer_pool_size: int
    """How many buffers the client keeps for reuse at most. Default 409600; 1 to 1073741824."""

    byte_pool_size: int
    """How many byte slices the client's own byte pool keeps for reuse at most. Default 409600; 1 to 1073741824."""

    byte_pool_width: Size
    """Length of the byte slices of the client's own byte pool; default max(4096, batching_max_size). 1 to 1G."""

    metrics_name: str
    """Label "name" of the client's metrics; clients with the same name in one registry share their series. Default dataproxy-go."""

    metrics_streams: int
    """How many streams have series of their own in the data_proxy_stream_ metrics, in the order in which they are first sent to;
    the others are counted together, as stream "other". 0: nothing is counted by stream. Default 0; 0 to 10000.
    """

    worker_num: int
    """Number of lanes, which are connections spread evenly over the nodes. Default 8; 1 to 1024."""

    send_timeout: Duration
    """Delivery deadline of a message, over all attempts: the time from its acceptance to its result. The messages of a batch
    share the deadline of the first one, so a message may expire up to batching_max_publish_delay early. Bulk sends keep no
    more in flight than is acked in a quarter of this time, and in half of ack_timeout. Default 30s; 1ms to 24h.
    """

    max_retries: int
    """How often a batch is retried after an attempt that may have been written and had no answer, or had an error answer other
    than "not now" (1, 2, 114, 116 to 119); 0 means never. Waiting for a node that takes the message is no attempt: only the
    deadline limits it. Default 2; 0 to 1000.
    """

    batching_max_publish_delay: Duration
    """Linger: the longest time for which a batch stays open for more messages; 0 sends each message at once. Default 20ms; 0s to
    1m.
    """

    batching_max_messages: int
    """Number of messages at which a batch is full. Default 50; 1 to 32767."""

    batching_max_size: Size
    """Number of bytes at which a batch is full; a longer message travels alone. Default 40K; 16 to 16M."""

    max_pending_messages: int
    """How many messages without a result one worker holds for its streams; the client holds at most worker_num times as many. A
    worker whose callback is stuck leaves the others their room. Where several streams share a worker, each holds at most
    seven eighths of it. Default 204800; 1 to 8388608.
    """

    block_if_queue_is_full: bool
    """What a send does when max_pending_messages or max_pending_bytes is reached: wait (true) or fail with "queue full" (false).
    After 10 ms of waiting, open batches that hold the room are sent before their linger is over. Bulk sends also wait, or
    fail, at the limit described at send_timeout. Default False.
    """

    add_columns: Mapping[str, str]
    """Attributes that are added to every batch, such as __addcol1__worldid=7, at most 4 KiB together; the value {{ip}} is
    replaced by the local IP.
    """

    max_conn_lifetime: Duration
    """A connection is drained and replaced after this time, with 10 % jitter. 0 means never, otherwise 10ms or more. Default 0s;
    0s or more.
    """

    retry_on_server_error: bool
    """False: error answers that another node may cure (1, 2, 114 to 119) are retried; true: all but those that can never
    succeed. Default False.
    """

    retry_initial_interval: Duration
    """back-off before the second attempt; it doubles with jitter, up to 10 s, or up to 1 s while nodes answer "not now". Default
    100ms; 1ms to 1m.
    """

    max_pending_bytes: Size
    """How much memory messages without a result take in the whole client, with everything that the client keeps for them. A
    quarter of it is divided among the workers: each keeps its part of that, whatever the others hold. Default 256M; 1K to
    512G.
    """

    ack_timeout: Duration
    """A connection with frames in flight is closed, and its batches go elsewhere, when no answer in order comes for this time.
    While answers come, a frame may wait longer, up to its message's deadline, except on a node that is left because others
    are much faster. The default is a third of send_timeout if that is less. Default 10s; 10ms to 1h.
    """

    ordered: bool
    """Messages of one group and stream arrive at the node in the order of sending, also when they are retried. The cost: a
    stream has one batch in flight at a time, and a batch ends where the attributes change. Default False.
    """

    static_nodes: Union[str, Sequence[str]]
    """host:port of DataProxy nodes to use instead of asking a Manager; all addresses of a host name are tried, in random order."""

    node_cache: FilePath
    """File that keeps the last good node list: the client starts with this list at once and asks the Manager afterwards."""

    manager_timeout: Duration
    """Time limit of one request for the node list, over all addresses of the Manager; one that does not answer is asked again
    within it. Default 10s; 10ms to 10m.
    """

    lazy_start: bool
    """NewClient returns at once, before the Manager was asked; messages wait for the first usable lane until their deadline.
    Default False.
    """

    basic_auth: Union[str, tuple[str, str]]
    """secretId:secretKey for the Manager; empty: requests carry no credentials."""

    ca_file: FilePath
    """PEM file of the authorities that may sign the Manager's certificate, and with node_tls also the nodes', instead of the
    system's; it is read again for each connection.
    """

    basic_auth_file: FilePath
    """File with secretId:secretKey for the Manager, instead of basic_auth; it is read again for each request, so a new secret
    needs no restart.
    """

    client_cert_file: FilePath
    """PEM file of the client's certificate, for a Manager that asks for one, and with node_tls for a proxy before the nodes; it
    needs client_key_file. It is read again for each connection.
    """

    client_key_file: FilePath
    """PEM file of the key of the client's certificate."""

    socks: str
    """host:port of a SOCKS5 proxy through which nodes are reached; the proxy looks up their names. The Manager is asked through
    the proxy that HTTPS_PROXY names.
    """

    socks_auth: Union[str, tuple[str, str]]
    """user:password for the SOCKS5 proxy, 255 bytes or less each."""

    node_tls: bool
    """Use TLS to the nodes. A DataProxy has no TLS, so a proxy before it must end it; its certificate is verified against
    ca_file or the system's authorities. Default False.
    """

    node_tls_name: str
    """Name that the certificate of each node must have with node_tls; empty: the node's host, as the Manager or static_nodes
    lists it.
    """

    compression: Literal["none", "snappy"]
    """How batches are compressed; bodies of 256 bytes or less never are. Default snappy; none or snappy."""

    message_format: Literal["text", "binary"]
    """Frame type of batches: text (5) or binary (7). Default text; text or binary."""

    max_frame_size: Size
    """Length of the longest frame; the Manager's maxPacketLength can lower it further. A message that does not fit is refused as
    too long. Default 512K; 1K to 20M.
    """

    heartbeat_interval: Duration
    """A connection that sent nothing for this time sends a heartbeat; a node closes after 60 s at the earliest. Default 30s;
    10ms to 50s.
    """

    spool_dir: FilePath
    """Folder in which each batch is stored before it is sent, and kept until it is acked. What a client has left there is sent
    by the next one. Clients and processes of one machine may share it. It is created with mode 0700. Empty: nothing is
    stored.
    """

    spool_max_bytes: Size
    """How much the client stores at most; beyond that, batches are kept only in memory, as without spool_dir. Default 1G; 1M to
    1024G.
    """

    spool_after: Duration
    """A batch is sent at once, and stored only if it has no result after this time, or at a close. With a healthy cluster
    nothing is written to the disk; a crash can lose what is younger. 0: each batch is stored before it is sent; otherwise
    10ms or more, and less than send_timeout. Default 0s; 0s to 1h.
    """

    spool_sync: Literal["off", "interval", "batch"]
    """Off: what is stored survives the end of the process; interval: also a power cut, except for the last spool_sync_interval;
    batch: all of it does, since each batch waits for an fsync, which many batches share. Default off; off or interval or
    batch.
    """

    spool_sync_interval: Duration
    """Time between two fsyncs with spool_sync=interval. Default 1s; 10ms to 1h."""

    spool_result: Literal["acked", "stored"]
    """Acked: a message has its result when it is acked, as without spool_dir; stored: it succeeds as soon as it is stored, and a
    close does not wait for the ack. A message that cannot be stored has its result as with acked. Default acked; acked or
    stored.
    """

    spool_max_age: Duration
    """Messages that were stored longer ago are given up: removed, counted and logged. 0 means never, otherwise 1s or more.
    Default 0s; 0s or more.
    """

    trim_trailing_newline: bool
    """Remove one newline from the end of a payload, as the existing Go SDK does. Default False."""

    auth: Optional[Auth]
    """Signs the requests to the Manager: called with the group before each, on a thread of its own, it returns the value of the
    header Authorization, or a tuple of name and value of another header. What it raises is logged, and fails the request,
    which waits for it for manager_timeout at most. It excludes basic_auth and basic_auth_file.
    """
