package dataproxy_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// Programs compare these numbers and texts; they are the existing SDKs' and never change.
func TestCodesAreThoseOfTheSeed(t *testing.T) {
	sentinels := map[dataproxy.Code]error{
		10001: dataproxy.ErrSendTimeout, 10002: dataproxy.ErrSendFailed, 10003: dataproxy.ErrClosed, 10004: dataproxy.ErrQueueFull,
		10005: dataproxy.ErrContextExpired, 10006: dataproxy.ErrNewConnFailed, 10007: dataproxy.ErrConnWriteFailed,
		10008: dataproxy.ErrConnReadFailed, 10009: dataproxy.ErrLogTooLong, 10010: dataproxy.ErrLogInvalid, 10011: dataproxy.ErrServerError,
		10012: dataproxy.ErrServerPanic, 10013: dataproxy.ErrWorkerBusy, 10014: dataproxy.ErrNoMatchRequest,
		10015: dataproxy.ErrConnClosedByPeer, 20001: dataproxy.ErrUnknown, 30001: dataproxy.ErrStored,
	}
	texts := map[dataproxy.Code]string{
		10001: "message send timeout", 10002: "message send failed", 10003: "producer already been closed", 10004: "producer send queue is full",
		10005: "message context expired", 10006: "new conn failed", 10007: "conn write failed", 10008: "conn read failed",
		10009: "input log is too long", 10010: "input log is invalid", 10011: "server error", 10012: "server panic", 10013: "worker is busy",
		10014: "no match unacknowledged request for response", 10015: "conn closed by peer", 20001: "unknown",
		30001: "message stored",
	}
	for err, text := range map[error]string{
		dataproxy.ErrURLNotGiven: "URL is not given", dataproxy.ErrGroupIDNotGiven: "group ID is not given", dataproxy.ErrInvalidURL: "invalid URL",
		dataproxy.ErrInvalidGroupID: "invalid group ID", dataproxy.ErrNoEndpoint: "service has no endpoints",
		dataproxy.ErrNoAvailableWorker: "no available worker",
	} {
		require.EqualError(t, err, text)
	}
	names := map[string]bool{}
	for _, info := range dataproxy.Codes() {
		require.False(t, names[info.Name], "%s is there twice", info.Name)
		names[info.Name] = true
		require.NotEmpty(t, info.Meaning, info.Name)
		require.NotEmpty(t, info.Advice, info.Name)
		require.Equal(t, info.Text, info.Code.String())
		if info.Code == dataproxy.CodeOK {
			continue
		}
		sentinel := sentinels[info.Code]
		require.Error(t, sentinel, "code %d has no sentinel", info.Code)
		require.ErrorIs(t, fmt.Errorf("wrapped: %w", &dataproxy.Error{Code: info.Code, Message: "more"}), sentinel)
		require.Equal(t, texts[info.Code], info.Text)
		require.EqualError(t, sentinel, fmt.Sprintf("%s [code %d]", info.Text, info.Code))
		require.Equal(t, info.Retriable, (&dataproxy.Error{Code: info.Code}).Retriable(), info.Name)
		delete(sentinels, info.Code)
	}
	require.Empty(t, sentinels)
	require.ErrorIs(t, &dataproxy.Error{Code: 10010, Message: "the payload is empty"}, dataproxy.ErrInvalidMessage)
	require.Equal(t, "unknown", dataproxy.Code(4711).String())
	table := dataproxy.Codes()
	table[0].Name = "changed"
	require.Equal(t, "ok", dataproxy.Codes()[0].Name, "the caller got the table itself")
}

