# send.rb - each line of standard input becomes a message. Ruby, through fiddle, which comes with it.
#     LD_LIBRARY_PATH=... ruby send.rb http://manager:8083 my_group my_stream < lines
require "fiddle/import"

module Inlong
  extend Fiddle::Importer
  dlload "libinlong_dataproxy.so.0.1"
  Message = struct ["size_t struct_size", "char *group_id", "size_t group_id_len", "char *stream_id", "size_t stream_id_len", "char *payload",
                    "size_t payload_len", "void *attributes", "size_t attribute_count", "long long time_ms", "void *user",
                    "void *item_attributes", "size_t item_attribute_count"]
  Result = struct ["size_t struct_size", "int code", "int server_code", "int persisted", "int retriable", "int attempts", "int reserved",
                   "uintptr_t user", "size_t count", "char node[128]", "char batch_id[64]", "char text[512]", "char server_message[256]"]
  extern "void *inlong_options_new()"
  extern "int inlong_options_set(void *, char *, char *, void *, size_t)"
  extern "void inlong_options_free(void *)"
  extern "int inlong_client_new(void *, void *, void *, size_t)"
  extern "int inlong_client_send_async(void *, void *, void *, uintptr_t)"
  extern "int inlong_client_poll(void *, void *, int, long long)"
  extern "int inlong_client_close(void *, long long, void *)"
  extern "char *inlong_last_error()"
end

def must(code) = code == 0 || abort(Inlong.inlong_last_error.to_s)

url, group, stream = ARGV
options = Inlong.inlong_options_new
{ "url" => url, "group_id" => group, "basic_auth" => ENV["INLONG_BASIC_AUTH"], "block_if_queue_is_full" => "true" }.compact.each do |key, value|
  must Inlong.inlong_options_set(options, key, value, nil, 0)
end
out = Fiddle::Pointer.malloc(Fiddle::SIZEOF_VOIDP, Fiddle::RUBY_FREE)
must Inlong.inlong_client_new(options, out, nil, 0)
Inlong.inlong_options_free(options)
client = out.ptr
message, result = Inlong::Message.malloc(Fiddle::RUBY_FREE), Inlong::Result.malloc(Fiddle::RUBY_FREE)
[[message, Inlong::Message], [result, Inlong::Result]].each do |struct, type|
  struct.to_ptr[0, type.size] = "\0" * type.size
  struct.struct_size = type.size
end
message.stream_id = stream
waiting = acked = failed = 0
take = lambda do |timeout| # one result, if there is one in time
  next false unless Inlong.inlong_client_poll(client, result, 1, timeout) == 1
  waiting -= 1
  result.code == 0 ? acked += 1 : (failed += 1) && warn("line #{result.user}: #{result.text.pack("c*").unpack1("Z*")}")
  true
end
STDIN.each_line(chomp: true).with_index(1) do |line, number|
  next if line.empty?
  message.payload, message.payload_len = line, line.bytesize
  if Inlong.inlong_client_send_async(client, message, nil, number) == 0
    waiting += 1
  else # refused: no result follows
    failed += 1
    warn "line #{number}: #{Inlong.inlong_last_error}"
  end
  nil while take.(0)
end
nil while waiting > 0 && take.(60_000)
Inlong.inlong_client_close(client, 5000, nil)
puts "#{acked} acked, #{failed + waiting} failed"
exit failed + waiting == 0
