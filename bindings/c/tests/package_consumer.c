/* package_consumer.c - a user's first program, for the test of what is installed. Prints "acked". */
#include <inlong_dataproxy.h>
#include <stdio.h>
#include <string.h>

int main(void)
{
    char err[512] = "", url[128] = "";
    inlong_mock *mock = NULL;
    inlong_client *client = NULL;
    inlong_options *options = inlong_options_new();
    inlong_message message;
    int code = inlong_mock_new(1, &mock, err, sizeof err);
    if (code != INLONG_OK)
        return printf("no mock: %s\n", err), 1;
    inlong_mock_url(mock, url, sizeof url);
    inlong_options_set(options, "url", url, err, sizeof err);
    inlong_options_set(options, "group_id", "test_group", err, sizeof err);
    if (inlong_client_new(options, &client, err, sizeof err) != INLONG_OK)
        return printf("no client: %s\n", err), 1;
    inlong_options_free(options);
    memset(&message, 0, sizeof message);
    message.struct_size = sizeof message;
    message.stream_id = "test_stream";
    message.payload = "hello";
    message.payload_len = 5;
    code = inlong_client_send(client, &message, 5000, NULL);
    inlong_client_close(client, 5000, NULL);
    inlong_mock_free(mock);
    puts(code == INLONG_OK ? "acked" : inlong_last_error());
    return code != INLONG_OK;
}
