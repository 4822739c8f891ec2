package main

import (
	"context"
	"maps"
	"strings"
	"time"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/inlongmsg"
)

// frame is what arrived of one frame, as a consumer sees it.
type frame struct {
	format     string // text or binary
	attributes map[string]string
	items      [][]byte
	count      int       // of items, as the frame says; 0: it does not
	time       time.Time // the event time
	order      int64     // of arrival at the nodes; equal ones may have come in either order
	compressed *bool     // by the sender; nil: that cannot be seen
	broken     string    // why items may be missing
}

// source is where what arrived is read.
type source interface {
	// read returns what arrived since the source was opened, by tag, as soon as enough says so and then a moment for what is
	// too much, or when the time is over.
	read(ctx context.Context, enough func(map[string][]frame) bool) (map[string][]frame, error)
	describe() string
	close()
}

// columnPrefix starts the name of the added column that carries the tag.
const columnPrefix = "__addcol1__"

// tagPrefix starts payloads of a plan that may have no attribute.
func tagPrefix(tag string) string { return tagAttribute + "=" + tag + ";" }

// tag returns the plan that the frame belongs to, "" if it is none of ours.
func (f *frame) tag() string {
	for _, key := range []string{tagAttribute, columnPrefix + tagAttribute} {
		if tag := f.attributes[key]; tag != "" {
			return tag
		}
	}
	if len(f.items) > 0 {
		if rest, ok := strings.CutPrefix(string(f.items[0]), tagAttribute+"="); ok {
			tag, _, _ := strings.Cut(rest, ";")
			return tag
		}
	}
	return ""
}

func (f *frame) addTo(frames map[string][]frame) {
	if tag := f.tag(); tag != "" {
		frames[tag] = append(frames[tag], *f)
	}
}

// recorder reads what the fake cluster kept.
type recorder struct{ cluster *dataproxytest.Cluster }

func (r recorder) describe() string { return "the fake cluster's recorder" }
func (r recorder) close()           {}

// read does not wait: what was acked was recorded before.
func (r recorder) read(context.Context, func(map[string][]frame) bool) (map[string][]frame, error) {
	frames := make(map[string][]frame)
	r.cluster.Each(func(rec dataproxytest.Record) bool {
		if rec.Kept {
			f := frame{format: map[byte]string{5: "text", 7: "binary"}[rec.Type], attributes: rec.Attr, items: rec.Items,
				time: rec.EventTime, order: int64(rec.Seq), compressed: &rec.Compressed}
			if !rec.Whole {
				f.broken = "the body cannot be read to its end"
			}
			for _, group := range f.groups(rec.ItemAttrs) {
				group.addTo(frames)
			}
		}
		return true
	})
	return frames, nil
}

// groups are the items of a frame as a consumer gets them: by the attributes that each has beside the frame's, nil for none at all.
func (f *frame) groups(own []string) (groups []frame) {
	if own == nil {
		return []frame{*f}
	}
	places := make(map[string]int)
	for i, text := range own {
		place, known := places[text]
		if !known {
			place = len(groups)
			places[text] = place
			group := *f
			group.items = nil
			group.attributes = inlongmsg.Attributes(text)
			maps.Copy(group.attributes, f.attributes)
			groups = append(groups, group)
		}
		groups[place].items = append(groups[place].items, f.items[i])
	}
	return groups
}

// framesOf turns a value of the message queue into frames.
func framesOf(value []byte) (frames []frame, err error) {
	m, err := inlongmsg.Decode(value)
	if err != nil {
		return nil, err
	}
	for _, b := range m.Blocks {
		f := frame{format: "text", attributes: inlongmsg.Attributes(b.Attr), items: b.Items, count: b.Count, time: b.Time}
		if m.Version == inlongmsg.VersionBinary {
			f.format = "binary" // and compressed by the node, if not by us
		} else {
			compressed := f.attributes["cp"] != ""
			f.compressed = &compressed
		}
		if len(m.Blocks) > 1 {
			f.count = 0 // that of all blocks
		}
		f.order = receivedAt(f.attributes)
		frames = append(frames, f)
	}
	return frames, nil
}
