// send.js - each line of standard input becomes a message. Node, through koffi: npm install koffi
//     LD_LIBRARY_PATH=... node send.js http://manager:8083 my_group my_stream < lines
const koffi = require("koffi");
const { readFileSync } = require("fs");
const lib = koffi.load("libinlong_dataproxy.so.0.1");
koffi.opaque("inlong_options");
koffi.opaque("inlong_client");
const Message = koffi.struct("inlong_message", { struct_size: "size_t", group_id: "str", group_id_len: "size_t", stream_id: "str",
    stream_id_len: "size_t", payload: "const uint8_t *", payload_len: "size_t", attributes: "void *", attribute_count: "size_t",
    time_ms: "int64_t", user: "void *", item_attributes: "void *", item_attribute_count: "size_t" });
const Result = koffi.struct("inlong_result", { struct_size: "size_t", code: "int32_t", server_code: "int32_t", persisted: "int32_t",
    retriable: "int32_t", attempts: "int32_t", reserved: "int32_t", user: "intptr_t", count: "uint64_t", node: koffi.array("char", 128),
    batch_id: koffi.array("char", 64), text: koffi.array("char", 512), server_message: koffi.array("char", 256) });
const optionsNew = lib.func("inlong_options *inlong_options_new(void)");
const optionsSet = lib.func("int inlong_options_set(inlong_options *, const char *, const char *, void *, size_t)");
const optionsFree = lib.func("void inlong_options_free(inlong_options *)");
const clientNew = lib.func("int inlong_client_new(inlong_options *, _Out_ inlong_client **, void *, size_t)");
const send = lib.func("int inlong_client_send_async(inlong_client *, const inlong_message *, void *, intptr_t)");
const poll = lib.func("int inlong_client_poll(inlong_client *, _Inout_ inlong_result *, int, int64_t)");
const close = lib.func("int inlong_client_close(inlong_client *, int64_t, void *)");
const lastError = lib.func("const char *inlong_last_error(void)");
const must = (code) => { if (code !== 0) { console.error(lastError()); process.exit(1); } };

const [url, group, stream] = process.argv.slice(2), options = optionsNew(), out = [null];
const wanted = { url, group_id: group, basic_auth: process.env.INLONG_BASIC_AUTH, block_if_queue_is_full: "true" };
for (const [key, value] of Object.entries(wanted))
    if (value) must(optionsSet(options, key, value, null, 0));
must(clientNew(options, out, null, 0));
optionsFree(options);
const client = out[0], result = { struct_size: koffi.sizeof(Result) };
let waiting = 0, acked = 0, failed = 0;
const take = (timeout) => { // one result, if there is one in time
    if (poll(client, result, 1, timeout) !== 1) return false;
    waiting--;
    if (result.code === 0) acked++; else { failed++; console.error(`line ${result.user}: ${result.text}`); }
    return true;
};
readFileSync(0, "utf8").split("\n").forEach((line, i) => {
    if (line === "") return;
    const payload = Buffer.from(line);
    const code = send(client, { struct_size: koffi.sizeof(Message), stream_id: stream, payload, payload_len: payload.length }, null, i + 1);
    if (code === 0) waiting++; else { failed++; console.error(`line ${i + 1}: ${lastError()}`); } // refused: no result follows
    while (take(0));
});
while (waiting > 0 && take(60000));
close(client, 5000, null);
console.log(`${acked} acked, ${failed + waiting} failed`);
process.exit(failed + waiting ? 1 : 0);
