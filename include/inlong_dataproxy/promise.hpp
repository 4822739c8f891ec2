/* SPDX-License-Identifier: Apache-2.0
 * promise.hpp - part of inlong_dataproxy.hpp, which says what holds for all of it: the futures of a client. */
#ifndef INLONG_DATAPROXY_PROMISE_HPP
#define INLONG_DATAPROXY_PROMISE_HPP

#include "error.hpp"

#include <atomic>
#include <cstring>
#include <future>
#include <memory>
#include <mutex>
#include <utility>

namespace inlong
{
inline namespace INLONG_EXCEPTION_MODE
{
namespace detail
{

/* A result that did not come from the library. */
inline Result made_here(int code, int persisted, const char *text) noexcept
{
    Result result{};
    result.struct_size = sizeof result;
    result.code = code;
    result.persisted = persisted;
    result.retriable = inlong_error_is_retriable(code);
    result.count = 1;
    std::strncpy(result.text, text, sizeof result.text - 1);
    return result;
}

struct Pending;

/* The futures of one client that have no result yet. A close that ran out of time calls no callback any more: it settles what is
 * left here, so that nobody waits for ever. */
struct Promises {
    std::mutex mutex; /* guards the list and its members' `settled` */
    Pending *first = nullptr;
    void forsake() noexcept;
};

struct Pending {
    std::promise<Result> promise;
    std::shared_ptr<Promises> home;
    Pending *before = nullptr, *after = nullptr;
    bool settled = false;

    explicit Pending(std::shared_ptr<Promises> where) : home(std::move(where))
    {
        std::lock_guard<std::mutex> lock(home->mutex);
        after = home->first;
        if (after)
            after->before = this;
        home->first = this;
    }

    /* Deletes *this, unless a close was faster. */
    void settle(const Result &result) noexcept
    {
        {
            std::lock_guard<std::mutex> lock(home->mutex);
            if (settled)
                return;
            (before ? before->after : home->first) = after;
            if (after)
                after->before = before;
        }
        promise.set_value(result);
        delete this;
    }
};

/* A callback that the close did not wait for may still come for what is settled here, which is kept for ever therefore. */
inline void Promises::forsake() noexcept
{
    static std::atomic<Pending *> for_ever{nullptr};
    std::lock_guard<std::mutex> lock(mutex);
    while (Pending *pending = first) {
        first = pending->after;
        pending->settled = true;
        pending->promise.set_value(
            made_here(INLONG_ERR_CLOSED, INLONG_MAYBE_WRITTEN,
                      "producer already been closed: the close was over before the result came [code 10003]"));
        pending->after = for_ever.load();
        while (!for_ever.compare_exchange_weak(pending->after, pending))
            ;
    }
}

inline void keep_promise(const inlong_result *result, void *user) noexcept { static_cast<Pending *>(user)->settle(*result); }

} // namespace detail
} // namespace INLONG_EXCEPTION_MODE
} // namespace inlong

#endif
