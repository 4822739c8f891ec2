<?php
// send.php - each line of standard input becomes a message. PHP 8, through its FFI.
//     LD_LIBRARY_PATH=... php -d ffi.enable=1 send.php http://manager:8083 my_group my_stream < lines
$inlong = FFI::cdef('
    typedef struct { size_t struct_size; const char *group_id; size_t group_id_len; const char *stream_id; size_t stream_id_len;
        const char *payload; size_t payload_len; const void *attributes; size_t attribute_count; int64_t time_ms; void *user;
        const void *item_attributes; size_t item_attribute_count; } inlong_message;
    typedef struct { size_t struct_size; int32_t code, server_code, persisted, retriable, attempts, reserved; intptr_t user; uint64_t count;
        char node[128]; char batch_id[64]; char text[512]; char server_message[256]; } inlong_result;
    void *inlong_options_new(void);
    int inlong_options_set(void *, const char *, const char *, char *, size_t);
    void inlong_options_free(void *);
    int inlong_client_new(void *, void **, char *, size_t);
    int inlong_client_send_async(void *, inlong_message *, void *, intptr_t);
    int inlong_client_poll(void *, inlong_result *, int, int64_t);
    int inlong_client_close(void *, int64_t, void *);
    const char *inlong_last_error(void);', 'libinlong_dataproxy.so.0.1');
$must = function (int $code) use ($inlong) { $code === 0 || exit(fprintf(STDERR, "%s\n", $inlong->inlong_last_error()) ? 1 : 1); };

[, $url, $group, $stream] = $argv;
$options = $inlong->inlong_options_new();
$wanted = ['url' => $url, 'group_id' => $group, 'basic_auth' => getenv('INLONG_BASIC_AUTH'), 'block_if_queue_is_full' => 'true'];
foreach (array_filter($wanted) as $key => $value)
    $must($inlong->inlong_options_set($options, $key, $value, null, 0));
$client = $inlong->new('void *');
$must($inlong->inlong_client_new($options, FFI::addr($client), null, 0));
$inlong->inlong_options_free($options);

/** Makes a text that C reads: it must be kept while C may do so. */
$text = function (string $from) { $made = FFI::new('char[' . strlen($from) + 1 . ']'); FFI::memcpy($made, $from, strlen($from)); return $made; };
$message = $inlong->new('inlong_message');
$message->struct_size = FFI::sizeof($message);
$id = $text($stream);
$message->stream_id = FFI::cast('char *', FFI::addr($id));
$result = $inlong->new('inlong_result');
$result->struct_size = FFI::sizeof($result);
$waiting = $acked = $failed = 0;
$take = function (int $timeout) use ($inlong, $client, $result, &$waiting, &$acked, &$failed) { // one result, if there is one in time
    if ($inlong->inlong_client_poll($client, FFI::addr($result), 1, $timeout) !== 1)
        return false;
    $waiting--;
    $result->code === 0 ? $acked++ : $failed++ + fprintf(STDERR, "line %d: %s\n", $result->user, FFI::string($result->text));
    return true;
};
for ($number = 1; ($line = fgets(STDIN)) !== false; $number++) {
    $payload = $text(rtrim($line, "\n"));
    $message->payload = FFI::cast('char *', FFI::addr($payload));
    $message->payload_len = strlen(rtrim($line, "\n"));
    if ($message->payload_len === 0)
        continue;
    if ($inlong->inlong_client_send_async($client, FFI::addr($message), null, $number) === 0)
        $waiting++;
    else // refused: no result follows
        $failed++ + fprintf(STDERR, "line %d: %s\n", $number, $inlong->inlong_last_error());
    while ($take(0));
}
while ($waiting > 0 && $take(60000));
$inlong->inlong_client_close($client, 5000, null);
printf("%d acked, %d failed\n", $acked, $failed + $waiting);
exit($failed + $waiting > 0 ? 1 : 0);
