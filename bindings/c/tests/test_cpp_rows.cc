/* Rows in C++: every kind of a field, and who owns what. */
#include "check.hpp"

#include <limits>
#include <vector>

/* A conversion that picks another kind writes 1 for true, or a pointer's truth for a text. */
static void every_type_becomes_its_kind(void)
{
    inlong_row_settings settings = {};
    settings.type = INLONG_ROW_CSV;
    settings.escape = '\\';
    inlong::RowFormat format(settings);
    CHECK_INT(format.settings().separator, '|');
    std::string text = "a|b";
    std::chrono::system_clock::time_point time(std::chrono::seconds(1767323045));
    CHECK_TEXT(format
                   .write({text, "c", std::string_view(text).substr(0, 1), true, 'x' == 'x', -7, 7u,
                           std::numeric_limits<uint64_t>::max(), 0.5, 0.25f, nullptr, time, inlong::Field::bytes("end")})
                   .c_str(),
               "a\\|b|c|a|true|true|-7|7|18446744073709551615|0.5|0.25||2026-01-02 03:04:05|end");
    std::string row = "used before";
    std::vector<inlong::Field> fields(3, std::string_view(""));
    CHECK(format.try_write(row, fields.data(), fields.size()));
    CHECK(row == "||");
    auto refused = format.try_write(row, {"\xff"});
    CHECK_INT(refused.code(), INLONG_ERR_ARG);
    CHECK(row.empty());
    inlong::RowFormat moved(std::move(format));
    CHECK(moved.write({1}) == "1");
    settings.separator = '\n';
    CHECK_INT(inlong::RowFormat::try_make(settings).code(), INLONG_ERR_OPTION);
}

static void settings_come_from_the_manager(void)
{
    inlong::Mock mock;
    auto format = inlong::RowFormat::ask(inlong::Options().url(mock.url()).group_id(GROUP), STREAM);
    CHECK(format.write({"a", 1}) == "a|1");
    CHECK_INT(inlong::RowFormat::try_ask(inlong::Options().url(mock.url()).group_id(GROUP), "no stream").code(), INLONG_ERR_OPTION);
}

static const check_test tests[] = {
    {"every_type_becomes_its_kind", every_type_becomes_its_kind},
    {"settings_come_from_the_manager", settings_come_from_the_manager},
};

CHECK_MAIN("cpp_rows", tests)
