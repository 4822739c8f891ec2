/* SPDX-License-Identifier: Apache-2.0
 * row.hpp - part of inlong_dataproxy.hpp, which says what holds for all of it: rows of CSV and KV streams. */
#ifndef INLONG_DATAPROXY_ROW_HPP
#define INLONG_DATAPROXY_ROW_HPP

#include "message.hpp"
#include "options.hpp"

#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>

namespace inlong
{
inline namespace INLONG_EXCEPTION_MODE
{

/** One field of a row: the C struct, filled. Texts and bytes are views of memory that the caller keeps. */
struct Field : inlong_field {
    /** Null. */
    Field(std::nullptr_t = nullptr) noexcept : inlong_field() {}
    /** @{ */
    /** A text in UTF-8. */
    Field(std::string_view text) noexcept : Field(INLONG_FIELD_TEXT, text.empty() ? "" : text.data(), text.size()) {}
    Field(const std::string &text) noexcept : Field(std::string_view(text)) {}
    Field(const char *text) noexcept : Field(std::string_view(text ? text : "")) {}
    /** @} */
    /** A number or bool. */
    template <class T, class = std::enable_if_t<std::is_arithmetic_v<T>>> Field(T number) noexcept : inlong_field()
    {
        if constexpr (std::is_same_v<T, bool>) {
            kind = INLONG_FIELD_BOOL;
            value.i = number;
        } else if constexpr (std::is_floating_point_v<T>) {
            kind = INLONG_FIELD_DOUBLE;
            value.d = static_cast<double>(number);
        } else if constexpr (std::is_signed_v<T>) {
            kind = INLONG_FIELD_INT;
            value.i = number;
        } else {
            kind = INLONG_FIELD_UINT;
            value.u = number;
        }
    }
    /** A time, as date and time of day of UTC. */
    Field(std::chrono::system_clock::time_point time) noexcept : inlong_field()
    {
        kind = INLONG_FIELD_TIME;
        value.i = std::chrono::floor<Milliseconds>(time.time_since_epoch()).count();
    }
    /** A text in the stream's encoding. */
    static Field bytes(Payload text) noexcept { return {INLONG_FIELD_BYTES, text.bytes, text.size}; }
    /** The key, or the column. */
    Field &&named(Text text) && noexcept
    {
        name = text.empty() ? "" : text.data();
        name_len = text.size();
        return std::move(*this);
    }

  private:
    Field(int32_t what, const void *bytes, std::size_t size) noexcept : inlong_field()
    {
        kind = what;
        data = bytes;
        data_len = size;
    }
};
static_assert(sizeof(Field) == sizeof(inlong_field), "arrays of Field are arrays of inlong_field");

/** Checked settings of a stream's rows. Move-only; any thread may use it. */
class RowFormat
{
  public:
    /** Takes settings that you fill; struct_size is set here. */
    static Expected<RowFormat> try_make(inlong_row_settings settings)
    {
        settings.struct_size = sizeof settings;
        inlong_row_format *format = nullptr;
        int code = inlong_row_format_new(&settings, &format, nullptr, 0);
        return code == INLONG_OK ? Expected<RowFormat>(RowFormat(format)) : Error::last(code);
    }
    /** @{ */
    /** Asks the Manager for the settings, for the option manager_timeout at most. */
    static Expected<RowFormat> try_ask(const Options &options, const char *stream_id)
    {
        inlong_row_format *format = nullptr;
        int code = inlong_row_format_ask(options.get(), stream_id, &format, nullptr, 0);
        return code == INLONG_OK ? Expected<RowFormat>(RowFormat(format)) : Error::last(code);
    }
    static Expected<RowFormat> try_ask(const Options &options, const std::string &stream_id)
    {
        return try_ask(options, stream_id.c_str());
    }
    /** @} */
    /** Writes the row into `row`, replaces what it held and reuses its memory. */
    Status try_write(std::string &row, std::initializer_list<Field> fields) const
    {
        return try_write(row, fields.begin(), fields.size());
    }
    /** The same for an array. */
    Status try_write(std::string &row, const Field *fields, std::size_t count) const
    {
        for (;;) {
            row.resize(row.capacity());
            std::int64_t length = inlong_row_write(format_.get(), fields, count, row.empty() ? nullptr : &row[0], row.size());
            bool whole = length >= 0 && static_cast<std::size_t>(length) <= row.size();
            row.resize(length < 0 ? 0 : static_cast<std::size_t>(length));
            if (length < 0)
                return Error::last(static_cast<int>(length));
            if (whole)
                return std::monostate();
        }
    }
    /** Returns the settings with their defaults; the texts live as long as this object. */
    inlong_row_settings settings() const noexcept
    {
        inlong_row_settings s = {};
        s.struct_size = sizeof s;
        inlong_row_format_settings(format_.get(), &s);
        return s;
    }

#ifdef __cpp_exceptions
    /** @{ */
    /** As the try_ form above, but throws Error. */
    explicit RowFormat(const inlong_row_settings &settings) : RowFormat(try_make(settings).value()) {}
    static RowFormat ask(const Options &options, const char *stream_id) { return try_ask(options, stream_id).value(); }
    static RowFormat ask(const Options &options, const std::string &stream_id) { return try_ask(options, stream_id).value(); }
    std::string write(std::initializer_list<Field> fields) const
    {
        std::string row;
        try_write(row, fields).value();
        return row;
    }
/** @} */
#endif

  private:
    struct Free {
        void operator()(inlong_row_format *format) const noexcept { inlong_row_format_free(format); }
    };
    explicit RowFormat(inlong_row_format *format) noexcept : format_(format) {}
    std::unique_ptr<inlong_row_format, Free> format_;
};

} // namespace INLONG_EXCEPTION_MODE
} // namespace inlong

#endif
