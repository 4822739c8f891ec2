package discovery

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
)

// refused is the error of a Manager's answer without success.
func refused(reason *string) error {
	text := "no reason given"
	if reason != nil {
		text = printable(strings.Join(strings.Fields((*reason)[:min(len(*reason), 300)]), " ")) // in one line
	}
	return fmt.Errorf("the Manager refused: %s", text)
}

// unmarshal is json.Unmarshal with errors that do not name Go's types, which tell the reader nothing.
func unmarshal(data []byte, to any) error {
	err := json.Unmarshal(data, to)
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return fmt.Errorf("%s is a JSON %s", cmp.Or(wrong.Field, "the whole"), wrong.Value)
	}
	return err
}

// ParseList reads the Manager's answer.
func ParseList(body []byte) (List, error) {
	var answer struct {
		Success *bool   `json:"success"`
		ErrMsg  *string `json:"errMsg"`
		Data    *struct {
			MaxPacketLength *int              `json:"maxPacketLength"`
			NodeList        []json.RawMessage `json:"nodeList"`
		} `json:"data"`
	}
	if err := unmarshal(body, &answer); err != nil {
		return List{}, fmt.Errorf("the Manager's answer is not the JSON of a node list: %w: %q", err, body[:min(len(body), 100)])
	}
	if answer.Success == nil {
		return List{}, fmt.Errorf("the Manager's answer has no field \"success\": %q", body[:min(len(body), 100)])
	}
	if !*answer.Success {
		return List{}, refused(answer.ErrMsg)
	}
	if answer.Data == nil {
		return List{}, ErrNoNodes
	}
	var list List
	if n := answer.Data.MaxPacketLength; n != nil && *n > 0 {
		list.MaxPacketLength = *n
	}
	for _, entry := range answer.Data.NodeList { // each alone, so that a bad one does not cost the others
		var n struct {
			IP           string      `json:"ip"`
			Port         json.Number `json:"port"` // a string with a number is accepted, too
			ProtocolType string      `json:"protocolType"`
		}
		if err := unmarshal(entry, &n); err != nil {
			list.Skipped = append(list.Skipped, fmt.Errorf("node %q: %w", entry[:min(len(entry), 100)], err))
			continue
		}
		if n.ProtocolType != "" && !strings.EqualFold(n.ProtocolType, "TCP") {
			continue
		}
		address := net.JoinHostPort(strings.Trim(n.IP, "[] "), cmp.Or(n.Port.String(), "0"))
		if err := CheckAddress(address); err != nil {
			list.Skipped = append(list.Skipped, err)
			continue
		}
		list.Nodes = append(list.Nodes, address)
	}
	if len(list.Nodes) == 0 {
		if len(list.Skipped) > 0 {
			return List{}, fmt.Errorf("%w: %w", ErrNoNodes, list.Skipped[0])
		}
		return List{}, ErrNoNodes
	}
	slices.Sort(list.Nodes)
	list.Nodes = slices.Compact(list.Nodes)
	return list, nil
}
