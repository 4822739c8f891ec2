/* 08_raii.cpp - C++17: options, a client that closes itself, futures, callables, many messages in one call.
 *
 *     c++ -std=c++17 -Wall -Wextra -Werror 08_raii.cpp -o 08_raii -linlong_dataproxy -pthread
 *     ./08_raii http://manager:8083 my_group my_stream 1000
 */
#include <inlong_dataproxy.hpp>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

using namespace std::chrono_literals;

static int run(const inlong::Options &options, const std::string &stream, int count)
{
    /* Made before the client and so destroyed after it: callables use them until it is closed. */
    std::atomic<int> acked{0};
    std::vector<std::string> lines;
    inlong::Client client(options);

    client.send({stream, "one message, waited for"}, 5s);

    std::future<inlong::Result> later = client.send_async({stream, "one that is asked about later"});

    client.send_async({stream, "one with a callable"}, [&acked](const inlong::Result &result) {
        if (result.code == INLONG_OK)
            acked++;
        else
            std::fprintf(stderr, "failed: %s\n", result.text); /* result.persisted says whether sending again could duplicate it */
    });

    for (int i = 0; i < count; i++)
        lines.push_back("message " + std::to_string(i));
    client.send_many(stream, lines, [&](const inlong::Result &result, std::size_t i) {
        if (result.code == INLONG_OK)
            acked++;
        else
            std::fprintf(stderr, "\"%s\" failed: %s\n", lines[i].c_str(), result.text);
    });

    client.flush(10s);
    inlong::Result result = later.get();
    std::printf("asked later: %s\n", result.code == INLONG_OK ? "acked" : result.text);
    std::printf("%d acked by callables\n", acked.load());

    /* The destructor would close too. Closing by hand tells what became of all messages. */
    inlong::CloseReport report = client.close(10s);
    std::printf("%lld acked, %lld failed in all\n", (long long)report.acked, (long long)report.failed);
    return report.failed == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    /* The Manager's credentials, "id:key"; no other user of the machine sees the environment. */
    const char *auth = std::getenv("INLONG_BASIC_AUTH");
    if (argc > 2 && argv[1] == std::string("--auth")) {
        auth = argv[2];
        argv[2] = argv[0];
        argc -= 2;
        argv += 2;
    }
    if (argc != 5) {
        std::fprintf(stderr, "usage: %s [--auth ID:KEY] URL GROUP STREAM COUNT\n", argv[0]);
        return 2;
    }
    try {
        inlong::Options options;
        options.url(argv[1]).group_id(argv[2]);
        if (auth)
            options.set("basic_auth", auth);
        options.set("block_if_queue_is_full", true).set("send_timeout", 20s);
        return run(options, argv[3], std::atoi(argv[4]));
    } catch (const inlong::Error &error) {
        std::fprintf(stderr, "%s (%d): %s\n", error.name(), error.code(), error.what());
        return 1;
    }
}
