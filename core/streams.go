package dataproxy

import (
	"fmt"
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"
)

// keptStreams is how many streams are kept before the idle ones are swept out for the first time: a program that names ever
// new streams or attributes must not grow for ever.
const keptStreams = 16384

// streams holds the streams of a client.
type streams struct {
	seed maphash.Seed

	mu     sync.RWMutex
	all    map[streamKey]*stream
	limit  int                          // of all, before the next sweep
	gone   int64                        // messages that streams which were swept out had accepted
	recent [4096]atomic.Pointer[stream] // the last one asked for at each place: it spares most programs the lock and the map
}

// recentAt is where key is in recent, by its ids.
func (s *streams) recentAt(key *streamKey, group string) *atomic.Pointer[stream] {
	h := maphash.String(s.seed, key.stream)
	if key.group != group {
		h ^= maphash.String(s.seed, key.group)
	}
	return &s.recent[h%uint64(len(s.recent))]
}

// stream returns the stream of a message, and the message's attributes where they are not the stream's own. Ids are checked
// when a stream is built; attributes each time, since two sets of them, one of them faulty, may be written alike.
func (c *client) stream(msg *Message) (*stream, string, *Error) {
	key, attributes := streamKey{group: msg.GroupID, stream: msg.StreamID}, ""
	if key.group == "" {
		key.group = c.opts.GroupID
	}
	if len(msg.Attributes) > 0 {
		if err := c.checkAttributes(msg.Attributes); err != nil {
			return nil, "", invalid(key.group, key.stream, err)
		}
		if attributes = joinAttributes(msg.Attributes); !c.opts.Ordered {
			key.attributes, attributes = attributes, ""
		}
	}
	key.itemized = len(msg.ItemAttributes) > 0 && !c.opts.Ordered
	var recent *atomic.Pointer[stream]
	var st *stream
	if len(key.group) <= maxID && len(key.stream) <= maxID { // a longer one is not hashed: all of it would be read
		recent = c.streams.recentAt(&key, c.opts.GroupID)
		if st = recent.Load(); st != nil && st.key == key {
			return st, attributes, nil
		}
		c.streams.mu.RLock()
		st = c.streams.all[key]
		c.streams.mu.RUnlock()
	}
	if st == nil {
		if err := checkGroupID(key.group); err != nil {
			return nil, "", invalid(key.group, key.stream, err)
		}
		if err := CheckStreamID(key.stream); err != nil {
			return nil, "", invalid(key.group, key.stream, err)
		}
		st = c.addStream(key)
	}
	recent.Store(st)
	return st, attributes, nil
}

func invalid(group, name string, err error) *Error {
	return &Error{Code: CodeLogInvalid, Message: err.Error(), GroupID: cut(group), StreamID: cut(name)}
}

func (c *client) checkAttributes(attributes map[string]string) error {
	for k := range attributes {
		if _, twice := c.opts.AddColumns[k]; twice {
			return fmt.Errorf("attribute %q is already added by add_columns", k)
		}
	}
	return checkAttributes(attributes)
}

func (c *client) addStream(key streamKey) *stream {
	// The caller's strings may lie in memory that it re-uses.
	key.stream, key.attributes = strings.Clone(key.stream), strings.Clone(key.attributes)
	if own := c.opts.GroupID; key.group == own {
		key.group = own // one text for all of them, which is not compared byte by byte
	} else {
		key.group = strings.Clone(key.group)
	}
	s := &c.streams
	s.mu.Lock()
	defer s.mu.Unlock()
	if st := s.all[key]; st != nil {
		return st
	}
	if len(s.all) >= s.limit {
		s.sweep()
	}
	// By the ids alone and the same each time: callbacks of one stream never overlap, whatever attributes its messages have, and
	// stay in order when it is swept out and comes back.
	i := maphash.Comparable(s.seed, streamKey{group: key.group, stream: key.stream}) % uint64(len(c.completers))
	st := &stream{
		c: c, key: key, completer: &c.completers[i], share: &c.budget.shares[i], series: c.metrics.streams.series(key.group, key.stream),
		head: []byte("groupId=" + key.group + "&streamId=" + key.stream),
		tail: []byte(c.columns + key.attributes),
	}
	if c.spooler != nil && c.opts.Ordered {
		st.spooled = new(spoolLine)
	}
	st.added = len(st.head) + len(st.tail)
	st.home.Waiter = st
	st.share.streams.Add(1)
	s.all[key] = st
	return st
}

// accepted returns how many messages were ever taken. No atomic counter: it would cost each of them.
func (s *streams) accepted() (messages int64) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	messages = s.gone
	for _, st := range s.all {
		st.mu.Lock()
		messages += st.accepted
		st.mu.Unlock()
	}
	return messages
}

func (s *streams) count() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.all)
}

// sweep removes the streams that hold nothing: one that has batches on their way would come back without its lane, and be overtaken
// by itself. The caller holds mu.
func (s *streams) sweep() {
	for key, st := range s.all {
		st.mu.Lock()
		if m, n := st.held.load(); st.open == nil && st.busy == nil && m == 0 && n == 0 && st.waiters.Load() == 0 && st.spooled.idle() {
			st.gone = true
			s.gone += st.accepted
			if st.linger != nil {
				st.linger.Stop()
			}
			st.share.streams.Add(-1)
			delete(s.all, key)
		}
		st.mu.Unlock()
	}
	s.limit = max(keptStreams, 2*len(s.all))
}
