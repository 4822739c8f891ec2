package dataproxytest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// faultJSON is the JSON form of a Fault. Fields that the kind does not use must be left out.
type faultJSON struct {
	Kind    Kind    `json:"kind"`
	Code    *int    `json:"code,omitempty"`
	Text    *string `json:"text,omitempty"`
	DelayMS *int64  `json:"delay_ms,omitempty"`
	Bytes   *int    `json:"bytes,omitempty"`
	N       *int    `json:"n,omitempty"`
	Rate    *int    `json:"rate,omitempty"`
	Raw     *[]byte `json:"raw,omitempty"` // base64
}

// target says whose fault a kind is.
type target int

const (
	forNode target = 1 << iota
	forManager
	forBoth = forNode | forManager
)

func (t target) String() string {
	if t == forManager {
		return "the Manager"
	}
	return "a node"
}

// kindRule says what a kind needs and may have.
type kindRule struct {
	kind     Kind
	target   target
	needs    []string
	may      []string
	min, max int // of code
}

var kindRules = []kindRule{
	{kind: KindErrorCode, target: forNode, needs: []string{"code"}, may: []string{"text"}, min: 1, max: 9999},
	{kind: KindServiceStopped, target: forNode},
	{kind: KindUnready, target: forNode},
	{kind: KindSilence, target: forBoth},
	{kind: KindCloseAfterRead, target: forBoth},
	{kind: KindResetAfterRead, target: forBoth},
	{kind: KindResetMidFrame, target: forNode, needs: []string{"bytes"}},
	{kind: KindDelay, target: forBoth, needs: []string{"delay_ms"}},
	{kind: KindMalformed, target: forNode, needs: []string{"raw"}},
	{kind: KindDropAnswer, target: forNode},
	{kind: KindDuplicateAnswer, target: forNode},
	{kind: KindReorderAnswers, target: forNode, needs: []string{"n"}},
	{kind: KindSlowRead, target: forNode, needs: []string{"rate"}},
	{kind: KindRefuseConnect, target: forBoth},
	{kind: KindBlackHole, target: forNode},
	{kind: KindDropHeartbeat, target: forNode},
	{kind: KindHTTPStatus, target: forManager, needs: []string{"code"}, may: []string{"text"}, min: 200, max: 599},
	{kind: KindHTTPBody, target: forManager, needs: []string{"text"}},
	{kind: KindFailure, target: forManager, needs: []string{"text"}},
	{kind: KindGroupStatus, target: forManager, needs: []string{"text"}},
	{kind: KindNullList, target: forManager},
	{kind: KindEmptyList, target: forManager},
}

// takes lists the fields beside kind.
func (r kindRule) takes() string {
	if fields := slices.Concat(r.needs, r.may); len(fields) > 0 {
		return strings.Join(fields, ", ")
	}
	return "no fields"
}

func ruleOf(kind Kind) (kindRule, error) {
	for _, r := range kindRules {
		if r.kind == kind {
			return r, nil
		}
	}
	names := make([]string, len(kindRules))
	for i, r := range kindRules {
		names[i] = string(r.kind)
	}
	return kindRule{}, fmt.Errorf("kind: %q is not one of %s", kind, strings.Join(names, ", "))
}

