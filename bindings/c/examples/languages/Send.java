// Send.java - each line of standard input becomes a message. Java 22 or newer, through java.lang.foreign.
//     LD_LIBRARY_PATH=... java --enable-native-access=ALL-UNNAMED Send.java http://manager:8083 my_group my_stream < lines
import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;
import java.nio.charset.StandardCharsets;

public class Send {
    static final MemorySegment NULL = MemorySegment.NULL;
    // Where the fields lie that are used here, in structs of 64-bit systems: include/inlong_dataproxy.h has them all.
    static final long MESSAGE_SIZE = 104, STREAM_ID = 24, PAYLOAD = 40, PAYLOAD_LEN = 48;
    static final long RESULT_SIZE = 1008, CODE = 8, USER = 32, TEXT = 240;
    static final SymbolLookup LIBRARY = SymbolLookup.libraryLookup("libinlong_dataproxy.so.0.1", Arena.global());

    static MethodHandle function(String name, MemoryLayout result, MemoryLayout... arguments) {
        return Linker.nativeLinker().downcallHandle(LIBRARY.find(name).orElseThrow(), FunctionDescriptor.of(result, arguments));
    }

    static final MethodHandle LAST_ERROR = function("inlong_last_error", ADDRESS);
    static final MethodHandle POLL = function("inlong_client_poll", JAVA_INT, ADDRESS, ADDRESS, JAVA_INT, JAVA_LONG);
    static MemorySegment client, result;
    static long waiting, acked, failed;

    static String lastError() throws Throwable {
        return ((MemorySegment) LAST_ERROR.invokeExact()).reinterpret(Long.MAX_VALUE).getString(0);
    }

    static void must(int code) throws Throwable {
        if (code != 0) throw new IllegalStateException(lastError());
    }

    static boolean take(long timeout) throws Throwable { // one result, if there is one in time
        if ((int) POLL.invokeExact(client, result, 1, timeout) != 1) return false;
        waiting--;
        if (result.get(JAVA_INT, CODE) == 0) acked++;
        else {
            failed++;
            System.err.println("line " + result.get(JAVA_LONG, USER) + ": " + result.getString(TEXT));
        }
        return true;
    }

    public static void main(String[] args) throws Throwable {
        MethodHandle set = function("inlong_options_set", JAVA_INT, ADDRESS, ADDRESS, ADDRESS, ADDRESS, JAVA_LONG);
        MethodHandle send = function("inlong_client_send_async", JAVA_INT, ADDRESS, ADDRESS, ADDRESS, JAVA_LONG);
        try (Arena all = Arena.ofConfined()) {
            MemorySegment options = (MemorySegment) function("inlong_options_new", ADDRESS).invokeExact();
            String[][] wanted = {{"url", args[0]}, {"group_id", args[1]}, {"basic_auth", System.getenv("INLONG_BASIC_AUTH")}, {"block_if_queue_is_full", "true"}};
            for (String[] o : wanted)
                if (o[1] != null) must((int) set.invokeExact(options, all.allocateFrom(o[0]), all.allocateFrom(o[1]), NULL, 0L));
            MemorySegment out = all.allocate(ADDRESS);
            must((int) function("inlong_client_new", JAVA_INT, ADDRESS, ADDRESS, ADDRESS, JAVA_LONG).invokeExact(options, out, NULL, 0L));
            Linker.nativeLinker().downcallHandle(LIBRARY.find("inlong_options_free").orElseThrow(), FunctionDescriptor.ofVoid(ADDRESS)).invokeExact(options);
            client = out.get(ADDRESS, 0);
            MemorySegment message = all.allocate(MESSAGE_SIZE, 8); // zero
            message.set(JAVA_LONG, 0, MESSAGE_SIZE);
            message.set(ADDRESS, STREAM_ID, all.allocateFrom(args[2]));
            result = all.allocate(RESULT_SIZE, 8);
            result.set(JAVA_LONG, 0, RESULT_SIZE);
            BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
            long number = 0;
            for (String line; (line = lines.readLine()) != null; ) {
                number++;
                if (line.isEmpty()) continue;
                try (Arena one = Arena.ofConfined()) {
                    MemorySegment payload = one.allocateFrom(line);
                    message.set(ADDRESS, PAYLOAD, payload);
                    message.set(JAVA_LONG, PAYLOAD_LEN, payload.byteSize() - 1); // without the zero at its end
                    if ((int) send.invokeExact(client, message, NULL, number) == 0) waiting++;
                    else { // refused: no result follows
                        failed++;
                        System.err.println("line " + number + ": " + lastError());
                    }
                }
                while (take(0)) ;
            }
            while (waiting > 0 && take(60_000)) ;
            must((int) function("inlong_client_close", JAVA_INT, ADDRESS, JAVA_LONG, ADDRESS).invokeExact(client, 5000L, NULL));
        }
        System.out.println(acked + " acked, " + (failed + waiting) + " failed");
        System.exit(failed + waiting == 0 ? 0 : 1);
    }
}
