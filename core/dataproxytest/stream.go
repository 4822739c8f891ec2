package dataproxytest

import (
	"maps"
	"net/http"
)

type streamAnswer struct {
	Success bool           `json:"success"`
	ErrMsg  *string        `json:"errMsg"`
	Data    map[string]any `json:"data"`
}

// noStream is the real one's text for a group or stream that it does not know.
const noStream = "Inlong stream does not exist/no operation permission"

// SetStream changes what the Manager says of a stream: data's fields replace those of a stream that was made with nothing but its name,
// rows of CSV with the separator "124" and no escape character. The fields are those of the real answer that concern rows: dataType,
// dataSeparator, kvSeparator, lineSeparator, dataEscapeChar, dataEncoding, fieldList, wrapType, status. nil takes the changes back.
func (m *Manager) SetStream(group, stream string, data map[string]any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if data == nil {
		delete(m.streams, group+"/"+stream)
		return
	}
	m.streams[group+"/"+stream] = maps.Clone(data)
}

func (m *Manager) stream(r *http.Request, f Fault) any {
	group, stream := r.Form.Get("groupId"), r.Form.Get("streamId")
	switch {
	case f.Kind == KindFailure:
		return failure(f.Text)
	case r.Method != http.MethodGet || group == "" || stream == "":
		return failure(serviceError)
	case !m.cluster.opts.groupKnown(group) || !m.cluster.opts.topicKnown([]byte(group), []byte(stream)):
		return failure(noStream)
	}
	data := map[string]any{
		"id": 1, "inlongGroupId": group, "inlongStreamId": stream, "name": stream, "dataType": "CSV", "dataEncoding": "UTF-8",
		"dataSeparator": "124", "kvSeparator": nil, "lineSeparator": nil, "dataEscapeChar": nil, "wrapType": "INLONG_MSG_V0",
		"ignoreParseError": true, "predefinedFields": nil, "maxLength": nil, "syncSend": 0, "status": 130, "version": 1,
		"fieldList": []any{}, "extList": []any{}, "sourceList": []any{}, "sinkList": []any{},
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	maps.Copy(data, m.streams[group+"/"+stream])
	return streamAnswer{Success: true, Data: data}
}
