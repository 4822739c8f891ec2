/* SPDX-License-Identifier: Apache-2.0
 * options.hpp - part of inlong_dataproxy.hpp, which says what holds for all of it: the options of a client. */
#ifndef INLONG_DATAPROXY_OPTIONS_HPP
#define INLONG_DATAPROXY_OPTIONS_HPP

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

/* Options by key, as inlong_options_describe lists them. Move-only. */
class Options
{
  public:
    Options() noexcept : options_(inlong_options_new()) {} /* without memory every call answers INLONG_ERR_ARG */

    /* INLONG_ERR_OPTION: no such key, or a value that is not UTF-8 or holds NUL. Whether it fits is judged by Client. */
    Status try_set(const std::string &key, const std::string &value)
    {
        if (key.find('\0') != std::string::npos || value.find('\0') != std::string::npos)
            return Error(INLONG_ERR_OPTION, "option " + std::string(key.c_str()) + ": key or value holds a NUL byte");
        return detail::status(inlong_options_set(options_.get(), key.c_str(), value.c_str(), nullptr, 0));
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
        return try_set(key, std::to_string(std::chrono::duration_cast<std::chrono::nanoseconds>(value).count()) + "ns");
    }

#ifdef __cpp_exceptions
    /* set("send_timeout", 5s), set("ordered", true), set("worker_num", 4), set("compression", "none"): calls can be chained. */
    template <class T> Options &set(const std::string &key, const T &value) &
    {
        try_set(key, value).value();
        return *this;
    }
    template <class T> Options &&set(const std::string &key, const T &value) && { return std::move(set(key, value)); }
    Options &url(const std::string &value) & { return set("url", value); }
    Options &&url(const std::string &value) && { return std::move(set("url", value)); }
    Options &group_id(const std::string &value) & { return set("group_id", value); }
    Options &&group_id(const std::string &value) && { return std::move(set("group_id", value)); }
#endif

    const inlong_options *get() const noexcept { return options_.get(); }

  private:
    struct Free {
        void operator()(inlong_options *options) const noexcept { inlong_options_free(options); }
    };
    std::unique_ptr<inlong_options, Free> options_;
};

} // namespace INLONG_EXCEPTION_MODE
} // namespace inlong

#endif
