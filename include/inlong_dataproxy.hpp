/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file inlong_dataproxy.hpp
 * @brief The C++17 interface: header only, built on inlong_dataproxy.h alone.
 *
 * @code
 *     inlong::Client client(inlong::Options().url("http://manager:8083").group_id("my_group"));
 *     client.send({"my_stream", "hello"}); // returns when a DataProxy has acked it, else throws
 *     std::future<inlong::Result> later = client.send_async({"my_stream", payload});
 *     client.send_async({"my_stream", payload}, [](const inlong::Result &result) { std::puts(result.text); });
 * @endcode
 *
 * inlong_dataproxy.h describes messages, results, codes and options, and its rules hold here too. This page says what C++
 * adds.
 *
 * - Errors. Each call that can fail has two forms. `call` throws inlong::Error. `try_call` returns Expected<T>: what `call`
 *   returns, or the Error. With -fno-exceptions only `try_call` is declared. The only other exception is std::bad_alloc.
 * - Threads. Any thread may call the const members of Client and Mock at any time, during and after a close too. No other
 *   thread may use an object that is moved, assigned or destroyed. One thread at a time may use an Options object.
 * - Callbacks run on threads of the library: one at a time and in order for one stream, at the same time as those of other
 *   streams. A callable is destroyed there, after its last result. Once exit handlers run, it is not called any more and
 *   never destroyed. It may use the client; flush and close do not wait there. An exception that leaves it goes to the handler
 *   of set_callback_exception_handler, and the client continues.
 * - Views. Payload and Message hold pointers, not copies. What they point to must live until the send call returns, no
 *   longer; a temporary in the call's argument list does.
 * - With -fno-exceptions the types differ from those with exceptions (an inline namespace). Code that is built in one way cannot
 *   take objects of the other; pass get() instead.
 */
#ifndef INLONG_DATAPROXY_HPP
#define INLONG_DATAPROXY_HPP

#include "inlong_dataproxy.h"

#include "inlong_dataproxy/callback.hpp"
#include "inlong_dataproxy/error.hpp"
#include "inlong_dataproxy/message.hpp"
#include "inlong_dataproxy/mock.hpp"
#include "inlong_dataproxy/options.hpp"
#include "inlong_dataproxy/promise.hpp"
#include "inlong_dataproxy/row.hpp"

