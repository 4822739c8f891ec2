/* SPDX-License-Identifier: Apache-2.0
 * callback.hpp - part of inlong_dataproxy.hpp, which says what holds for all of it: callables that receive results. */
#ifndef INLONG_DATAPROXY_CALLBACK_HPP
#define INLONG_DATAPROXY_CALLBACK_HPP

#include "error.hpp"

#include <atomic>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace inlong
{
inline namespace INLONG_EXCEPTION_MODE
{

/** Receives an exception that left a callback, on the callback's thread. It must not throw. The process has one handler; nullptr,
 * the default, drops exceptions. With -fno-exceptions it is never called. */
using ExceptionHandler = void (*)(std::exception_ptr);

namespace detail
{
inline std::atomic<ExceptionHandler> exception_handler{nullptr};

template <class Callable, class... Arguments> void call(const Callable &callable, Arguments &&...arguments) noexcept
{
    if constexpr (std::is_constructible_v<bool, const Callable &>)
        if (!callable)
            return;
#ifdef __cpp_exceptions
    try {
        callable(std::forward<Arguments>(arguments)...);
    } catch (...) {
        if (ExceptionHandler handler = exception_handler.load())
            handler(std::current_exception());
    }
#else
    callable(std::forward<Arguments>(arguments)...);
#endif
}

} // namespace detail

/** Sets the handler of the process and returns the previous one; nullptr: exceptions are dropped. */
inline ExceptionHandler set_callback_exception_handler(ExceptionHandler handler) noexcept
{
    return detail::exception_handler.exchange(handler);
}

/** Receives the one result; `result` is valid until it returns. An empty callable means that nobody wants the result. */
using Callback = std::function<void(const Result &result)>;
/** The same for send_many; index is the position of the message in the call. */
using ManyCallback = std::function<void(const Result &result, std::size_t index)>;
/** Receives the one result of `count` messages that were sent with user data and without a callable: try_send_queued. */
using BatchCallback = std::function<void(const Result &result, void *const *users, std::size_t count)>;
/** Receives a log line: its level (INLONG_LOG_ERROR ... INLONG_LOG_DEBUG) and its text. */
using LogCallback = std::function<void(int level, std::string_view text)>;
/** Gives credentials: sets the name or value of `auth` and returns true. Without credentials it sets its text, the reason, and
 * returns false. */
using AuthCallback = std::function<bool(inlong_auth &auth)>;

namespace detail
{
inline void deliver(const inlong_result *result, void *user) noexcept
{
    std::unique_ptr<Callback> callback(static_cast<Callback *>(user));
    call(*callback, *result);
}

/* A callable that lives until its last call has returned, however long that takes. A client that could not be made waits for a
 * second only. */
template <class Callable> struct Held : std::enable_shared_from_this<Held<Callable>> {
    Callable callback;
    explicit Held(Callable c) : callback(std::move(c)) {}
};
using Log = Held<LogCallback>;
using Auth = Held<AuthCallback>;

/* The callables of a client. The library calls them until the close has ended. */
struct Kept {
    std::shared_ptr<Log> log;
    std::shared_ptr<const BatchCallback> results;
    std::shared_ptr<Auth> auth;
    std::atomic<bool> quiet{false}; /* the close has ended */
    Kept *next = nullptr;
};

/* After a close that did not end normally a callable may still run: then it is kept for ever. */
struct Release {
    void operator()(Kept *kept) const noexcept
    {
        static std::atomic<Kept *> for_ever{nullptr};
        if (kept->quiet.load()) {
            delete kept;
            return;
        }
        kept->next = for_ever.load();
        while (!for_ever.compare_exchange_weak(kept->next, kept))
            ;
    }
};

inline void log(inlong_client *, int level, const char *text, void *user) noexcept
{
    std::shared_ptr<Log> alive = static_cast<Log *>(user)->shared_from_this();
    call(alive->callback, level, std::string_view(text));
}

inline void results(const inlong_result *result, void *const *users, std::size_t count, void *user) noexcept
{
    call(*static_cast<const BatchCallback *>(user), *result, users, count);
}

/* After an exception there are no credentials. */
inline int auth(inlong_auth *question, void *user) noexcept
{
    std::shared_ptr<Auth> alive = static_cast<Auth *>(user)->shared_from_this();
    bool given = false;
    call([&] { given = alive->callback(*question); });
    return given ? INLONG_OK : INLONG_ERR_UNKNOWN;
}

/* One call of send_many. It lives until each accepted message has its result and the call has returned. */
struct Many {
    ManyCallback callback;
    std::vector<Many *> places; /* a message's user data is the address of its place, which gives owner and index */
    std::atomic<std::size_t> left;

    Many(ManyCallback c, std::size_t count) : callback(std::move(c)), places(count, this), left(count + 1) {}
    void release(std::size_t count) noexcept
    {
        if (left.fetch_sub(count, std::memory_order_acq_rel) == count)
            delete this;
    }
    static void deliver(const inlong_result *result, void *user) noexcept
    {
        Many **place = static_cast<Many **>(user), *many = *place;
        call(many->callback, *result, static_cast<std::size_t>(place - many->places.data()));
        many->release(1);
    }
};
} // namespace detail

} // namespace INLONG_EXCEPTION_MODE
} // namespace inlong

#endif
