/* SPDX-License-Identifier: Apache-2.0
 * compat_config.h - part of inlong_api.h: the configuration file of InLong's own C++ SDK, as options of this library. */
#ifndef INLONG_DATAPROXY_COMPAT_CONFIG_H
#define INLONG_DATAPROXY_COMPAT_CONFIG_H

#include "../../inlong_dataproxy.h"

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace inlong
{
namespace detail_compat
{

inline int64_t now_ms()
{
    return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

/* For bounds: nobody sets this clock back. */
inline int64_t steady_ms()
{
    return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/* Reads from a JSON text the members of the object "init-param" that are texts, numbers and booleans. */
class InitParam
{
  public:
    std::map<std::string, std::string> texts, scalars;

    /* False when the text is no JSON, or has no such object. */
    bool read(const std::string &json)
    {
        at_ = json.data();
        end_ = at_ + json.size();
        bool good = value(0, "", false) && found_;
        blanks();
        return good && at_ == end_;
    }

  private:
    enum { kDeepest = 32 };
    const char *at_ = nullptr, *end_ = nullptr;
    bool found_ = false;

    void blanks()
    {
        while (at_ < end_ && (*at_ == ' ' || *at_ == '\t' || *at_ == '\n' || *at_ == '\r'))
            at_++;
    }

    bool next(char c)
    {
        blanks();
        if (at_ == end_ || *at_ != c)
            return false;
        at_++;
        return true;
    }

    /* Any value; that of a wanted member is kept. */
    bool value(int depth, const std::string &name, bool wanted)
    {
        blanks();
        if (at_ == end_ || depth > kDeepest)
            return false;
        if (*at_ == '{')
            return members(depth, depth == 1 && name == "init-param");
        if (*at_ == '[')
            return elements(depth);
        if (*at_ == '"') {
            std::string text;
            if (!string(text))
                return false;
            if (wanted)
                texts[name] = text;
            return true;
        }
        const char *start = at_;
        while (at_ < end_ && (*at_ == '+' || *at_ == '-' || *at_ == '.' || (*at_ >= '0' && *at_ <= '9') ||
                              (*at_ >= 'a' && *at_ <= 'z') || *at_ == 'E'))
            at_++;
        if (wanted)
            scalars[name] = std::string(start, at_);
        return at_ > start;
    }

    bool members(int depth, bool wanted)
    {
        found_ = found_ || wanted;
        at_++;
        if (next('}'))
            return true;
        do {
            std::string name;
            blanks();
            if (!string(name) || !next(':') || !value(depth + 1, name, wanted))
                return false;
        } while (next(','));
        return next('}');
    }

    bool elements(int depth)
    {
        at_++;
        if (next(']'))
            return true;
        do {
            if (!value(depth + 1, "", false))
                return false;
        } while (next(','));
        return next(']');
    }

    bool string(std::string &text)
    {
        if (at_ == end_ || *at_ != '"')
            return false;
        for (at_++; at_ < end_ && *at_ != '"'; at_++) {
            if (*at_ != '\\') {
                text += *at_;
                continue;
            }
            if (++at_ == end_)
                return false;
            static const char *const letters = "\"\\/bfnrt", *const meanings = "\"\\/\b\f\n\r\t";
            const char *letter = std::strchr(letters, *at_);
            if (*at_ == 'u' && end_ - at_ > 4)
                unit(std::strtoul(std::string(at_ + 1, at_ + 5).c_str(), nullptr, 16), text), at_ += 4;
            else if (*at_ != '\0' && letter != nullptr)
                text += meanings[letter - letters];
            else
                return false;
        }
        return at_ < end_ && *at_++ == '"';
    }

    /* A \u escape as UTF-8. Halves of a pair stay halves: nothing that counts here is beyond the first plane. */
    static void unit(unsigned long u, std::string &text)
    {
        if (u < 0x80) {
            text += static_cast<char>(u);
        } else if (u < 0x800) {
            text += static_cast<char>(0xC0 | u >> 6);
            text += static_cast<char>(0x80 | (u & 0x3F));
        } else {
            text += static_cast<char>(0xE0 | u >> 12);
            text += static_cast<char>(0x80 | (u >> 6 & 0x3F));
            text += static_cast<char>(0x80 | (u & 0x3F));
        }
    }
};

/* What a file says, in the words of this library. */
class Config
{
  public:
    std::map<std::string, std::string> options;
    std::vector<std::string> groups;
    std::string client_ip = "127.0.0.1";
    int64_t longest = 0; /* bytes of a message; 0: what a frame can hold */

    bool read(const char *path, std::string &fault)
    {
        std::ifstream file(path == nullptr ? "" : path);
        std::stringstream json;
        if (!file || !(json << file.rdbuf()))
            return fault = std::string("cannot read ") + (path == nullptr ? "NULL" : path), false;
        if (!file_.read(json.str()))
            return fault = std::string(path) + ": must be JSON with an object \"init-param\"", false;
        translate();
        fault = fault_;
        return fault_.empty();
    }

  private:
    InitParam file_;
    std::string fault_;

    bool has(const char *key) const { return file_.texts.count(key) + file_.scalars.count(key) > 0; }

    std::string text(const char *key)
    {
        if (file_.texts.count(key) == 0)
            return fault_ = std::string(key) + ": must be a text", "";
        return file_.texts[key];
    }

    bool flag(const char *key)
    {
        const std::string value = file_.scalars.count(key) ? file_.scalars[key] : "";
        if (value != "true" && value != "false")
            fault_ = std::string(key) + ": must be true or false";
        return value == "true";
    }

    int64_t number(const char *key)
    {
        const std::string value = file_.scalars.count(key) ? file_.scalars[key] : "";
        char *rest = nullptr;
        const int64_t n = std::strtoll(value.c_str(), &rest, 10);
        if (value.empty() || *rest != '\0' || n < 0)
            fault_ = std::string(key) + ": must be a whole number of 0 or more";
        return n;
    }

    void put(const char *option, const char *key, const char *unit)
    {
        if (has(key))
            options[option] = std::to_string(number(key)) + unit;
    }

    void translate()
    {
        options["lazy_start"] = "true"; /* InitApi waits for no server */
        if (has("manager_url"))
            options["url"] = text("manager_url");
        else
            fault_ = "manager_url: is missing";
        if (has("inlong_group_ids"))
            split(text("inlong_group_ids"));
        if (has("need_auth") && flag("need_auth"))
            options["basic_auth"] = text("auth_id") + ":" + text("auth_key");
        options["message_format"] = has("msg_type") && number("msg_type") < 7 ? "text" : "binary";
        if (has("enable_zip"))
            options["compression"] = flag("enable_zip") ? "snappy" : "none";
        if (has("enable_pack") && !flag("enable_pack"))
            options["batching_max_messages"] = "1";
        else if (has("pack_size"))
            options["batching_max_messages"] = "32767"; /* the size alone fills a batch */
        put("batching_max_size", "pack_size", "");
        put("batching_max_publish_delay", "pack_timeout", "ms");
        put("update_interval", "manager_update_interval", "m");
        put("manager_timeout", "manager_url_timeout", "s");
        put("worker_num", "max_proxy_num", "");
        put("max_retries", "retry_times", "");
        const int64_t room =
            (has("recv_buf_size") ? number("recv_buf_size") : 0) + (has("send_buf_size") ? number("send_buf_size") : 0);
        if (room > 0)
            options["max_pending_bytes"] = std::to_string(room);
        longest = has("ext_pack_size") ? number("ext_pack_size") : 0;
        if (has("ser_ip"))
            client_ip = text("ser_ip");
    }

    void split(const std::string &list)
    {
        std::stringstream rest(list);
        for (std::string group; std::getline(rest, group, ',');) {
            const size_t first = group.find_first_not_of(' ');
            if (first != std::string::npos)
                groups.push_back(group.substr(first, group.find_last_not_of(' ') - first + 1));
        }
    }
};

} // namespace detail_compat
} // namespace inlong

#endif