// A code without advice leaves the reader where the error left him.
func TestServerCodesAreComplete(t *testing.T) {
	seen := map[int]bool{}
	for _, c := range dataproxy.ServerCodes() {
		require.False(t, seen[c.Code], "%d is there twice", c.Code)
		seen[c.Code] = true
		require.NotEmpty(t, c.Name, c.Code)
		require.NotEmpty(t, c.Meaning, c.Code)
		require.NotEmpty(t, c.Advice, c.Code)
		require.Equal(t, c.Retriable, (&dataproxy.Error{Code: dataproxy.CodeServerError, ServerCode: c.Code}).Retriable(), c.Code)
		require.False(t, c.Retriable && c.Hopeless, c.Code)
	}
	for _, code := range []int{1, 2, 3, 94, 95, 96, 100, 104, 105, 106, 107, 109, 112, 114, 115, 116, 117, 118, 119, 121, 122, 123, 150, 151} {
		require.True(t, seen[code], "%d, which a node answers over TCP", code)
	}
}

// Anyone who sets retry_on_server_error reads which codes are retried without it: the text must be what the client does.
func TestRetryOptionNamesTheCodesThatAreRetriedByDefault(t *testing.T) {
	var named []int
	for _, o := range dataproxy.OptionTable() {
		if o.Key == "retry_on_server_error" {
			list := regexp.MustCompile(`\(([^)]*)\)`).FindStringSubmatch(o.Doc)[1]
			for item := range strings.SplitSeq(list, ", ") {
				var first, last int
				if n, _ := fmt.Sscanf(item, "%d to %d", &first, &last); n == 1 {
					last = first
				}
				for code := first; code <= last; code++ {
					named = append(named, code)
				}
			}
		}
	}
	var retried []int
	for _, c := range dataproxy.ServerCodes() {
		if c.Retriable {
			retried = append(retried, c.Code)
		}
	}
	require.Equal(t, retried, named)
}

// errors.Is matches by code and only among results; GetServerErrorCode looks through wrapping.
func TestErrorsAreFoundThroughWrapping(t *testing.T) {
	err := fmt.Errorf("shipping: %w", &dataproxy.Error{Code: dataproxy.CodeServerError, ServerCode: 115, GroupID: "g"})
	require.ErrorIs(t, err, dataproxy.ErrServerError)
	require.NotErrorIs(t, err, dataproxy.ErrClosed)
	require.NotErrorIs(t, err, io.EOF)
	var e *dataproxy.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, "g", e.GroupID)
	require.Equal(t, 115, dataproxy.GetServerErrorCode(err))
	for code, retriable := range map[int]bool{1: true, 2: true, 114: true, 115: true, 116: true, 119: true, 3: false, 100: false, 109: false, 123: false, 150: false, 999: false} {
		require.Equal(t, retriable, (&dataproxy.Error{Code: dataproxy.CodeServerError, ServerCode: code}).Retriable(), code)
	}
	for p, text := range map[dataproxy.Persisted]string{dataproxy.NotWritten: "not_written", dataproxy.MaybeWritten: "maybe_written", dataproxy.Acked: "acked", dataproxy.Stored: "stored", 7: "unknown"} {
		require.Equal(t, text, p.String())
	}
}

// A nil *Error in an error interface is not nil: every success would look like a failure.
func TestNoTypedNilIsReturned(t *testing.T) {
	log := newMemoLog()
	client := connect(t, cluster(t), dataproxy.WithLogger(log))
	require.True(t, client.Send(patient(t), message("x")) == nil)
	require.True(t, client.Flush(patient(t)) == nil)
	results := make(chan error, 1)
	client.SendAsync(patient(t), message("x"), func(_ dataproxy.Message, err error) { results <- err })
	require.True(t, <-results == nil)
	_, err := client.(dataproxy.Embedder).SendResult(patient(t), &dataproxy.Message{StreamID: "s", Payload: []byte("x")})
	require.True(t, err == nil)
	require.True(t, client.(dataproxy.Embedder).Submit(patient(t), &dataproxy.Message{StreamID: "s", Payload: []byte("x")}, dataproxy.Tag{}) == nil)
	_, err = client.Shutdown(patient(t))
	require.True(t, err == nil)
	require.Zero(t, log.count(""), "Submit without a result handler is no fault")
}

