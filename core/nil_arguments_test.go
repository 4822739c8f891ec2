package dataproxy_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
)

// A nil context was a nil dereference inside the library, even after the message was accepted: its result reached nobody.
func TestNilContextIsTheBackground(t *testing.T) {
	c := cluster(t)
	client, _ := embedder(t, c)
	var none context.Context
	msg := message("x")
	require.NoError(t, client.Send(none, msg))
	require.Empty(t, client.SendBatch(none, []dataproxy.Message{msg, msg}))
	require.NoError(t, client.Submit(none, &msg, dataproxy.Tag{A: 1}))
	accepted, err := client.SubmitMany(none, &msg, [][]byte{[]byte("y")}, []dataproxy.Tag{{A: 2}}, true)
	require.NoError(t, err)
	require.Equal(t, 1, accepted)
	accepted, err = client.SubmitPacked(none, &msg, []byte("zz"), []uint32{1, 1}, dataproxy.Tag{A: 3}, true)
	require.NoError(t, err)
	require.Equal(t, 2, accepted)
	_, err = client.SendResult(none, &msg)
	require.NoError(t, err)
	done := make(chan error, 1)
	client.SendAsync(none, msg, func(_ dataproxy.Message, err error) { done <- err })
	require.NoError(t, <-done)
	require.NoError(t, client.Flush(none))
	_, err = client.Shutdown(none)
	require.NoError(t, err)
	require.Equal(t, 9, c.Count())
}

// A full queue is where a context is waited on.
func TestNilContextWaitsForRoom(t *testing.T) {
	c := cluster(t)
	client := connect(t, c, dataproxy.WithWorkerNum(1), dataproxy.WithMaxPendingMessages(10), dataproxy.WithBlockIfQueueIsFull(true))
	var none context.Context
	for i := range 100 {
		client.SendAsync(none, streamMessage("s", "%d", i), nil)
	}
	require.NoError(t, client.Flush(patient(t)))
	require.Equal(t, 100, c.Count())
}

// Nothing that a caller leaves out may be dereferenced: a nil message is refused as an empty one is, nil options are an error, a nil
// result is a success.
func TestNilMessagesOptionsAndErrors(t *testing.T) {
	client, _ := embedder(t, cluster(t))
	fault(t, client.Submit(patient(t), nil, dataproxy.Tag{}), dataproxy.CodeLogInvalid)
	_, err := client.SubmitMany(patient(t), nil, [][]byte{[]byte("x")}, []dataproxy.Tag{{}}, true)
	fault(t, err, dataproxy.CodeLogInvalid)
	_, err = client.SendResult(patient(t), nil)
	fault(t, err, dataproxy.CodeLogInvalid)

	require.Error(t, (*dataproxy.Options)(nil).ValidateAndSetDefault())
	require.False(t, (*dataproxy.Message)(nil).IsValid())
	var none *dataproxy.Error
	require.NotPanics(t, func() {
		require.Equal(t, "success", none.Error())
		require.False(t, none.Is(dataproxy.ErrClosed))
		require.False(t, dataproxy.ErrClosed.Is(none))
		require.NoError(t, none.Unwrap())
		require.False(t, none.Retriable())
		require.Equal(t, dataproxy.Acked, none.Persisted())
	})
	made, err := dataproxy.NewClient(append(basics(cluster(t)), nil)...)
	require.NoError(t, err)
	made.Close()
}
