-- send.lua - each line of standard input becomes a message. LuaJIT, through its ffi.
--     LD_LIBRARY_PATH=... luajit send.lua http://manager:8083 my_group my_stream < lines
local ffi = require "ffi"
ffi.cdef [[
    typedef struct { size_t struct_size; const char *group_id; size_t group_id_len; const char *stream_id; size_t stream_id_len;
        const char *payload; size_t payload_len; const void *attributes; size_t attribute_count; int64_t time_ms; void *user;
        const void *item_attributes; size_t item_attribute_count; } inlong_message;
    typedef struct { size_t struct_size; int32_t code, server_code, persisted, retriable, attempts, reserved; intptr_t user; uint64_t count;
        char node[128]; char batch_id[64]; char text[512]; char server_message[256]; } inlong_result;
    void *inlong_options_new(void);
    int inlong_options_set(void *, const char *, const char *, char *, size_t);
    void inlong_options_free(void *);
    int inlong_client_new(void *, void **, char *, size_t);
    int inlong_client_send_async(void *, const inlong_message *, void *, intptr_t);
    int inlong_client_poll(void *, inlong_result *, int, int64_t);
    int inlong_client_close(void *, int64_t, void *);
    const char *inlong_last_error(void);
]]
local inlong = ffi.load "libinlong_dataproxy.so.0.1"

local function last_error() return ffi.string(inlong.inlong_last_error()) end
local function must(code)
    if code ~= 0 then io.stderr:write(last_error(), "\n") os.exit(1) end
end

local url, group, stream = ...
local options = inlong.inlong_options_new()
local wanted = { url = url, group_id = group, basic_auth = os.getenv "INLONG_BASIC_AUTH", block_if_queue_is_full = "true" }
for key, value in pairs(wanted) do must(inlong.inlong_options_set(options, key, value, nil, 0)) end
local out = ffi.new "void *[1]"
must(inlong.inlong_client_new(options, out, nil, 0))
inlong.inlong_options_free(options)
local client = out[0]
local message = ffi.new("inlong_message", { struct_size = ffi.sizeof "inlong_message", stream_id = stream })
local result = ffi.new("inlong_result", { struct_size = ffi.sizeof "inlong_result" })
local waiting, acked, failed = 0, 0, 0
local function take(timeout) -- one result, if there is one in time
    if inlong.inlong_client_poll(client, result, 1, timeout) ~= 1 then return false end
    waiting = waiting - 1
    if result.code == 0 then
        acked = acked + 1
    else
        failed = failed + 1
        io.stderr:write("line ", tonumber(result.user), ": ", ffi.string(result.text), "\n")
    end
    return true
end
local number = 0
for line in io.lines() do
    number = number + 1
    if line ~= "" then
        message.payload, message.payload_len = line, #line
        if inlong.inlong_client_send_async(client, message, nil, number) == 0 then
            waiting = waiting + 1
        else -- refused: no result follows
            failed = failed + 1
            io.stderr:write("line ", number, ": ", last_error(), "\n")
        end
        while take(0) do end
    end
end
while waiting > 0 and take(60000) do end
inlong.inlong_client_close(client, 5000, nil)
print(acked .. " acked, " .. failed + waiting .. " failed")
os.exit(failed + waiting == 0 and 0 or 1)