// What an operator reads first.
func TestErrorTextTellsEverythingKnown(t *testing.T) {
	for _, c := range []struct {
		err  dataproxy.Error
		want string
	}{
		{dataproxy.Error{Code: dataproxy.CodeClosed}, "producer already been closed [code 10003]"},
		{dataproxy.Error{Code: dataproxy.CodeQueueFull, Message: "the bound is reached", GroupID: "g", StreamID: "s"},
			"producer send queue is full: the bound is reached [code 10004, group g, stream s]"},
		{dataproxy.Error{Code: dataproxy.CodeServerError, ServerCode: 115, ServerMessage: "Topic not configured", Node: "h:1", GroupID: "g", StreamID: "s", BatchID: "b-1", Attempts: 3},
			"server error: server code 115 (Topic not configured) [code 10011, node h:1, group g, stream s, batch b-1, attempts 3]"},
		{dataproxy.Error{Code: dataproxy.CodeServerError, ServerCode: 2}, "server error: server code 2 [code 10011]"},
		{dataproxy.Error{Code: dataproxy.CodeServerError, ServerCode: 109, ServerMessage: "a \"quote\"\n2026 ERROR forged"},
			`server error: server code 109 ("a \"quote\"\n2026 ERROR forged") [code 10011]`},
		{dataproxy.Error{Code: dataproxy.CodeLogInvalid, GroupID: "a\nb", StreamID: "plain \"quoted\""}, `input log is invalid [code 10010, group "a\nb", stream plain "quoted"]`},
	} {
		require.Equal(t, c.want, c.err.Error())
	}
}

// The error of a failed message says which batch, node and cause; the caller's context is found in it.
func TestErrorCarriesItsCause(t *testing.T) {
	c := cluster(t, dataproxytest.WithNodes(1))
	c.Node(0).Standing(dataproxytest.Silence())
	client := connect(t, c)
	hurry(t, client)
	ctx, cancel := context.WithTimeoutCause(context.Background(), 20*time.Millisecond, io.ErrUnexpectedEOF)
	defer cancel()
	e := fault(t, client.Send(ctx, message("x")), dataproxy.CodeContextExpired)
	require.NotZero(t, e.BatchID)
	require.Equal(t, c.Node(0).Addr(), e.Node)
	require.Equal(t, "test_group", e.GroupID)
	require.Equal(t, "test_stream", e.StreamID)
	require.Equal(t, 1, e.Attempts)
	require.Equal(t, dataproxy.MaybeWritten, e.Persisted())

	c.Node(0).ClearFaults()
	c.Node(0).ResetConnections()
	c.Node(0).Standing(dataproxytest.CloseAfterRead())
	once := connect(t, c, dataproxy.WithMaxRetries(0))
	e = fault(t, once.Send(patient(t), message("y")), dataproxy.CodeConnClosedByPeer)
	require.ErrorIs(t, e, io.EOF)
}

