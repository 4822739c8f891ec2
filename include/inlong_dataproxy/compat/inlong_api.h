/* SPDX-License-Identifier: Apache-2.0
 *
 * inlong_api.h - the class InLongApi of InLong's own C++ SDK over this library, header only, from C++11 on: a program that was
 * written for that SDK is built with -I.../inlong_dataproxy/compat and -linlong_dataproxy, and reads the same configuration file.
 * core/docs/MIGRATING.md says which of its keys count and what behaves otherwise. New programs use inlong_dataproxy.hpp.
 *
 * Every function may be called from any thread at any time. Callbacks run on threads of the library. In a forked child an object of
 * the parent sends nothing (kFailGetRevGroup), and closing it does nothing: a child makes its own.
 */
#ifndef INLONG_DATAPROXY_COMPAT_INLONG_API_H
#define INLONG_DATAPROXY_COMPAT_INLONG_API_H

#include "compat_config.h"

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <sys/types.h>
#include <unistd.h>
#include <vector>

namespace inlong
{

/* Called once for a message that was accepted and then failed, never for one that was acked. msg is NUL-terminated after its
 * msg_len bytes; report_time is in milliseconds since 1970; client_ip is the configuration's ser_ip. The return value counts
 * for nothing. It may send, and must not close nor throw. */
typedef int (*UserCallBack)(const char *inlong_group_id, const char *inlong_stream_id, const char *msg, int32_t msg_len,
                            const int64_t report_time, const char *client_ip);

/* What the functions return. */
enum SdkCode {
    kSuccess = 0,
    kMultiInit = 4,        /* InitApi was called before */
    kErrorInit = 5,        /* the configuration cannot be used: see LastError */
    kMsgTooLong = 6,       /* longer than ext_pack_size, or than a frame */
    kInvalidInput = 7,     /* an empty message, or an id that breaks its rule */
    kRecvBufferFull = 8,   /* recv_buf_size and send_buf_size are used up: wait, then send again */
    kSendAfterClose = 10,  /* CloseApi was called */
    kFailGetRevGroup = 18, /* no client for this group: see LastError */
    kFailSendProxy = 20,   /* CloseApi: some messages were not delivered; their callbacks were called */
    kSendBeforeInit = 22   /* InitApi was not called, or failed */
};

class InLongApi
{
  public:
    InLongApi() : known_(nullptr), owner_(0), state_(kFresh) {}
    /* CloseApi with 10 seconds. */
    ~InLongApi() { CloseApi(10000); }
    InLongApi(const InLongApi &) = delete;
    InLongApi &operator=(const InLongApi &) = delete;

    /* Reads the file. Waits for no server: messages wait for the Manager and the nodes. */
    int32_t InitApi(const char *config_path)
    {
        if (forked())
            return kMultiInit;
        owner_ = getpid();
        std::lock_guard<std::mutex> lock(mutex_);
        if (state_ != kFresh)
            return kMultiInit;
        config_ = detail_compat::Config();
        if (!config_.read(config_path, fault_)) {
            owner_ = 0;
            return kErrorInit;
        }
        for (const std::string &group : config_.groups)
            if (open(group) == nullptr) {
                for (auto &client : clients_)
                    inlong_client_close(client.second, 0, nullptr);
                clients_.clear();
                known_ = nullptr;
                owner_ = 0;
                return kErrorInit;
            }
        state_ = kOpen;
        return kSuccess;
    }

    /* Makes ready for these groups, which else happens at their first message. */
    int32_t AddInLongGroupId(const std::vector<std::string> &group_ids)
    {
        inlong_client *client;
        for (const std::string &group : group_ids)
            if (int32_t code = find(group, client))
                return code;
        return kSuccess;
    }

    /* Accepts a message and returns: kSuccess, then call_back may come, or another code, then it does not. Does not block. The
     * message is copied. data_time is the event time in milliseconds since 1970, 0 is now. */
    int32_t Send(const char *inlong_group_id, const char *inlong_stream_id, const char *msg, int32_t msg_len,
                 UserCallBack call_back = nullptr)
    {
        return Send(inlong_group_id, inlong_stream_id, msg, msg_len, 0, call_back);
    }
    int32_t Send(const char *inlong_group_id, const char *inlong_stream_id, const char *msg, int32_t msg_len, int64_t data_time,
                 UserCallBack call_back = nullptr)
    {
        inlong_client *client;
        if (inlong_group_id == nullptr || inlong_stream_id == nullptr || msg == nullptr || msg_len <= 0 || data_time < 0)
            return kInvalidInput;
        if (int32_t code = find(inlong_group_id, client))
            return code;
        if (config_.longest > 0 && msg_len > config_.longest)
            return kMsgTooLong;
        inlong_message message = inlong_message();
        message.struct_size = sizeof message;
        message.stream_id = inlong_stream_id;
        message.payload = msg;
        message.payload_len = static_cast<size_t>(msg_len);
        message.time_ms = data_time;
        Pending *pending = nullptr;
        if (call_back != nullptr)
            pending = new Pending(call_back, inlong_group_id, inlong_stream_id, std::string(msg, message.payload_len),
                                  data_time > 0 ? data_time : detail_compat::now_ms(), config_.client_ip);
        int code = inlong_client_send_async(client, &message, finished, pending);
        if (code != INLONG_OK)
            delete pending;
        return code_of(code);
    }

