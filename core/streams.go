package dataproxy

import (
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// keptStreams is how many streams are kept before idle ones are swept out for the first time. Otherwise a program that uses new
// streams or attributes all the time would grow for ever.
const keptStreams = 16384

// streams holds the streams of a client.
type streams struct {
	seed maphash.Seed

	mu     sync.RWMutex
	all    map[streamKey]*stream
	limit  int                          // number of streams that starts the next sweep
	gone   int64                        // messages that swept streams had accepted
	recent [4096]atomic.Pointer[stream] // the stream last asked for at each place, so that most sends need neither lock nor map
}

func (s *streams) init() {
	s.all, s.seed, s.limit = make(map[streamKey]*stream), maphash.MakeSeed(), keptStreams
}

// recentAt returns the place of key in recent, by its ids.
func (s *streams) recentAt(key *streamKey, group string) *atomic.Pointer[stream] {
	h := maphash.String(s.seed, key.stream)
	if key.group != group {
		h ^= maphash.String(s.seed, key.group)
	}
	return &s.recent[h%uint64(len(s.recent))]
}

// stream returns the stream of a message, and the message's attributes if they are not the stream's own. Ids are checked when a
// stream is built. Attributes are checked each time, since a faulty set may look the same as a valid one when written as text.
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
	if len(key.group) <= maxID && len(key.stream) <= maxID { // a longer one is not hashed, since that would read all of it
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
	// The caller's strings may be in memory that it reuses.
	key.stream, key.attributes = strings.Clone(key.stream), strings.Clone(key.attributes)
	if own := c.opts.GroupID; key.group == own {
		key.group = own // one text for all of them, so that comparing it is a comparison of pointers
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
	// The worker depends on the ids alone and is always the same. So callbacks of one stream never overlap, whatever attributes its
	// messages have, and stay in order when the stream is swept out and built again.
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

// accepted returns how many messages were taken so far. There is no atomic counter, because each message would pay for it.
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

// list returns the streams that there are now. None is locked, and new ones may come.
func (s *streams) list() []*stream {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.AppendSeq(make([]*stream, 0, len(s.all)), maps.Values(s.all))
}

func (s *streams) count() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.all)
}

// sweep removes the streams that hold nothing. A stream with batches on their way stays: built again, it would choose another lane
// and overtake itself. The caller holds mu.
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
