/* SPDX-License-Identifier: Apache-2.0
 * mock.hpp - part of inlong_dataproxy.hpp, which says what holds for all of it: the fake cluster. */
#ifndef INLONG_DATAPROXY_MOCK_HPP
#define INLONG_DATAPROXY_MOCK_HPP

#include "error.hpp"

#include <memory>
#include <string>

namespace inlong
{
inline namespace INLONG_EXCEPTION_MODE
{

/** A fake Manager with nodes inside this process, for tests. Move-only. Its destructor stops it. */
class Mock
{
  public:
    /** 1 to 64 nodes; 0 means 3. */
    static Expected<Mock> try_start(int nodes = 0)
    {
        inlong_mock *mock = nullptr;
        int code = inlong_mock_new(nodes, &mock, nullptr, 0);
        return code == INLONG_OK ? Expected<Mock>(Mock(mock)) : Error::last(code);
    }

    /** Returns the Manager's address, for the option url. */
    Expected<std::string> try_url() const
    {
        return detail::text([this](char *to, std::size_t size) { return inlong_mock_url(mock_.get(), to, size); });
    }
    /** Returns what the mock received, as JSON. */
    Expected<std::string> try_stats() const
    {
        return detail::text([this](char *to, std::size_t size) { return inlong_mock_stats(mock_.get(), to, size); });
    }
    /** Carries out a request (JSON) once. Its answer is cut to `room` bytes. */
    Expected<std::string> try_control(const std::string &request, std::size_t room = 1 << 20) const
    {
        std::string answer(room, '\0');
        int length = inlong_mock_control(mock_.get(), request.c_str(), &answer[0], room + 1);
        if (length < 0)
            return Error::last(length);
        answer.resize(static_cast<std::size_t>(length) < room ? static_cast<std::size_t>(length) : room);
        return answer;
    }
    /** Returns the handle for calls of the C interface. This object stays its owner. */
    inlong_mock *get() const noexcept { return mock_.get(); }

#ifdef __cpp_exceptions
    /** @{ */
    /** As the try_ form above, but throws Error. */
    explicit Mock(int nodes = 0) : Mock(try_start(nodes).value()) {}
    std::string url() const { return try_url().value(); }
    std::string stats() const { return try_stats().value(); }
    std::string control(const std::string &request, std::size_t room = 1 << 20) const { return try_control(request, room).value(); }
/** @} */
#endif

  private:
    struct Free {
        void operator()(inlong_mock *mock) const noexcept { inlong_mock_free(mock); }
    };
    explicit Mock(inlong_mock *mock) noexcept : mock_(mock) {}
    std::unique_ptr<inlong_mock, Free> mock_;
};

} // namespace INLONG_EXCEPTION_MODE
} // namespace inlong

#endif