    /* Returns when every message has its result, max_waitms later at the latest: what is left then fails. kSuccess: all were
     * acked or had failed before. */
    int32_t CloseApi(int32_t max_waitms)
    {
        if (forked())
            return kSuccess;
        std::map<std::string, inlong_client *> clients;
        {
            std::lock_guard<std::mutex> lock(mutex_);
            state_ = state_ == kFresh ? kFresh : kClosed;
            clients.swap(clients_);
        }
        const int64_t end = detail_compat::steady_ms() + (max_waitms > 0 ? max_waitms : 0);
        int32_t code = kSuccess;
        for (auto &client : clients) /* all leave now, so that the time of the first serves the last */
            inlong_client_flush(client.second, 0);
        for (auto &client : clients) {
            int64_t left = end - detail_compat::steady_ms();
            if (inlong_client_close(client.second, left > 0 ? left : 0, nullptr) != INLONG_OK)
                code = kFailSendProxy;
        }
        return code;
    }

    /* What was wrong when kErrorInit or kFailGetRevGroup was returned, for people. Not in InLong's own SDK. */
    std::string LastError() const
    {
        if (forked())
            return "this object belongs to the parent process: a forked child cannot use it";
        std::lock_guard<std::mutex> lock(mutex_);
        return fault_;
    }

  private:
    enum State { kFresh, kOpen, kClosed };

    /* A message whose failure somebody wants to know. */
    struct Pending {
        UserCallBack call_back;
        std::string group, stream, message;
        int64_t time;
        std::string ip;
        Pending(UserCallBack c, const char *g, const char *s, const std::string &m, int64_t t, const std::string &i)
            : call_back(c), group(g), stream(s), message(m), time(t), ip(i)
        {
        }
    };

    static void finished(const inlong_result *result, void *user)
    {
        Pending *p = static_cast<Pending *>(user);
        if (p == nullptr)
            return;
        if (result->code != INLONG_OK)
            p->call_back(p->group.c_str(), p->stream.c_str(), p->message.c_str(), static_cast<int32_t>(p->message.size()), p->time,
                         p->ip.c_str());
        delete p;
    }

    static int32_t code_of(int code)
    {
        switch (code) {
        case INLONG_OK:
            return kSuccess;
        case INLONG_ERR_QUEUE_FULL:
            return kRecvBufferFull;
        case INLONG_ERR_LOG_TOO_LONG:
            return kMsgTooLong;
        case INLONG_ERR_LOG_INVALID:
        case INLONG_ERR_ARG:
            return kInvalidInput;
        case INLONG_ERR_CLOSED:
        case INLONG_ERR_HANDLE:
            return kSendAfterClose;
        }
        return kFailGetRevGroup;
    }

    /* Read before the mutex: in a forked child a thread of the parent may hold that for ever, also one that was inside InitApi, and had
     * no client yet. */
    bool forked() const
    {
        inlong_client *known = known_;
        if (known != nullptr)
            return inlong_client_send_many(known, nullptr, 0, nullptr, nullptr, nullptr) == INLONG_ERR_FORKED;
        const pid_t owner = owner_;
        return owner != 0 && owner != getpid();
    }

    int32_t find(const std::string &group, inlong_client *&client)
    {
        if (forked())
            return kFailGetRevGroup;
        std::lock_guard<std::mutex> lock(mutex_);
        if (state_ != kOpen)
            return state_ == kFresh ? kSendBeforeInit : kSendAfterClose;
        auto at = clients_.find(group);
        client = at != clients_.end() ? at->second : open(group);
        return client != nullptr ? kSuccess : kFailGetRevGroup;
    }

    /* The client of a group, each with its own nodes. The caller holds the mutex. */
    inlong_client *open(const std::string &group)
    {
        char err[1024] = "";
        inlong_client *client = nullptr;
        inlong_options *options = inlong_options_new();
        bool good = inlong_options_set(options, "group_id", group.c_str(), err, sizeof err) == INLONG_OK;
        for (const auto &option : config_.options)
            good = good && inlong_options_set(options, option.first.c_str(), option.second.c_str(), err, sizeof err) == INLONG_OK;
        if (good && inlong_client_new(options, &client, err, sizeof err) == INLONG_OK)
            known_ = clients_[group] = client;
        else
            fault_ = err;
        inlong_options_free(options);
        return client;
    }

    std::atomic<inlong_client *> known_; /* one of clients_, open or closed */
    std::atomic<pid_t> owner_;           /* the process that has called InitApi; 0: none, or it failed */
    mutable std::mutex mutex_;
    State state_;
    detail_compat::Config config_; /* not changed once state_ is kOpen */
    std::map<std::string, inlong_client *> clients_;
    std::string fault_;
};

} // namespace inlong

#endif