// Scenario H7: no secret in any error or log line, whatever fails.
func TestH7_NoSecretInErrorsAndLogs(t *testing.T) {
	const id, key = "s3cretId", "s3cretKey"
	encoded := base64.StdEncoding.EncodeToString([]byte(id + ":" + key))
	log := newMemoLog()
	var texts []string
	start := func(opts ...dataproxy.Option) {
		client, err := dataproxy.NewClient(append([]dataproxy.Option{dataproxy.WithLogger(log), dataproxy.WithGroupID("test_group"),
			dataproxy.WithConnTimeout(100 * time.Millisecond), dataproxy.WithManagerTimeout(100 * time.Millisecond), dataproxy.WithUpdateInterval(10 * time.Millisecond)}, opts...)...)
		if err != nil {
			texts = append(texts, err.Error())
			return
		}
		time.AfterFunc(50*time.Millisecond, client.Close)
		texts = append(texts, fmt.Sprint(client.Send(patient(t), message("x")), client.Stats()))
		client.Close()
	}
	for _, f := range []dataproxytest.Fault{dataproxytest.RefuseConnect(), dataproxytest.Silence(), dataproxytest.HTTPStatus(403, ""), dataproxytest.HTTPStatus(500, ""),
		dataproxytest.HTTPBody("<html>"), dataproxytest.Failure("no"), dataproxytest.EmptyList(), dataproxytest.ResetAfterRead()} {
		c := cluster(t)
		c.Manager().Standing(f)
		withUser := strings.Replace(c.URL(), "http://", "http://"+id+":"+key+"@", 1)
		start(dataproxy.WithURL(c.URL()), dataproxy.WithBasicAuth(id, key))
		start(dataproxy.WithURL(withUser))
		start(dataproxy.WithURL(c.URL()), dataproxy.WithAuth(tokens{func(context.Context, string) (string, string, error) { return "Bad Name", key, nil }}))
		start(dataproxy.WithURL(c.URL()), dataproxy.WithAuth(tokens{func(context.Context, string) (string, string, error) { return "X-Token", key + "\r\n", nil }}))
		c.Manager().ClearFaults()
		client := connect(t, c, dataproxy.WithURL(withUser), dataproxy.WithBasicAuth(id, key), dataproxy.WithLogger(log), dataproxy.WithUpdateInterval(10*time.Millisecond))
		c.Manager().Standing(f)
		standing(c, dataproxytest.CloseAfterRead())
		texts = append(texts, fmt.Sprint(client.Send(patient(t), message("x"))))
		client.Close()
	}
	for _, url := range []string{"ftp://" + id + ":" + key + "@h", id + ":" + key + "@h:8083", "http://" + id + ":" + key + "@", "http://" + key + "@h:x",
		"http://h?secretKey=" + key, "http://h#" + key, "http://" + id + ":" + key + "@[::1", "http://h/%zz?" + key} {
		start(dataproxy.WithURL(url))
		start(dataproxy.WithOption("url", url))
	}
	start(dataproxy.WithURL("http://h"), dataproxy.WithOption("basic_auth", ":"+key))
	start(dataproxy.WithURL("http://h"), dataproxy.WithOption("basic_aut", id+":"+key))
	start(dataproxy.WithURL("http://h"), dataproxy.WithBasicAuth("", key), dataproxy.WithAuth(tokens{}))
	log.mu.Lock()
	texts = append(texts, log.lines...)
	log.mu.Unlock()
	require.Greater(t, len(texts), 50)
	for _, text := range texts {
		for _, secret := range []string{key, encoded} {
			require.NotContains(t, text, secret)
		}
	}
}

// A message that runs out of time says what stood in its way: the last answer, the loss of the last connection, or why there is
// no node at all. "No ack in time" alone sends its reader on a hunt.
func TestExpiredMessagesSayWhatStoodInTheirWay(t *testing.T) {
	t.Run("an answer", func(t *testing.T) {
		c := cluster(t)
		standing(c, dataproxytest.ErrorCode(115))
		client := connect(t, c, dataproxy.WithSendTimeout(200*time.Millisecond))
		e := fault(t, client.Send(patient(t), message("x")), dataproxy.CodeSendTimeout)
		require.Equal(t, 115, dataproxy.GetServerErrorCode(e))
		require.Contains(t, e.ServerMessage, "Topic not configured")
		require.Equal(t, dataproxy.NotWritten, e.Persisted())
	})
	t.Run("a connection", func(t *testing.T) {
		c := cluster(t, dataproxytest.WithNodes(1))
		// A node that is killed closes its connections one after the other: a second lane could be written to in between.
		client := connect(t, c, dataproxy.WithSendTimeout(300*time.Millisecond), dataproxy.WithMaxRetries(50), dataproxy.WithWorkerNum(1))
		c.Node(0).Handle(func(dataproxytest.Record) dataproxytest.Fault {
			c.Node(0).Kill()
			return dataproxytest.CloseAfterRead()
		})
		e := fault(t, client.Send(patient(t), message("x")), dataproxy.CodeSendTimeout)
		require.ErrorContains(t, e, "closed the connection")
		require.Equal(t, dataproxy.MaybeWritten, e.Persisted())
		require.Equal(t, 1, e.Attempts)
	})
	t.Run("no node", func(t *testing.T) {
		client, err := dataproxy.NewClient(dataproxy.WithGroupID("test_group"), dataproxy.WithStaticNodes("127.0.0.1:1"),
			dataproxy.WithLazyStart(true), dataproxy.WithSendTimeout(300*time.Millisecond), dataproxy.WithLogger(dataproxy.NopLogger()))
		require.NoError(t, err)
		defer client.Close()
		require.ErrorContains(t, fault(t, client.Send(patient(t), message("x")), dataproxy.CodeSendTimeout), "connection refused")
		contextsEndWith(t, client, "connection refused")
	})
	t.Run("no Manager", func(t *testing.T) {
		client, err := dataproxy.NewClient(dataproxy.WithGroupID("test_group"), dataproxy.WithURL("http://127.0.0.1:1"),
			dataproxy.WithLazyStart(true), dataproxy.WithSendTimeout(300*time.Millisecond), dataproxy.WithLogger(dataproxy.NopLogger()))
		require.NoError(t, err)
		defer client.Close()
		require.ErrorContains(t, fault(t, client.Send(patient(t), message("x")), dataproxy.CodeSendTimeout), "connection refused")
		contextsEndWith(t, client, "connection refused")
	})
}

