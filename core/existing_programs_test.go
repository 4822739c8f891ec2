package dataproxy_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
)

// A program's tests put a double in the place of the client: while Client had methods that the existing SDK's does not have, none
// of them compiled.
type double struct {
	group, url string
	payload    []byte
}

func (d *double) Send(_ context.Context, msg dataproxy.Message) error {
	d.payload = msg.Payload
	return nil
}
func (*double) SendAsync(context.Context, dataproxy.Message, dataproxy.Callback) {}
func (*double) Close()                                                           {}

// counted is a wrapper: it overrides a method of whatever Client it holds.
type counted struct {
	dataproxy.Client
	sent int
}

func (c *counted) Send(ctx context.Context, msg dataproxy.Message) error {
	c.sent++
	return c.Client.Send(ctx, msg)
}

// output has the shape of an output plugin of a metrics agent: a client behind the interface, made by a function that its test
// replaces.
type output struct {
	group, stream, url string
	connect            func(group, url string) (dataproxy.Client, error)
	producer           dataproxy.Client
}

func (o *output) Connect() (err error) {
	o.producer, err = o.connect(o.group, o.url)
	return err
}

func (o *output) Write(ctx context.Context, lines ...string) error {
	for _, line := range lines {
		msg := dataproxy.Message{GroupID: o.group, StreamID: o.stream, Payload: []byte(line)}
		if err := o.producer.Send(ctx, msg); err != nil {
			return err
		}
	}
	return nil
}

func (o *output) Close() error {
	o.producer.Close()
	return nil
}

func TestProgramsWithDoublesAndWrappersOfTheClientCompileAndRun(t *testing.T) {
	c := cluster(t)
	for name, connect := range map[string]func(group, url string) (dataproxy.Client, error){
		"a double": func(group, url string) (dataproxy.Client, error) { return &double{group: group, url: url}, nil },
		"handed on": func(group, url string) (dataproxy.Client, error) {
			return dataproxy.NewClient(dataproxy.WithGroupID(group), dataproxy.WithURL(url))
		},
		"by a variable": func(group, url string) (dataproxy.Client, error) {
			producer, err := dataproxy.NewClient(dataproxy.WithGroupID(group), dataproxy.WithURL(url))
			if err != nil {
				return nil, err
			}
			return producer, nil
		},
		"declared before": func(group, url string) (dataproxy.Client, error) {
			var producer dataproxy.Client
			var err error
			if producer, err = dataproxy.NewClient(dataproxy.WithGroupID(group), dataproxy.WithURL(url)); err != nil {
				return nil, err
			}
			return &counted{Client: producer}, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			before := c.Count()
			o := &output{group: "test_group", stream: "test_stream", url: c.URL(), connect: connect}
			require.NoError(t, o.Connect())
			require.NoError(t, o.Write(patient(t), "a", "b"))
			switch producer := o.producer.(type) {
			case *double:
				require.Equal(t, "b", string(producer.payload))
				require.Equal(t, c.URL(), producer.url)
				require.Equal(t, before, c.Count())
			case *counted:
				require.Equal(t, 2, producer.sent)
				require.Equal(t, before+2, c.Count())
			default:
				require.Equal(t, before+2, c.Count())
			}
			require.NoError(t, o.Close())
		})
	}
}

// A failed start must leave nil in a variable of the interface too: a program that closes what is not nil would call a method of
// nothing.
func TestFailedStartLeavesNilInAClientVariable(t *testing.T) {
	var client dataproxy.Client
	client, err := dataproxy.NewClient(dataproxy.WithGroupID("test_group"))
	require.Error(t, err)
	require.True(t, client == nil)
}

type theirLogger struct{}

func (theirLogger) Debug(...any)          {}
func (theirLogger) Info(...any)           {}
func (theirLogger) Warn(...any)           {}
func (theirLogger) Error(...any)          {}
func (theirLogger) Fatal(...any)          {}
func (theirLogger) Panic(...any)          {}
func (theirLogger) Debugf(string, ...any) {}
func (theirLogger) Infof(string, ...any)  {}
func (theirLogger) Warnf(string, ...any)  {}
func (theirLogger) Errorf(string, ...any) {}
func (theirLogger) Fatalf(string, ...any) {}
func (theirLogger) Panicf(string, ...any) {}

type theirBuffers struct{}

func (theirBuffers) Get() *bytes.Buffer { return new(bytes.Buffer) }
func (theirBuffers) Put(*bytes.Buffer)  {}

type theirBytes struct{}

func (theirBytes) Get() []byte { return make([]byte, 4096) }
func (theirBytes) Put([]byte)  {}

type theirAuth struct{}

func (theirAuth) GetToken(context.Context, string) (key, token string, err error) {
	return "Authorization", "x", nil
}

