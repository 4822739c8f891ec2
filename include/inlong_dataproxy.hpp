/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file inlong_dataproxy.hpp
 * @brief The C++17 face of inlong_dataproxy.h: header only, over the C interface alone.
 *
 * @code
 *     inlong::Client client(inlong::Options().url("http://manager:8083").group_id("my_group"));
 *     client.send({"my_stream", "hello"}); // returns when a DataProxy acked it, else throws
 *     std::future<inlong::Result> later = client.send_async({"my_stream", payload});
 *     client.send_async({"my_stream", payload}, [](const inlong::Result &result) { std::puts(result.text); });
 * @endcode
 *
 * What a message, lane, result, ... is, what each code means and which options there are stands in inlong_dataproxy.h;
 * its rules hold here too. This page says what C++ adds.
 *
 * - Errors. Each call that can fail comes twice. `call` throws inlong::Error. `try_call` returns Expected<T>: what `call`
 *   returns, or the Error. With -fno-exceptions only the second is declared. Beside Error only std::bad_alloc is thrown.
 * - Threads. Every member of Client and Mock that is const may be called from any thread at any time, also during and
 *   after a close. Moving, assigning and destroying need the object for themselves. Options: one thread at a time.
 * - Callbacks run on threads of the library: one at a time and in order for one stream, at the same time as those of other
 *   streams. A callable is destroyed there, after its last result; once exit handlers run, it is not called any more and
 *   never destroyed. It may use the client; flush and close do not wait there. An exception that leaves it goes to
 *   set_callback_exception_handler and the client continues.
 * - Views. Payload and Message hold pointers, not copies: what they point to must live until the send call returns, no
 *   longer. A temporary inside the call's own argument list does.
 * - With -fno-exceptions the types are others than with exceptions (an inline namespace): objects of the one cannot be
 *   handed to code built as the other; use get() for that.
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
/* Weak: before glibc 2.34 a program may be linked without libpthread, which the library brings to it. */
static decltype(::pthread_create) start_thread __attribute__((__weakref__("pthread_create")));
} // namespace detail

/** A client. Move-only; its destructor closes it without a time-out of its own (at most the option send_timeout), inside a callback
 * without waiting for that. An empty or moved-from one answers INLONG_ERR_HANDLE. */
class Client
{
  public:
    /** None: every call answers INLONG_ERR_HANDLE. */
    Client() noexcept = default;
    /** Leaves `other` empty. */
    Client(Client &&other) noexcept
        : handle_(std::exchange(other.handle_, nullptr)), kept_(std::move(other.kept_)), promises_(std::move(other.promises_))
    {
    }
    /** Closes what was held before, as the destructor does. */
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