#include <functional>
#include <future>
#include <iterator>
#include <memory>
#include <new>
#include <pthread.h>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace inlong
{
inline namespace INLONG_EXCEPTION_MODE
{
namespace detail
{
/* Weak: before glibc 2.34 a program may be linked without libpthread, which the library loads. */
static decltype(::pthread_create) start_thread __attribute__((__weakref__("pthread_create")));
} // namespace detail

/** A client. Move-only. Its destructor closes it and takes as long as the option send_timeout at most; inside a callback it does
 * not wait for the close. Every call of an empty or moved-from client returns INLONG_ERR_HANDLE. */
class Client
{
  public:
    /** Makes an empty client: every call returns INLONG_ERR_HANDLE. */
    Client() noexcept = default;
    /** Leaves `other` empty. */
    Client(Client &&other) noexcept
        : handle_(std::exchange(other.handle_, nullptr)), kept_(std::move(other.kept_)), promises_(std::move(other.promises_))
    {
    }
    /** Closes the client that it held before, as the destructor does. */
    Client &operator=(Client &&other) noexcept
    {
        Client next(std::move(other)); /* in this order a move onto itself changes nothing */
        std::swap(handle_, next.handle_);
        std::swap(kept_, next.kept_);
        std::swap(promises_, next.promises_);
        return *this;
    }
    ~Client()
    {
        if (!handle_)
            return;
        int code = inlong_client_close(handle_, INLONG_NO_TIMEOUT, nullptr);
        note_close(code);
        if (code == INLONG_ERR_WORKER_BUSY && inlong_client_ready(handle_, 0) == INLONG_ERR_WORKER_BUSY)
            close_elsewhere();
    }

    /** As inlong_client_new. Blocks for the options manager_timeout and conn_timeout together at most. Copies the options. */
    static Expected<Client> try_open(const Options &options)
    {
        Client client;
        client.promises_ = std::make_shared<detail::Promises>();
        if (options.log_ || options.results_ || options.auth_) {
            client.kept_.reset(new detail::Kept);
            client.kept_->log = options.log_;
            client.kept_->results = options.results_;
            client.kept_->auth = options.auth_;
        }
        int code = inlong_client_new(options.get(), &client.handle_, nullptr, 0);
        if (code == INLONG_OK)
            return client;
        Error error = Error::last(code);
        client.note_close(INLONG_OK); /* no callback of it runs any more */
        return error;
    }

    /** Sends one message and blocks until it is acked (returns its Result) or has failed (an Error with its Result). */
    Expected<Result> try_send(const Message &message, Milliseconds timeout = no_timeout) const
    {
        Result result{};
        result.struct_size = sizeof result;
        int code = inlong_client_send(handle_, &message, timeout.count(), &result);
        if (code == INLONG_OK)
            return result;
        return result.code == code ? Error(result) : Error::last(code);
    }

    /** Accepts one message; its result goes to the callback. If this fails, the callable is destroyed and not called.
     * Blocks only with the option block_if_queue_is_full. Without it, after INLONG_ERR_QUEUE_FULL wait for results and send again.
     * */
    Status try_send_async(const Message &message, Callback callback) const
    {
        auto held = std::make_unique<Callback>(std::move(callback));
        return accepted(inlong_client_send_async(handle_, &message, detail::deliver, held.get()), held);
    }

    /** Accepts one message and returns its result as a future. Acked, failed and refused messages differ only in its code. The
     * future of a refused message is ready at once. get() does not throw. The future may outlive the client: if the close runs out
     * of time before it could deliver the result, the result is INLONG_ERR_CLOSED, INLONG_MAYBE_WRITTEN. A close that was started
     * inside a callback does not do that, since nobody learns when it ends: if a callback then runs for longer than the option
     * send_timeout, the future is never ready. Wait with a bound (wait_for) where that may happen. */
    std::future<Result> send_async(const Message &message) const
    {
        /* Send nothing first: in a forked child a thread of the parent may hold the lock of the promises for ever. */
        int code = inlong_client_send_many(handle_, nullptr, 0, nullptr, nullptr, nullptr);
        if (code != INLONG_OK) {
            std::promise<Result> refused;
            refused.set_value(detail::made_here(code, INLONG_NOT_WRITTEN, inlong_last_error()));
            return refused.get_future();
        }
        auto *pending = new detail::Pending(promises_);
        std::future<Result> future = pending->promise.get_future();
        code = inlong_client_send_async(handle_, &message, detail::keep_promise, pending);
        if (code != INLONG_OK)
            pending->settle(detail::made_here(code, INLONG_NOT_WRITTEN, inlong_last_error()));
        return future;
    }

    /** Accepts one message; its result goes with this user data to the queue for try_poll, or to the batch callback of the
     * options. */
    Status try_send_queued(const Message &message, void *user = nullptr) const
    {
        return detail::status(inlong_client_send_async(handle_, &message, nullptr, user));
    }

    /** Accepts `count` messages in order, in one call of the library, and returns count. Stops at the first that is refused:
     * error().accepted() messages are accepted, and each of those gets one result. Their user data is not used. */
    Expected<std::size_t> try_send_many(const Message *messages, std::size_t count, ManyCallback callback) const
    {
        if ((messages == nullptr && count > 0) || count > PTRDIFF_MAX / sizeof *messages) /* the library reports the fault */
            return Error::last(inlong_client_send_many(handle_, messages, count, nullptr, nullptr, nullptr));
        return send_copies(std::vector<Message>(messages, messages + count), std::move(callback));
    }
    /** Does the same for all elements of `payloads` (anything that converts to Payload), as messages of one stream. */
    template <class Range> Expected<std::size_t> try_send_many(Text stream, const Range &payloads, ManyCallback callback) const
    {
        using Element = decltype(*std::begin(payloads));
        static_assert(std::is_reference_v<Element> || std::is_same_v<Element, std::string_view> || std::is_same_v<Element, Payload>,
                      "the range makes its elements on the fly: they would be gone before they are sent");
        std::vector<Message> messages;
        for (auto &&payload : payloads)
            messages.emplace_back(stream, Payload(payload));
        return send_copies(std::move(messages), std::move(callback));
    }

    /** Takes up to `max` results from the queue and waits for the first. Returns their number, 0 if the time passed. */
    Expected<std::size_t> try_poll(Result *results, std::size_t max, Milliseconds timeout = no_timeout) const
    {
        if (results && max > 0)
            results->struct_size = sizeof *results;
        int n = inlong_client_poll(handle_, results, max > 1 << 20 ? 1 << 20 : static_cast<int>(max), timeout.count());
        return n < 0 ? Expected<std::size_t>(Error::last(n)) : static_cast<std::size_t>(n);
    }

    /** Returns a descriptor that is readable while results wait in the queue. It belongs to the client: only wait on it. */
    Expected<int> try_event_fd() const
    {
        int fd = inlong_client_event_fd(handle_);
        return fd < 0 ? Expected<int>(Error::last(fd)) : fd;
    }

    /** Makes a poll that waits, or the next one that would wait, return at once. */
    Status try_wake() const { return detail::status(inlong_client_wake(handle_)); }

    /** Drops the results that wait in the queue, and returns their number. Does not change their messages. */
    Expected<std::uint64_t> try_drop_results() const
    {
        std::int64_t n = inlong_client_drop_results(handle_);
        return n < 0 ? Expected<std::uint64_t>(Error::last(static_cast<int>(n))) : static_cast<std::uint64_t>(n);
    }

    /** Tells whether a message could be written now; with a time-out it waits for that. INLONG_ERR_NEW_CONN_FAILED says why not. */
    Status try_ready(Milliseconds timeout = Milliseconds(0)) const
    {
        return detail::status(inlong_client_ready(handle_, timeout.count()));
    }

    /** Blocks until all messages accepted before the call have their results. Inside a callback: INLONG_ERR_WORKER_BUSY. */
    Status try_flush(Milliseconds timeout = no_timeout) const
    {
        return detail::status(inlong_client_flush(handle_, timeout.count()));
    }

    /** Delivers what is pending until the time-out, fails the rest, and reports: unsent > 0 means that the time was too short.
     * No callback runs once it has returned. Inside a callback: INLONG_ERR_WORKER_BUSY, and the close has begun. A second call:
     * INLONG_ERR_HANDLE. */
    Expected<CloseReport> try_close(Milliseconds timeout = no_timeout) const
    {
        CloseReport report{};
        report.struct_size = sizeof report;
        int code = inlong_client_close(handle_, timeout.count(), &report);
        note_close(code);
        if (code == INLONG_OK || code == INLONG_ERR_CONTEXT_EXPIRED)
            return report;
        return Error::last(code);
    }

    /** Returns the counters as JSON. Does not block. */
    Expected<std::string> try_stats() const
    {
        return detail::text([this](char *to, std::size_t size) { return inlong_client_stats(handle_, to, size); });
    }

    /** Returns the metrics in the text format of Prometheus. Does not block. */
    Expected<std::string> try_metrics() const
    {
        return detail::text([this](char *to, std::size_t size) { return inlong_client_metrics(handle_, to, size); });
    }

    /** Returns the handle for calls of the C interface. The client stays its owner. */
    inlong_client *get() const noexcept { return handle_; }

#ifdef __cpp_exceptions
    /** @{ */
    /** As the try_ form above, but throws Error. */
    explicit Client(const Options &options) : Client(try_open(options).value()) {}
    Result send(const Message &message, Milliseconds timeout = no_timeout) const { return try_send(message, timeout).value(); }
    void send_async(const Message &message, Callback callback) const { try_send_async(message, std::move(callback)).value(); }
    void send_queued(const Message &message, void *user = nullptr) const { try_send_queued(message, user).value(); }
    std::size_t send_many(const Message *messages, std::size_t count, ManyCallback callback) const
    {
        return try_send_many(messages, count, std::move(callback)).value();
    }
    template <class Range> std::size_t send_many(Text stream, const Range &payloads, ManyCallback callback) const
    {
        return try_send_many(stream, payloads, std::move(callback)).value();
    }
    std::size_t poll(Result *results, std::size_t max, Milliseconds timeout = no_timeout) const
    {
        return try_poll(results, max, timeout).value();
    }
    void wake() const { try_wake().value(); }
    std::uint64_t drop_results() const { return try_drop_results().value(); }
    int event_fd() const { return try_event_fd().value(); }
    void ready(Milliseconds timeout = Milliseconds(0)) const { try_ready(timeout).value(); }
    void flush(Milliseconds timeout = no_timeout) const { try_flush(timeout).value(); }
    CloseReport close(Milliseconds timeout = no_timeout) const { return try_close(timeout).value(); }
    std::string stats() const { return try_stats().value(); }
    std::string metrics() const { return try_metrics().value(); }
/** @} */
#endif

  private:
    void note_close(int code) const noexcept
    {
        bool ended = code == INLONG_OK || code == INLONG_ERR_CONTEXT_EXPIRED || code == INLONG_ERR_INTERNAL;
        if (ended && promises_)
            promises_->forsake();
        if (code == INLONG_OK && kept_)
            kept_->quiet = true;
    }

    /* Inside a callback for log lines or credentials a close does not start: a new thread closes the client. */
    void close_elsewhere() noexcept
    {
        pthread_t thread;
        pthread_attr_t detached;
        auto *client = new (std::nothrow) Client(std::move(*this));
        if (!client || !detail::start_thread || pthread_attr_init(&detached) != 0)
            return;
        auto end = [](void *it) -> void * { return delete static_cast<Client *>(it), nullptr; };
        pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
        detail::start_thread(&thread, &detached, end, client);
        pthread_attr_destroy(&detached);
    }

    /* What the library has taken over must not be freed here. */
    template <class Held> static Status accepted(int code, std::unique_ptr<Held> &held)
    {
        if (code == INLONG_OK)
            held.release();
        return detail::status(code);
    }

    Expected<std::size_t> send_copies(std::vector<Message> messages, ManyCallback callback) const
    {
        std::size_t count = messages.size(), taken = 0;
        auto *many = new detail::Many(std::move(callback), count);
        for (std::size_t i = 0; i < count; i++)
            messages[i].user = &many->places[i];
        int code = inlong_client_send_many(handle_, messages.data(), count, detail::Many::deliver, nullptr, &taken);
        many->release(count - taken + 1);
        return code == INLONG_OK ? Expected<std::size_t>(taken) : Error::last(code).accepted(taken);
    }

    inlong_client *handle_ = nullptr;
    std::unique_ptr<detail::Kept, detail::Release> kept_;
    std::shared_ptr<detail::Promises> promises_;
};

} // namespace INLONG_EXCEPTION_MODE
} // namespace inlong

#endif