// Every name that the existing SDK's package exports is used here as programs use it, but for NewDiscoverer, whose result has the
// type of another package of theirs.
func TestEveryNameOfTheExistingSDKIsThere(t *testing.T) {
	c := cluster(t)
	opts := []dataproxy.Option{
		dataproxy.WithGroupID("test_group"), dataproxy.WithURL(c.URL()), dataproxy.WithUpdateInterval(time.Minute),
		dataproxy.WithConnTimeout(time.Second), dataproxy.WithWriteBufferSize(1 << 20), dataproxy.WithReadBufferSize(1 << 20),
		dataproxy.WithSocketSendBufferSize(1 << 20), dataproxy.WithSocketRecvBufferSize(1 << 20), dataproxy.WithBufferPool(theirBuffers{}),
		dataproxy.WithBytePool(theirBytes{}), dataproxy.WithBufferPoolSize(1), dataproxy.WithBytePoolSize(1), dataproxy.WithBytePoolWidth(4096),
		dataproxy.WithLogger(theirLogger{}), dataproxy.WithMetricsName("n"), dataproxy.WithMetricsRegistry(prometheus.NewRegistry()),
		dataproxy.WithAuth(theirAuth{}), dataproxy.WithMaxConnLifetime(time.Minute), dataproxy.WithWorkerNum(1),
		dataproxy.WithSendTimeout(time.Second), dataproxy.WithMaxRetries(1), dataproxy.WithRetryOnServerError(true),
		dataproxy.WithRetryInitialInterval(time.Second), dataproxy.WithBatchingMaxPublishDelay(time.Second),
		dataproxy.WithBatchingMaxMessages(1), dataproxy.WithBatchingMaxSize(1 << 10), dataproxy.WithMaxPendingMessages(1),
		dataproxy.WithBlockIfQueueIsFull(true), dataproxy.WithAddColumns(map[string]string{"__addcol1__a": "b"}),
		func(o *dataproxy.Options) { o.WorkerNum = 2 },
	}
	client, err := dataproxy.NewClient(opts...)
	require.NoError(t, err)
	var _ dataproxy.Client = client
	client.Close()

	o := &dataproxy.Options{
		GroupID: "test_group", URL: dataproxy.DefaultURL, UpdateInterval: time.Second, ConnTimeout: time.Second, WriteBufferSize: 1024,
		ReadBufferSize: 1024, SocketSendBufferSize: 1024, SocketRecvBufferSize: 1024, BufferPool: theirBuffers{}, BytePool: theirBytes{},
		BufferPoolSize: 1, BytePoolSize: 1, BytePoolWidth: 1, Logger: theirLogger{}, MetricsName: "a",
		MetricsRegistry: prometheus.NewRegistry(), WorkerNum: 1, SendTimeout: time.Second, MaxRetries: 1, RetryOnServerError: true,
		RetryInitialInterval: time.Second, BatchingMaxPublishDelay: 1, BatchingMaxMessages: 1, BatchingMaxSize: 16, MaxPendingMessages: 1,
		BlockIfQueueIsFull: true, AddColumns: nil, Auth: theirAuth{}, MaxConnLifetime: 0,
	}
	require.NoError(t, o.ValidateAndSetDefault())

	msg := dataproxy.Message{GroupID: "test_group", StreamID: "b", Payload: []byte("x"), Headers: map[string]string{"k": "v"}, MetaData: 1}
	require.True(t, msg.IsValid())
	for _, broken := range []dataproxy.Message{{}, {StreamID: "b", Payload: []byte("x")}, {GroupID: "test_group", Payload: []byte("x")},
		{GroupID: "test_group", StreamID: "b"}, {GroupID: "test group", StreamID: "b", Payload: []byte("x")}} {
		require.False(t, broken.IsValid(), "%+v", broken)
	}
	var callback dataproxy.Callback = func(dataproxy.Message, error) {}
	callback(msg, nil)
	for _, err := range []error{dataproxy.ErrInvalidGroupID, dataproxy.ErrInvalidURL, dataproxy.ErrNoEndpoint,
		dataproxy.ErrNoAvailableWorker, dataproxy.ErrInvalidMessage} {
		require.Error(t, err)
	}
}

// A program that asks for the server's code tells "acked", "refused by a server" and "no server said anything" apart: the last was
// 0 here, as the first.
func TestServerErrorCodeOfAnErrorThatNoServerGave(t *testing.T) {
	require.Equal(t, 0, dataproxy.GetServerErrorCode(nil))
	for _, err := range []error{errors.New("x"), dataproxy.ErrSendTimeout, (*dataproxy.Error)(nil), context.Canceled} {
		require.Equal(t, -1, dataproxy.GetServerErrorCode(err), "%v", err)
	}
	require.Equal(t, 105, dataproxy.GetServerErrorCode(&dataproxy.Error{Code: dataproxy.CodeServerError, ServerCode: 105}))
}

// A program that compares with the existing SDK's sentinel when the url or the group is missing did not find it, and an empty name
// gave metrics without one.
func TestMissingSettingsAreTheExistingSDKsErrors(t *testing.T) {
	_, err := dataproxy.NewClient()
	for _, is := range []error{dataproxy.ErrInvalidURL, dataproxy.ErrInvalidGroupID, dataproxy.ErrURLNotGiven, dataproxy.ErrGroupIDNotGiven} {
		require.ErrorIs(t, err, is)
	}
	require.Equal(t, "URL is not given", dataproxy.ErrURLNotGiven.Error())
	require.NotErrorIs(t, dataproxy.ErrInvalidURL, dataproxy.ErrURLNotGiven)
	for _, unnamed := range []dataproxy.Option{dataproxy.WithMetricsName(""), dataproxy.WithOption("metrics_name", "")} {
		o := valid()
		unnamed(o)
		require.NoError(t, o.ValidateAndSetDefault())
		require.Equal(t, "dataproxy-go", o.MetricsName)
	}
}
