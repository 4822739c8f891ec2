package spool

import (
	"math/rand/v2"
	"slices"
)

// sector is what a disk writes in one piece.
const sector = 512

// sectors is the number of pieces in which c may be lost.
func (c dataChange) sectors() int {
	if c.data == nil {
		return 1
	}
	return int((c.off+int64(len(c.data))-1)/sector - c.off/sector + 1)
}

// apply makes the change to the bytes of a file, in a copy, as far as its pieces are kept.
func (c dataChange) apply(b []byte, kept func(piece int) bool) []byte {
	b = slices.Clone(b)
	if c.data == nil {
		if kept(0) && int64(len(b)) > c.off {
			b = b[:c.off]
		}
		return b
	}
	for i := range c.sectors() {
		if !kept(i) {
			continue
		}
		start := max(c.off, (c.off/sector+int64(i))*sector)
		end := min(c.off+int64(len(c.data)), (c.off/sector+int64(i)+1)*sector)
		if int64(len(b)) < end {
			b = append(b, make([]byte, end-int64(len(b)))...)
		}
		copy(b[start:end], c.data[start-c.off:])
	}
	return b
}

// choices is the number of things that a power cut may keep or lose now, each by itself: changes of names, pieces of writes, cuts, and
// for each file its length without its data.
func (m *memFS) choices() (n int) {
	for _, d := range m.dirs {
		n += len(d.pending)
	}
	for _, node := range m.nodes() {
		for _, c := range node.pending {
			n += c.sectors()
		}
		if len(node.pending) > 0 {
			n++
		}
	}
	return n
}

// nodes returns the files that have or may have a name, in a fixed order.
func (m *memFS) nodes() (nodes []*memNode) {
	for _, dir := range sortedNames(m.dirs) {
		d := m.dirs[dir]
		for _, names := range []map[string]*memNode{d.durable, d.now} {
			for _, name := range sortedNames(names) {
				if !slices.Contains(nodes, names[name]) {
					nodes = append(nodes, names[name])
				}
			}
		}
		for _, c := range d.pending {
			if c.node != nil && !slices.Contains(nodes, c.node) {
				nodes = append(nodes, c.node)
			}
		}
	}
	return nodes
}

func sortedNames[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// cut returns what is on the disk after a power cut that kept what kept says.
func (m *memFS) cut(kept func(choice int) bool) *memFS {
	out := &memFS{dirs: map[string]*memDir{}}
	next := 0
	choose := func() bool {
		next++
		return kept(next - 1)
	}
	names := map[string]map[string]*memNode{}
	for _, dir := range sortedNames(m.dirs) {
		d := m.dirs[dir]
		names[dir] = map[string]*memNode{}
		for name, n := range d.durable {
			names[dir][name] = n
		}
		for _, c := range d.pending {
			if !choose() {
				continue
			}
			if c.from != "" {
				if c.node != nil && names[dir][c.from] != c.node {
					continue // there is nothing of that name to be renamed
				}
				delete(names[dir], c.from)
			}
			if c.node != nil {
				names[dir][c.to] = c.node
			}
		}
	}
	made := map[*memNode]*memNode{}
	for _, n := range m.nodes() {
		b := n.durable
		for _, c := range n.pending {
			first := next
			b = c.apply(b, func(piece int) bool { return kept(first + piece) })
			next += c.sectors()
		}
		if len(n.pending) > 0 && choose() && len(b) < len(n.now) {
			b = append(slices.Clone(b), make([]byte, len(n.now)-len(b))...)
		}
		made[n] = &memNode{now: b, durable: b}
	}
	for dir := range names {
		out.dirs[dir] = newMemDir()
		for name, n := range names[dir] {
			out.dirs[dir].now[name], out.dirs[dir].durable[name] = made[n], made[n]
		}
	}
	return out
}

// kill returns what is on the disk after the end of the process: all that was written.
func (m *memFS) kill() *memFS {
	out := m.cut(func(int) bool { return true })
	for dir, d := range m.dirs { // names as they are, also where an old file has a new one's
		out.dirs[dir] = newMemDir()
		for name, n := range d.now {
			copied := &memNode{now: n.now, durable: n.now}
			out.dirs[dir].now[name], out.dirs[dir].durable[name] = copied, copied
		}
	}
	return out
}

// mostExhaustive is how many choices are tried in all combinations.
const mostExhaustive = 6

// cuts calls f for each state that a power cut may leave now, where they are few; else for each prefix, for all that keep or lose one
// of the latest things alone, and for some at random.
func (m *memFS) cuts(rng *rand.Rand, f func(*memFS)) {
	n := m.choices()
	if n <= mostExhaustive {
		for bits := range 1 << n {
			f(m.cut(func(i int) bool { return bits>>i&1 == 1 }))
		}
		return
	}
	for end := range n + 1 {
		f(m.cut(func(i int) bool { return i < end }))
	}
	for one := n - mostExhaustive; one < n; one++ {
		f(m.cut(func(i int) bool { return i == one }))
		f(m.cut(func(i int) bool { return i != one }))
	}
	for range mostExhaustive {
		bits := make([]bool, n)
		for i := range bits {
			bits[i] = rng.IntN(2) == 0
		}
		f(m.cut(func(i int) bool { return bits[i] }))
	}
}