// ParseFault reads the JSON form: an object with "kind", the string of one of the Kind constants, and the fields that
// this kind uses: code, text, delay_ms, bytes, n, rate, raw (base64). The error names the field, its value and the
// rule. Unknown fields are errors.
func ParseFault(data []byte) (Fault, error) {
	var in faultJSON
	if err := decodeStrict(data, &in); err != nil {
		if rule, unknown := ruleOf(in.Kind); unknown == nil {
			return Fault{}, fmt.Errorf("fault: %w; kind %q takes %s", err, in.Kind, rule.takes())
		}
		return Fault{}, fmt.Errorf("fault: %w", err)
	}
	rule, err := ruleOf(in.Kind)
	if err != nil {
		return Fault{}, fmt.Errorf("fault: %w", err)
	}
	f := Fault{Kind: in.Kind}
	given := map[string]bool{
		"code": read(in.Code, &f.Code), "text": read(in.Text, &f.Text), "bytes": read(in.Bytes, &f.Bytes),
		"n": read(in.N, &f.N), "rate": read(in.Rate, &f.Rate), "raw": read(in.Raw, &f.Raw),
		"delay_ms": in.DelayMS != nil,
	}
	if in.DelayMS != nil {
		if ms := *in.DelayMS; ms < 0 || ms > int64(24*time.Hour/time.Millisecond) {
			return Fault{}, fmt.Errorf("fault: delay_ms: %d is outside 0..86400000", ms)
		}
		f.Delay = time.Duration(*in.DelayMS) * time.Millisecond
	}
	for _, field := range []string{"code", "text", "delay_ms", "bytes", "n", "rate", "raw"} {
		needed := slices.Contains(rule.needs, field)
		if needed && !given[field] {
			return Fault{}, fmt.Errorf("fault: %s: missing; kind %q needs it", field, f.Kind)
		}
		if given[field] && !needed && !slices.Contains(rule.may, field) {
			return Fault{}, fmt.Errorf("fault: %s: kind %q does not use it, it takes %s", field, f.Kind, rule.takes())
		}
	}
	if err := f.check(forBoth); err != nil {
		return Fault{}, fmt.Errorf("fault: %w", err)
	}
	return f, nil
}

// MarshalJSON writes the form that ParseFault reads.
func (f Fault) MarshalJSON() ([]byte, error) {
	rule, err := ruleOf(f.Kind)
	if err != nil {
		return nil, fmt.Errorf("fault: %w", err)
	}
	out, ms := faultJSON{Kind: f.Kind}, f.Delay.Milliseconds()
	for _, field := range append(slices.Clone(rule.needs), rule.may...) {
		switch field {
		case "code":
			out.Code = &f.Code
		case "text":
			out.Text = &f.Text
		case "delay_ms":
			out.DelayMS = &ms
		case "bytes":
			out.Bytes = &f.Bytes
		case "n":
			out.N = &f.N
		case "rate":
			out.Rate = &f.Rate
		case "raw":
			out.Raw = &f.Raw
		}
	}
	return json.Marshal(out)
}

// UnmarshalJSON is ParseFault.
func (f *Fault) UnmarshalJSON(data []byte) (err error) {
	*f, err = ParseFault(data)
	return err
}

// check tells what is wrong with a fault for that target.
func (f Fault) check(t target) error {
	rule, err := ruleOf(f.Kind)
	switch {
	case err != nil:
		return err
	case rule.target&t == 0:
		return fmt.Errorf("kind: %q is not a fault of %s", f.Kind, t)
	case rule.max > 0 && (f.Code < rule.min || f.Code > rule.max):
		return fmt.Errorf("code: %d is outside %d..%d", f.Code, rule.min, rule.max)
	case f.Delay < 0:
		return fmt.Errorf("delay: %v is below 0", f.Delay)
	case f.Kind == KindResetMidFrame && f.Bytes < 0:
		return fmt.Errorf("bytes: %d is below 0", f.Bytes)
	case f.Kind == KindReorderAnswers && f.N < 2:
		return fmt.Errorf("n: %d is below 2", f.N)
	case f.Kind == KindSlowRead && f.Rate < 1:
		return fmt.Errorf("rate: %d is below 1", f.Rate)
	case f.Kind == KindMalformed && len(f.Raw) == 0:
		return errors.New("raw: empty; use drop_answer to send nothing")
	}
	return nil
}

// mustFit panics: a wrong fault in Go code is a fault of the test.
func mustFit(f Fault, t target) {
	if err := f.check(t); err != nil {
		panic("dataproxytest: fault: " + err.Error())
	}
}

func read[T any](from *T, into *T) bool {
	if from != nil {
		*into = *from
	}
	return from != nil
}

// decodeStrict refuses unknown fields and anything after the value.
func decodeStrict(data []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("not the expected JSON: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("not the expected JSON: more than one value")
	}
	return nil
}
