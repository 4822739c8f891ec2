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
    """Upper bound of the frames that one write to a connection joins; at most 64 KiB are joined on purpose, and one longer frame
    is always whole. Default 8M; 1K to 1G.
    """

    read_buffer_size: Size
    """Upper bound of one answer, of which 64 KiB are always allowed; a connection that announces a longer one is closed;
    allocated as used. Default 1M; 1K to 1G.
    """

    socket_send_buffer_size: Size
    """SO_SNDBUF of a connection; the kernel may hold it lower. Default 8M; 1K to 1G."""

    socket_recv_buffer_size: Size
    """SO_RCVBUF of a connection; the kernel may hold it lower. Default 1M; 1K to 1G."""

    buffer_pool_size: int
    """Upper bound of the buffers that the client keeps for re-use. Default 409600; 1 to 1073741824."""

    byte_pool_size: int
    """Upper bound of the byte slices that the client's own byte pool keeps for re-use. Default 409600; 1 to 1073741824."""

    byte_pool_width: Size
    """Length of the byte slices of the client's own byte pool; default max(4096, batching_max_size). 1 to 1G."""

    metrics_name: str
    """Label "name" of the client's metrics; clients of one registry with one name share their series. Default dataproxy-go."""

    metrics_streams: int
    """Streams that are counted by themselves, the first that are sent to, in the data_proxy_stream_ metrics; the others are
    counted together, as stream "other"; 0 means that nothing is counted by stream. Default 0; 0 to 10000.
    """

    worker_num: int
    """Number of lanes: connections, spread evenly over the nodes. Default 8; 1 to 1024."""

    send_timeout: Duration
    """Total delivery deadline of a message, from its acceptance to its result, over all attempts; messages of a batch share that
    of its first, so that one may end earlier by as much as BatchingMaxPublishDelay. Bulk sends have no more in flight than is
    acked in a quarter of it, and in half of ack_timeout. Default 30s; 1ms to 24h.
    """

    max_retries: int
    """Attempts after the first that may have been written and had no answer, or an error answer other than "not now" (1, 2, 114,
    116 to 119); 0 means none; waiting for a node that will take the message is no attempt: the deadline alone bounds it.
    Default 2; 0 to 1000.
    """

    batching_max_publish_delay: Duration
    """Linger: the longest time a batch stays open for more messages; 0 sends each message at once. Default 20ms; 0s to 1m."""

    batching_max_messages: int
    """Messages that fill a batch. Default 50; 1 to 32767."""

    batching_max_size: Size
    """Bytes that fill a batch; a single longer message travels alone. Default 40K; 16 to 16M."""

    max_pending_messages: int
    """Messages without a result of the streams of one worker, whose callbacks run one after the other, so that one that is stuck
    leaves the others their room; the client holds at most worker_num times as many. Where several streams share, one of them
    holds at most seven eighths. Default 204800; 1 to 8388608.
    """

    block_if_queue_is_full: bool
    """When the bound of pending messages or bytes is reached: wait (true) or fail with "queue full" (false); 10 ms later open
    batches that hold such room leave before their linger is over. So it is where bulk sends have as much in flight as they
    may, see send_timeout. Default False.
    """

    add_columns: Mapping[str, str]
    """Attributes added to every batch, such as __addcol1__worldid=7, 4 KiB together at most; the value {{ip}} becomes the local
    IP.
    """

    max_conn_lifetime: Duration
    """A connection is drained and replaced after this time, with 10 % jitter; 0 means never, otherwise 10ms or more. Default 0s;
    0s or more.
    """

    retry_on_server_error: bool
    """False: error answers that another node may cure (1, 2, 114 to 119) are retried; true: all but those that can never
    succeed. Default False.
    """

    retry_initial_interval: Duration
    """back-off before the second attempt; doubles with jitter, capped at 10 s, and at 1 s while nodes answer "not now". Default
    100ms; 1ms to 1m.
    """

    max_pending_bytes: Size
    """Memory that messages without a result take, with all that the client keeps beside them, for the whole client; a quarter of
    it is dealt out to the workers, and each keeps its part of that, whatever the others hold. Default 256M; 1K to 512G.
    """

    ack_timeout: Duration
    """A connection with frames in flight is closed, and its batches go elsewhere, when no answer in order came for this time;
    while answers come, a frame may wait longer, up to its message's deadline, but not on a node that is left because others
    are much faster; unless set, a third of send_timeout where that is less. Default 10s; 10ms to 1h.
    """

    ordered: bool
    """Messages of one group and stream arrive at the node in the order of sending, through retries; costs one batch in flight a
    stream, and a batch ends where the attributes change. Default False.
    """

    static_nodes: Union[str, Sequence[str]]
    """host:port of DataProxy nodes to use instead of asking a Manager; of a host name every address is tried, in random order."""

    node_cache: FilePath
    """File that keeps the last good node list: the client starts with it at once, and asks the Manager afterwards."""

    manager_timeout: Duration
    """Bound of one question to the Manager, over all its addresses: one that is silent is asked again within it. Default 10s;
    10ms to 10m.
    """

    lazy_start: bool
    """The client is there at once, before the Manager was asked; messages wait for the first usable lane until their deadline.
    Default False.
    """

    basic_auth: Union[str, tuple[str, str]]
    """secretId:secretKey for the Manager; empty: its requests are not signed."""

    ca_file: FilePath
    """PEM file of the authorities that may sign the Manager's certificate, and with node_tls the nodes', instead of the
    system's; read again for each connection.
    """

    basic_auth_file: FilePath
    """File with secretId:secretKey for the Manager, instead of basic_auth; read again for each request, so that a new secret
    needs no restart.
    """

    client_cert_file: FilePath
    """PEM file of the client's certificate, which the Manager, and with node_tls what stands before the nodes, may ask for; with
    client_key_file; read again for each connection.
    """

    client_key_file: FilePath
    """PEM file of that certificate's key."""

    socks: str
    """host:port of a SOCKS5 proxy through which nodes are reached; it looks up their names. The Manager is asked through what
    HTTPS_PROXY names.
    """

    socks_auth: Union[str, tuple[str, str]]
    """user:password for that proxy, 255 bytes or less each."""

    node_tls: bool
    """Speak TLS with the nodes: with a proxy before them that ends it, since a DataProxy speaks none; verified against ca_file
    or the system's authorities. Default False.
    """

    node_tls_name: str
    """Name that the certificate of each node must have with node_tls; empty: the node's host, as the Manager or static_nodes has
    it.
    """

    compression: Literal["none", "snappy"]
    """Compression of batches; bodies of 256 bytes or less are never compressed. Default snappy; none or snappy."""

    message_format: Literal["text", "binary"]
    """Frame type of batches: text (5) or binary (7). Default text; text or binary."""

    max_frame_size: Size
    """Longest frame; a Manager's maxPacketLength lowers it further; a message that does not fit is refused as too long. Default
    512K; 1K to 20M.
    """

    heartbeat_interval: Duration
    """A connection that sent nothing for this time sends a heartbeat; a node closes after 60 s at the earliest. Default 30s;
    10ms to 50s.
    """

    spool_dir: FilePath
    """Folder in which each batch is stored before it is sent, and kept until it is acked; what is left there by a client that is
    gone is sent by the next one. It may be shared by clients and processes of one machine; made, with mode 0700, where there
    is none. Empty: nothing is stored.
    """

    spool_max_bytes: Size
    """Bound of what the client stores; beyond it batches are kept in memory alone, as without spool_dir. Default 1G; 1M to
    1024G.
    """

    spool_after: Duration
    """A batch is sent at once, and stored only when it has no result this long after it was sealed, or at a close: a healthy
    cluster costs no disk, and a crash can lose what is younger. 0: stored before it is sent; otherwise 10ms or more, and less
    than send_timeout. Default 0s; 0s to 1h.
    """

    spool_sync: Literal["off", "interval", "batch"]
    """Off: what is stored outlives the end of the process; interval: all but the last spool_sync_interval a power cut too;
    batch: all of it, each batch waits for an fsync, which many of them share. Default off; off or interval or batch.
    """

    spool_sync_interval: Duration
    """Time between two fsyncs with spool_sync=interval. Default 1s; 10ms to 1h."""

    spool_result: Literal["acked", "stored"]
    """Acked: a message has its result when it is acked, as without spool_dir; stored: success as soon as it is stored, and a
    close does not wait for the ack. What cannot be stored has its result as with acked. Default acked; acked or stored.
    """

    spool_max_age: Duration
    """What was stored longer ago is given up: removed, counted and logged; 0 means never, otherwise 1s or more. Default 0s; 0s
    or more.
    """

    trim_trailing_newline: bool
    """Cut one newline off the end of a payload, as the existing Go SDK does. Default False."""

    auth: Optional[Auth]
    """Signs the requests to the Manager: called with the group before each, on a thread of its own, it returns the value of the
    header Authorization, or a tuple of name and value of another header. What it raises is logged, and fails the request,
    which waits for it for manager_timeout at most. It excludes basic_auth and basic_auth_file.
    """
