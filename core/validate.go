package dataproxy

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"
	"unicode/utf8"
)

const (
	minGroupID   = 4
	maxID        = 200
	maxAttribute = 4 * kib // all attributes of a message, or all added columns, together, as "&key=value"
)

// isReserved reports whether the protocol, the server or this client give an attribute's name a meaning: a user's attribute of that
// name would change how the batch is routed, acked or read. A map would take longer for each item.
func isReserved(name string) bool {
	switch name {
	case "groupId", "streamId", "dt", "cp", "cnt", "mt", "m", "sid", "t", "NodeIP", "messageId", "isAck", "proxySend", "errCode", "errMsg",
		"rtms", "sdkVersion", "_file_status_check", "_secretId", "_signature", "_timeStamp", "_nonce", "_userName", "_clientIP",
		"_encyVersion", "_encyAesKey", "syncSend", "partitionKey", "dpIp", "dpIP", "rt", "node2ip", "rtime2", "mid", "wid", "uniq":
		return true
	}
	return false
}

// CheckStreamID returns what is wrong with the id of a stream, nil if nothing is. It is for a program that gets the id from its
// user and wants to check it before the first message.
func CheckStreamID(id string) error { return checkID("stream id", id, 1) }

func checkGroupID(id string) error { return checkID("group id", id, minGroupID) }

func checkID(field, id string, shortest int) error {
	if len(id) < shortest || len(id) > maxID {
		return fmt.Errorf("%s %q has %d characters: it must have %d to %d", field, cut(id), len(id), shortest, maxID)
	}
	for _, c := range id {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '.' || c == '-') {
			return fmt.Errorf("%s %q has the character %q: only A-Z a-z 0-9 _ . - are allowed", field, cut(id), c)
		}
	}
	return nil
}

func checkAttributes(attributes map[string]string) error {
	if err := checkTotal(attributes); err != nil { // first, because this bounds how much of them is read
		return err
	}
	for k, v := range attributes {
		if err := CheckAttribute(k, v); err != nil {
			return err
		}
	}
	return nil
}

func checkTotal(attributes map[string]string) error {
	total := uint64(0)
	for k, v := range attributes {
		total += uint64(len(k)) + uint64(len(v)) + 2
	}
	return CheckAttributesTotal(total)
}

// CheckAttributesTotal returns what is wrong with attributes of a message that have total bytes together, as "&key=value" each; nil
// if nothing is. It is for an Embedder's caller, who may get lengths that reach beyond the memory.
func CheckAttributesTotal(total uint64) error {
	if total > maxAttribute {
		return fmt.Errorf("the attributes have %d bytes together: they must have %d or less", total, maxAttribute)
	}
	return nil
}

// CheckAttribute returns what is wrong with one attribute of a message, nil if nothing is. It is for a program that adds attributes
// to other programs' messages.
func CheckAttribute(key, value string) error {
	if key == "" {
		return fmt.Errorf("the attribute with value %q has an empty name", cut(value))
	}
	if isReserved(key) {
		return fmt.Errorf("attribute name %q is reserved by the protocol", key)
	}
	if err := checkAttributeText(key); err != nil {
		return fmt.Errorf("attribute name %q %w", cut(key), err)
	}
	err := checkAttributeText(value)
	if key == auditVersion && err == nil {
		err = checkAuditVersion(value)
	}
	if err != nil {
		return fmt.Errorf("value %q of attribute %q %w", cut(value), cut(key), err)
	}
	return nil
}

// auditVersion is the only attribute that a program may set and a node reads: the node counts the batch under that version in its
// audit.
const auditVersion = "auditVersion"

// checkAuditVersion refuses a value that a node would ignore in silence.
func checkAuditVersion(value string) error {
	if n, err := strconv.ParseInt(value, 10, 64); err != nil || strconv.FormatInt(n, 10) != value || n < 0 {
		return fmt.Errorf("must be a number of 0 to %d", math.MaxInt64)
	}
	return nil
}

func checkAttributeText(s string) error {
	if isPlain(s) {
		return nil
	}
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '&' || c == '=' {
			r, _ := utf8.DecodeRuneInString(s[i:])
			return fmt.Errorf("has the character %q: only printable ASCII without & and = is allowed", r)
		}
	}
	if len(s) > 0 && (s[0] == ' ' || s[len(s)-1] == ' ') {
		return errors.New("starts or ends with a blank")
	}
	return nil
}

const (
	eachByte = 0x0101010101010101
	eachTop  = 0x8080808080808080
)

// isPlain reports whether s is certainly valid. It checks eight bytes at a time, at the end the last eight. Subtracting 1 from each
// byte sets the top bit of a byte that was 0, or of one above the lowest such byte; subtracting ' ' sets it only if a byte was
// less. So a word without any top bit has none of them.
func isPlain(s string) bool {
	last := len(s) - 8
	if last < 0 || s[0] == ' ' || s[len(s)-1] == ' ' {
		return false
	}
	for i := 0; ; i = min(i+8, last) {
		b := s[i : i+8]
		w := uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 | uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
		and, equals, del := w^'&'*eachByte, w^'='*eachByte, w^0x7f*eachByte
		if ((w-' '*eachByte)&^w|(and-eachByte)&^and|(equals-eachByte)&^equals|(del-eachByte)&^del|w)&eachTop != 0 {
			return false
		}
		if i == last {
			return true
		}
	}
}

var (
	lastTextTime   = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
	lastBinaryTime = time.Unix(math.MaxInt32, 0).UTC() // consumers read the binary frame's seconds as a signed number
)

// checkTime checks an event time.
func checkTime(t time.Time, format MessageFormat) error {
	last := lastTextTime
	if format == Binary {
		last = lastBinaryTime
	}
	if t.Unix() < 0 || t.After(last) {
		return fmt.Errorf("time %v is out of range: it must be within 1970-01-01 to %s", t.UTC(), last.Format(time.DateOnly))
	}
	return nil
}

// cut keeps a hostile value from filling the log.
func cut(s string) string {
	if len(s) > 64 {
		return s[:64] + "..."
	}
	return s
}
