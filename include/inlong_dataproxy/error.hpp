/* SPDX-License-Identifier: Apache-2.0
 * error.hpp - part of inlong_dataproxy.hpp, which says what holds for all of it: results, errors, Expected. */
#ifndef INLONG_DATAPROXY_ERROR_HPP
#define INLONG_DATAPROXY_ERROR_HPP

#include "../inlong_dataproxy.h"

#include <chrono>
#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>

#ifdef __cpp_exceptions
#define INLONG_EXCEPTION_MODE with_exceptions
#else
#define INLONG_EXCEPTION_MODE without_exceptions
#endif

namespace inlong
{
inline namespace INLONG_EXCEPTION_MODE
{

/** The result of one message: code (INLONG_OK = acked), server_code, persisted, attempts, node, text, ... A plain value. */
using Result = inlong_result;
/** What became of a client's messages. */
using CloseReport = inlong_close_report;
/** The unit of time-outs. */
using Milliseconds = std::chrono::milliseconds;

/** No time-out of the call: only the client's own bound holds. Zero does not wait; values below -1 ms are refused. */
inline constexpr Milliseconds no_timeout{INLONG_NO_TIMEOUT};

/** Why a call failed. Copies share their content. */
class Error : public std::runtime_error
{
  public:
    /** For a call that was refused. */
    Error(int code, const std::string &text) : std::runtime_error(text), code_(code) {}
    /** For a message that failed. */
    explicit Error(const Result &result)
        : std::runtime_error(result.text[0] ? result.text : inlong_error_text(result.code)), code_(result.code),
          result_(std::make_shared<const Result>(result))
    {
    }

    int code() const noexcept { return code_; }                            /**< INLONG_ERR_... */
    const char *name() const noexcept { return inlong_error_name(code_); } /**< "queue_full" */
    /** Tells whether sending again may help. */
    bool retriable() const noexcept { return result_ ? result_->retriable != 0 : inlong_error_is_retriable(code_) != 0; }
    const Result *result() const noexcept { return result_.get(); } /**< of the message; nullptr if the call was refused */
    std::size_t accepted() const noexcept { return accepted_; }     /**< send_many: the number of messages before the refused one */
    /** Sets that number. */
    Error &accepted(std::size_t count) noexcept { return accepted_ = count, *this; }

    /** Makes an error with the text of this thread's last call that failed. */
    static Error last(int code) { return Error(code, inlong_last_error()); }

  private:
    int code_;
    std::size_t accepted_ = 0;
    std::shared_ptr<const Result> result_;
};

/** A value, or the Error that came instead. Reading the one that is not there is undefined. */
template <class T = std::monostate> class [[nodiscard]] Expected
{
  public:
    /** @{ */
    /** Holds a value or an Error. */
    Expected(T value) : state_(std::in_place_index<0>, std::move(value)) {}
    Expected(Error error) : state_(std::in_place_index<1>, std::move(error)) {}
    /** @} */

    /** Tells whether there is a value. */
    explicit operator bool() const noexcept { return state_.index() == 0; }
    /** INLONG_OK, or the code of the error. */
    int code() const noexcept { return *this ? INLONG_OK : error().code(); }
    /** @{ */
    /** The value. */
    T &operator*() & noexcept { return *std::get_if<0>(&state_); }
    const T &operator*() const & noexcept { return *std::get_if<0>(&state_); }
    T &&operator*() && noexcept { return std::move(*std::get_if<0>(&state_)); }
    T *operator->() noexcept { return std::get_if<0>(&state_); }
    /** @} */
    /** The error. */
    const Error &error() const noexcept { return *std::get_if<1>(&state_); }

#ifdef __cpp_exceptions
    /** Returns the value, or throws the Error. */
    T value() &&
    {
        if (!*this)
            throw *std::get_if<1>(&state_);
        return std::move(**this);
    }
#endif

  private:
    std::variant<T, Error> state_;
};

/** For a call that returns no value. */
using Status = Expected<>;

namespace detail
{
/* Calls a C function that returns a length as snprintf does: twice, and again if the text grew in between. */
template <class Write> Expected<std::string> text(Write write)
{
    std::string s;
    for (;;) {
        int length = write(s.empty() ? nullptr : &s[0], s.empty() ? 0 : s.size() + 1); /* its end may be written, as NUL */
        if (length < 0)
            return Error::last(length);
        bool whole = static_cast<std::size_t>(length) <= s.size();
        s.resize(static_cast<std::size_t>(length));
        if (whole)
            return s;
    }
}

inline Status status(int code) { return code == INLONG_OK ? Status(std::monostate()) : Status(Error::last(code)); }
} // namespace detail

} // namespace INLONG_EXCEPTION_MODE
} // namespace inlong

#endif
