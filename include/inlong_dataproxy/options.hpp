/* SPDX-License-Identifier: Apache-2.0
 * options.hpp - part of inlong_dataproxy.hpp, which says what holds for all of it: the options of a client. */
#ifndef INLONG_DATAPROXY_OPTIONS_HPP
#define INLONG_DATAPROXY_OPTIONS_HPP

#include "callback.hpp"
#include "error.hpp"

#include <chrono>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

namespace inlong
{
inline namespace INLONG_EXCEPTION_MODE
{

/** Options by key, as inlong_options_describe lists them. Move-only. */
class Options
{
  public:
    /** Makes an empty set. If memory ran out every call returns INLONG_ERR_ARG. */
    Options() noexcept : options_(inlong_options_new()) {}

    /** @{ */
    /** Sets an option; durations and numbers need not be texts. INLONG_ERR_OPTION: there is no such key, or the value is
     * not UTF-8 or contains NUL. INLONG_ERR_ARG: the value is nullptr, such as getenv returns for a variable that is not set.
     * Client checks whether the value fits the option. */
    Status try_set(const std::string &key, const std::string &value)
    {
        if (key.find('\0') != std::string::npos || value.find('\0') != std::string::npos)
            return Error(INLONG_ERR_OPTION, "option " + std::string(key.c_str()) + ": key or value holds a NUL byte");
        return detail::status(inlong_options_set(options_.get(), key.c_str(), value.c_str(), nullptr, 0));
    }
    Status try_set(const std::string &key, const char *value)
    {
        if (value == nullptr) /* std::string does not take it */
            return Error(INLONG_ERR_ARG, "option " + key + ": the value is NULL");
        return try_set(key, std::string(value));
    }
    template <class T> std::enable_if_t<std::is_arithmetic_v<T>, Status> try_set(const std::string &key, T value)
    {
        if constexpr (std::is_same_v<T, bool>)
            return try_set(key, std::string(value ? "true" : "false"));
        else
            return try_set(key, std::to_string(value));
    }
    template <class Rep, class Period> Status try_set(const std::string &key, std::chrono::duration<Rep, Period> value)
    {
        constexpr double most = 9e9; /* seconds; nanoseconds do not hold more, and no option takes it */
        double seconds = std::chrono::duration<double>(value).count();
        if (!(seconds > -most && seconds < most))
            return try_set(key, std::to_string(seconds) + "s");
        return try_set(key, std::to_string(std::chrono::duration_cast<std::chrono::nanoseconds>(value).count()) + "ns");
    }
    /** @} */

    /** Sends log lines of level `level` (INLONG_LOG_WARN, ...) or more important to the callable, for clients that are made from
     * these options. It runs on any thread, on several at a time, and must be quick. An empty callable: no lines. */
    Status try_log(LogCallback callback, int level)
    {
        bool wanted = static_cast<bool>(callback);
        log_ = std::make_shared<detail::Log>(std::move(callback));
        return detail::status(inlong_options_set_log(options_.get(), wanted ? detail::log : nullptr, log_.get(), level));
    }

    /** Sends results of messages without a callable to this one, by the batch, instead of the queue. */
    Status try_batch_callback(BatchCallback callback)
    {
        bool wanted = static_cast<bool>(callback);
        results_ = std::make_shared<BatchCallback>(std::move(callback));
        return detail::status(
            inlong_options_set_batch_callback(options_.get(), wanted ? detail::results : nullptr, results_.get()));
    }

    /** Signs requests to the Manager with what the callable gives. It runs as inlong_auth_callback says: one call at a time for a
     * client, which may take as long as the option manager_timeout. */
    Status try_auth(AuthCallback callback)
    {
        bool wanted = static_cast<bool>(callback);
        auth_ = std::make_shared<detail::Auth>(std::move(callback));
        return detail::status(inlong_options_set_auth(options_.get(), wanted ? detail::auth : nullptr, auth_.get()));
    }

#ifdef __cpp_exceptions
    /** @{ */
    /** As the try_ form above, but throws Error: set("send_timeout", 5s), set("ordered", true), set("worker_num", 4),
     * set("compression", "none"). Calls can be chained. */
    template <class T> Options &set(const std::string &key, const T &value) &
    {
        try_set(key, value).value();
        return *this;
    }
    template <class T> Options &&set(const std::string &key, const T &value) && { return std::move(set(key, value)); }
    Options &url(const std::string &value) & { return set("url", value); }
    Options &&url(const std::string &value) && { return std::move(set("url", value)); }
    Options &url(const char *value) & { return set("url", value); }
    Options &&url(const char *value) && { return std::move(set("url", value)); }
    Options &group_id(const std::string &value) & { return set("group_id", value); }
    Options &&group_id(const std::string &value) && { return std::move(set("group_id", value)); }
    Options &group_id(const char *value) & { return set("group_id", value); }
    Options &&group_id(const char *value) && { return std::move(set("group_id", value)); }
    Options &log(LogCallback callback, int level) &
    {
        try_log(std::move(callback), level).value();
        return *this;
    }
    Options &&log(LogCallback callback, int level) && { return std::move(log(std::move(callback), level)); }
    Options &batch_callback(BatchCallback callback) &
    {
        try_batch_callback(std::move(callback)).value();
        return *this;
    }
    Options &&batch_callback(BatchCallback callback) && { return std::move(batch_callback(std::move(callback))); }
    Options &auth(AuthCallback callback) &
    {
        try_auth(std::move(callback)).value();
        return *this;
    }
    Options &&auth(AuthCallback callback) && { return std::move(auth(std::move(callback))); }
/** @} */
#endif

    /** Returns the handle for calls of the C interface. This object stays its owner. */
    const inlong_options *get() const noexcept { return options_.get(); }

  private:
    friend class Client;
    struct Free {
        void operator()(inlong_options *options) const noexcept { inlong_options_free(options); }
    };
    std::unique_ptr<inlong_options, Free> options_;
    std::shared_ptr<detail::Log> log_;
    std::shared_ptr<BatchCallback> results_;
    std::shared_ptr<detail::Auth> auth_;
};

/** As inlong_runtime_set: sets INLONG_RUNTIME_..., before the first client or mock of the process. */
inline Status try_set_runtime(int setting, std::int64_t value) { return detail::status(inlong_runtime_set(setting, value)); }

} // namespace INLONG_EXCEPTION_MODE
} // namespace inlong

#endif