// contextsEndWith makes sure that who waits no longer than his context hears why no node could be used, too: "context deadline exceeded" alone
// sends him to look for slow acks.
func contextsEndWith(t *testing.T, client dataproxy.Client, cause string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	err := client.Send(ctx, message("x"))
	got := make(chan error, 1)
	async, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	client.SendAsync(async, message("x"), func(_ dataproxy.Message, err error) { got <- err })
	for _, err := range []error{err, <-got} {
		require.ErrorContains(t, fault(t, err, dataproxy.CodeContextExpired), "no ack before the context ended: context deadline exceeded; ")
		require.ErrorContains(t, err, cause)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	}
}

// Callers test for the standard library's errors, whichever of the client's timers was first.
func TestEndedContextsAreToldAsSuch(t *testing.T) {
	c := cluster(t)
	standing(c, dataproxytest.Silence())
	client := connect(t, c)
	hurry(t, client)
	each(20, func(i int) {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
		defer cancel()
		require.ErrorIs(t, client.Send(ctx, streamMessage(fmt.Sprint("s", i), "x")), context.DeadlineExceeded)
	})
	got := make(chan error, 1)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
	defer cancel()
	client.SendAsync(ctx, message("x"), func(_ dataproxy.Message, err error) { got <- err })
	require.ErrorIs(t, <-got, context.DeadlineExceeded)
	ctx, stop := context.WithCancel(context.Background())
	time.AfterFunc(20*time.Millisecond, stop)
	require.ErrorIs(t, client.Send(ctx, message("x")), context.Canceled)
}

// Who refuses at the door names the message too.
func TestRefusalsNameTheirMessage(t *testing.T) {
	client := connect(t, cluster(t))
	ended, end := context.WithCancel(context.Background())
	end()
	e := fault(t, client.Send(ended, message("x")), dataproxy.CodeContextExpired)
	require.Equal(t, [2]string{"test_group", "test_stream"}, [2]string{e.GroupID, e.StreamID})
	client.Close()
	e = fault(t, client.Send(context.Background(), message("x")), dataproxy.CodeClosed)
	require.Equal(t, [2]string{"test_group", "test_stream"}, [2]string{e.GroupID, e.StreamID})
}

// An error that names a node which never had the message sends its reader to the wrong machine.
func TestErrorNamesTheNodeOfTheLastAttempt(t *testing.T) {
	c := cluster(t, dataproxytest.WithNodes(1))
	client := connect(t, c, dataproxy.WithSendTimeout(30*time.Millisecond), dataproxy.WithWorkerNum(1))
	for range 10 {
		eventually(t, "a lane is usable", func() bool { return usableLanes(client) == 1 })
		c.Node(0).Kill() // the lane may take the next batch before it sees that its connection is gone
		var e *dataproxy.Error
		require.ErrorAs(t, client.Send(patient(t), message("x")), &e)
		require.Equal(t, e.Attempts > 0, e.Node != "", "%v", e)
		c.Node(0).Revive()
	}
}
