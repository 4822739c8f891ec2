/* SPDX-License-Identifier: Apache-2.0
 * message.hpp - part of inlong_dataproxy.hpp, which says what holds for all of it: payloads, attributes, messages. */
#ifndef INLONG_DATAPROXY_MESSAGE_HPP
#define INLONG_DATAPROXY_MESSAGE_HPP

#include "error.hpp"

#include <chrono>
#include <cstring>
#include <iterator>
#include <string_view>
#include <type_traits>
#include <utility>

namespace inlong
{
inline namespace INLONG_EXCEPTION_MODE
{

/** A view of a text: anything that converts to std::string_view. A nullptr, such as getenv returns for a variable that is not set,
 * is the empty text. */
struct Text : std::string_view {
    /** @{ */
    /** A view of text that the caller keeps; or empty. */
    Text() noexcept = default;
    Text(const char *text) noexcept : std::string_view(text ? text : "") {}
    template <class T, class = std::enable_if_t<std::is_class_v<T> && std::is_convertible_v<const T &, std::string_view>>>
    Text(const T &text) noexcept : std::string_view(text)
    {
    }
    /** @} */
};

/** A view of bytes: a pointer and a size, a string literal or string_view, or anything contiguous with data() and size() whose
 * elements are plain values (std::string, std::vector<uint8_t>, std::array, std::span, ...). */
struct Payload {
    const void *bytes; /**< where they are */
    std::size_t size;  /**< how many */

    /** @{ */
    /** A view of bytes that the caller keeps until the send call returns. */
    Payload(const void *data, std::size_t length) noexcept : bytes(data), size(length) {}
    Payload(const char *text) noexcept : bytes(text), size(text ? std::strlen(text) : 0) {}
    template <class Range, class Element = std::remove_pointer_t<decltype(std::declval<const Range &>().data())>,
              class = decltype(std::declval<const Range &>().size()),
              class = std::enable_if_t<std::is_trivially_copyable_v<Element>>>
    Payload(const Range &range) noexcept : bytes(range.data()), size(range.size() * sizeof(Element))
    {
    }
    /** @} */
};

/** One attribute for Message::with_attributes. It is a view too. */
inline inlong_attribute attribute(Text key, Text value) noexcept
{
    /* A length of 0 would mean "up to the NUL" of the text that the view is a part of. */
    return {key.empty() ? "" : key.data(), key.size(), value.empty() ? "" : value.data(), value.size()};
}

/** One message: the C struct, filled. */
struct Message : inlong_message {
    /** A message for a stream of the client's group. */
    Message(Text stream, Payload data) noexcept : inlong_message()
    {
        struct_size = sizeof(inlong_message);
        stream_id = stream.empty() ? "" : stream.data();
        stream_id_len = stream.size();
        payload = data.bytes;
        payload_len = data.size;
    }
    /** Sets the group, instead of the client's; an empty id means the client's. */
    Message &group(Text id) noexcept
    {
        group_id = id.empty() ? "" : id.data();
        group_id_len = id.size();
        return *this;
    }
    /** Sets the attributes: a contiguous range of inlong_attribute that outlives the send call. */
    template <class Range> Message &with_attributes(const Range &range) noexcept
    {
        attributes = std::data(range);
        attribute_count = std::size(range);
        return *this;
    }
    /** Sets attributes of this message alone, for what differs from message to message. They do not divide batches, and need the
     * option message_format=binary. A contiguous range of inlong_attribute that outlives the send call. */
    template <class Range> Message &with_item_attributes(const Range &range) noexcept
    {
        item_attributes = std::data(range);
        item_attribute_count = std::size(range);
        return *this;
    }
    /** Sets the event time; without it, it is the time when the batch was opened. */
    Message &at(std::chrono::system_clock::time_point when) noexcept
    {
        time_ms = std::chrono::duration_cast<Milliseconds>(when.time_since_epoch()).count();
        return *this;
    }
};
static_assert(sizeof(Message) == sizeof(inlong_message), "arrays of Message are arrays of inlong_message");

} // namespace INLONG_EXCEPTION_MODE
} // namespace inlong

#endif