    /** inlong_client_new: blocks at most the options manager_timeout and conn_timeout together. The options are copied. */
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
        client.note_close(INLONG_OK); /* nothing of it runs any more */
        return error;
    }

    /** Sends one message and blocks until it is acked (its Result) or failed (an Error with its Result). */
    Expected<Result> try_send(const Message &message, Milliseconds timeout = no_timeout) const
    {
        Result result{};
        result.struct_size = sizeof result;
        int code = inlong_client_send(handle_, &message, timeout.count(), &result);
        if (code == INLONG_OK)
            return result;
        return result.code == code ? Error(result) : Error::last(code);
    }

    /** Accepts one message; its result goes to the callback. When this fails, no callback comes and the callable is gone.
     * Blocks only with the option block_if_queue_is_full; else INLONG_ERR_QUEUE_FULL: wait for results and send again. */
    Status try_send_async(const Message &message, Callback callback) const
    {
        auto held = std::make_unique<Callback>(std::move(callback));
        return accepted(inlong_client_send_async(handle_, &message, detail::deliver, held.get()), held);
    }

    /** Accepts one message; its result comes as a future, the same way for acked, failed and refused ones: see its code. A
     * refused message's future is ready at once. get() throws nothing. The future may outlive the client: a close that is over
     * its time before the result could be handed over makes it INLONG_ERR_CLOSED, INLONG_MAYBE_WRITTEN. Not one that was begun
     * inside a callback: nobody learns of its end, and behind a callback that runs for longer than the option send_timeout the
     * future is never ready. Wait with a bound (wait_for) where that may happen. */
    std::future<Result> send_async(const Message &message) const
    {
        /* Of nothing first: in a forked child a thread of the parent may hold the lock of the promises for ever. */
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

    /** Accepts one message; its result goes to the queue for try_poll, or to the options' batch callback, with this user
     * data. */
    Status try_send_queued(const Message &message, void *user = nullptr) const
    {
        return detail::status(inlong_client_send_async(handle_, &message, nullptr, user));
    }

    /** Accepts `count` messages in order, in one call of the library, and returns count. Stops at the first that is refused:
     * error().accepted() of them are accepted, and exactly those get their result. Their user data is not used. */
    Expected<std::size_t> try_send_many(const Message *messages, std::size_t count, ManyCallback callback) const
    {
        if ((messages == nullptr && count > 0) || count > PTRDIFF_MAX / sizeof *messages) /* the library says what is wrong */
            return Error::last(inlong_client_send_many(handle_, messages, count, nullptr, nullptr, nullptr));
        return send_copies(std::vector<Message>(messages, messages + count), std::move(callback));
    }
    /** The same for all elements of `payloads` (anything of which Payload can be made) as messages of one stream. */
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

    /** Takes up to `max` results from the queue, waiting for the first; returns how many, 0 when the time passed. */
    Expected<std::size_t> try_poll(Result *results, std::size_t max, Milliseconds timeout = no_timeout) const
    {
        if (results && max > 0)
            results->struct_size = sizeof *results;
        int n = inlong_client_poll(handle_, results, max > 1 << 20 ? 1 << 20 : static_cast<int>(max), timeout.count());
        return n < 0 ? Expected<std::size_t>(Error::last(n)) : static_cast<std::size_t>(n);
    }

    /** Readable as long as results wait in the queue. The client's: only wait on it. */
    Expected<int> try_event_fd() const
    {
        int fd = inlong_client_event_fd(handle_);
        return fd < 0 ? Expected<int>(Error::last(fd)) : fd;
    }

    /** Has one poll that waits, or the next one that would, return at once. */
    Status try_wake() const { return detail::status(inlong_client_wake(handle_)); }

    /** Drops the results that wait in the queue, and returns how many. Their messages are not touched. */
    Expected<std::uint64_t> try_drop_results() const
    {
        std::int64_t n = inlong_client_drop_results(handle_);
        return n < 0 ? Expected<std::uint64_t>(Error::last(static_cast<int>(n))) : static_cast<std::uint64_t>(n);
    }

    /** Whether a message could be written now; waits for that, where a time-out is given. INLONG_ERR_NEW_CONN_FAILED says why not. */
    Status try_ready(Milliseconds timeout = Milliseconds(0)) const
    {
        return detail::status(inlong_client_ready(handle_, timeout.count()));
    }

    /** Blocks until all that was accepted before has its result. Inside a callback: INLONG_ERR_WORKER_BUSY. */
    Status try_flush(Milliseconds timeout = no_timeout) const
    {
        return detail::status(inlong_client_flush(handle_, timeout.count()));
    }

    /** Delivers what is pending until the time-out, fails the rest and reports: unsent > 0 means that the time did not
     * suffice. Behind it no callback runs. Inside a callback: INLONG_ERR_WORKER_BUSY, begun. Again: INLONG_ERR_HANDLE. */
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

    /** The counters as JSON. Does not block. */
    Expected<std::string> try_stats() const
    {
        return detail::text([this](char *to, std::size_t size) { return inlong_client_stats(handle_, to, size); });
    }

    /** The metrics in Prometheus' text format. Does not block. */
    Expected<std::string> try_metrics() const
    {
        return detail::text([this](char *to, std::size_t size) { return inlong_client_metrics(handle_, to, size); });
    }

    /** For calls of the C interface; the client stays the owner. */
    inlong_client *get() const noexcept { return handle_; }

#ifdef __cpp_exceptions
    /** @{ */
    /** As its twin above, but it throws Error. */
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
        bool through = code == INLONG_OK || code == INLONG_ERR_CONTEXT_EXPIRED || code == INLONG_ERR_INTERNAL;
        if (through && promises_)
            promises_->forsake();
        if (code == INLONG_OK && kept_)
            kept_->quiet = true;
    }

    /* Inside a callback for log lines or credentials no close is begun: a thread of its own ends the client. */
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

    /* What the library took over must not be freed here. */
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
