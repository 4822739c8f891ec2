package dataproxy

import (
	"context"
	"errors"
	"fmt"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/row"
)

// AskStream asks the Manager how the rows of a stream are written, for [row.New]. It takes a client's options and uses those that
// concern the Manager: url, group, credentials, TLS and WithManagerTimeout, which bounds it as ctx does. No node is asked and
// nothing stays open. The Manager's answer may hold credentials of the systems that a stream is read from and written to; they are
// not read.
//
// The error is row.ErrNoRows if the stream's messages are not rows, and ErrNoEndpoint if the Manager could not be asked or does not
// know the stream. Otherwise it says what is wrong with the options, or which setting readers disagree about.
func AskStream(ctx context.Context, streamID string, opts ...Option) (*row.Stream, error) {
	var o Options
	for _, opt := range opts {
		if opt != nil {
			opt(&o)
		}
	}
	if err := o.ValidateAndSetDefault(); err != nil {
		return nil, err
	}
	if err := CheckStreamID(streamID); err != nil {
		return nil, err
	}
	manager, err := o.newManager(func(error) {})
	if err != nil {
		return nil, err
	}
	if manager == nil {
		return nil, errors.New("option static_nodes: a Manager must be asked, name it by the option url alone")
	}
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, cancel := context.WithTimeout(ctx, o.ManagerTimeout)
	defer cancel()
	data, err := manager.Stream(ctx, streamID)
	if err != nil {
		return nil, &streamUnknown{streamID, o.GroupID, err}
	}
	stream, err := row.ParseStream(data)
	if err != nil {
		return nil, fmt.Errorf("stream %s of group %s: %w", streamID, o.GroupID, err)
	}
	return stream, nil
}

// streamUnknown is an ErrNoEndpoint whose text speaks of a stream.
type streamUnknown struct {
	stream, group string
	cause         error
}

func (e *streamUnknown) Error() string {
	return fmt.Sprintf("stream %s of group %s: %v", e.stream, e.group, e.cause)
}

func (e *streamUnknown) Unwrap() []error { return []error{ErrNoEndpoint, e.cause} }
