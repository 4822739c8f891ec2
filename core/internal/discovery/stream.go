package discovery

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const streamPath = "/openapi/stream/get"

// Stream returns what the Manager knows of a stream, the object "data" of its answer. It tries the addresses one after the other
// until ctx ends. The answer may hold credentials of the systems that the stream is read from and written to, so no error shows any
// of it.
func (m *Manager) Stream(ctx context.Context, stream string) (json.RawMessage, error) {
	signed, err := m.sign(ctx)
	if err != nil {
		return nil, err
	}
	faults := make([]error, len(m.ListURLs))
	for i, listURL := range m.ListURLs {
		data, err := m.streamAt(ctx, i, streamURL(listURL, m.Group, stream), signed)
		if err == nil {
			return data, nil
		}
		faults[i] = err
	}
	return nil, m.fault(faults)
}

// streamAt asks address i, which may use its share of the time that is left.
func (m *Manager) streamAt(ctx context.Context, i int, target string, signed credentials) (json.RawMessage, error) {
	if at, bounded := ctx.Deadline(); bounded {
		share := time.Until(at) / time.Duration(len(m.ListURLs)-i)
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, share)
		defer cancel()
	}
	body, err := m.exchange(ctx, http.MethodGet, target, signed)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Success *bool           `json:"success"`
		ErrMsg  *string         `json:"errMsg"`
		Data    json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Success == nil {
		return nil, errors.New("what answers is no Manager: its answer is not the JSON of a stream")
	}
	if !*answer.Success {
		return nil, refused(answer.ErrMsg)
	}
	return answer.Data, nil
}

// streamURL returns the url of a stream at the Manager of listURL, which ListURL has made.
func streamURL(listURL, group, stream string) string {
	return strings.TrimSuffix(listURL, listPath) + streamPath + "?" + url.Values{"groupId": {group}, "streamId": {stream}}.Encode()
}
