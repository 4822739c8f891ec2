package dataproxytest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
)

// Cluster is a Manager and its DataProxy nodes.
type Cluster struct {
	opts    options
	manager *Manager
	rec     *recorder
	connIDs atomic.Uint64
	wg      sync.WaitGroup // every goroutine of the cluster

	mu     sync.Mutex
	nodes  []*Node // by index; a removed node stays
	closed bool
}

// TB is the part of testing.TB that Start uses.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
	Cleanup(func())
}

// Start starts a cluster that is closed at the end of the test, and fails the test if that is not possible. A nil t
// is allowed: Start then panics instead, and the caller closes.
func Start(t TB, opts ...Option) *Cluster {
	c, err := NewCluster(opts...)
	if t == nil {
		if err != nil {
			panic(err)
		}
		return c
	}
	t.Helper()
	if err != nil {
		t.Fatalf("dataproxytest: %v", err)
	}
	t.Cleanup(c.Close)
	return c
}

// NewCluster starts a cluster. The error names the option that is wrong, or the socket that could not be opened.
func NewCluster(opts ...Option) (*Cluster, error) {
	o := defaults()
	for _, opt := range opts {
		opt(&o)
	}
	if err := o.validate(); err != nil {
		return nil, err
	}
	if err := o.settleAddresses(); err != nil {
		return nil, err
	}
	c := &Cluster{opts: o, rec: newRecorder(o.recording)}
	var err error
	if c.manager, err = startManager(c); err != nil {
		return nil, err
	}
	for range o.nodes {
		if _, err := c.addNode(); err != nil {
			c.Close()
			return nil, err
		}
	}
	return c, nil
}

// URL returns the Manager's base url, such as http://127.0.0.1:8083.
func (c *Cluster) URL() string { return c.manager.URL() }

// Manager returns the cluster's Manager.
func (c *Cluster) Manager() *Manager { return c.manager }

// Nodes returns every node that was ever added, removed ones included, so that Nodes()[i].Index() is i.
func (c *Cluster) Nodes() []*Node {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]*Node(nil), c.nodes...)
}

// Node returns the node of that index, or nil.
func (c *Cluster) Node(index int) *Node {
	c.mu.Lock()
	defer c.mu.Unlock()
	if index < 0 || index >= len(c.nodes) {
		return nil
	}
	return c.nodes[index]
}

// AddNode starts one more node and lists it. It panics if no socket can be opened or the cluster is closed.
func (c *Cluster) AddNode() *Node {
	n, err := c.addNode()
	if err != nil {
		panic("dataproxytest: " + err.Error())
	}
	return n
}

var errClosed = errors.New("the cluster is closed")

func (c *Cluster) addNode() (*Node, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, errClosed
	}
	index, port := len(c.nodes), 0
	if index < len(c.opts.nodePorts) {
		port = c.opts.nodePorts[index]
	}
	n, err := startNode(c, index, port)
	if err != nil {
		return nil, fmt.Errorf("node %d: %w", index, err)
	}
	c.nodes = append(c.nodes, n)
	return n, nil
}

// RemoveNode takes the node off the Manager's list. It keeps running, as a node that is being retired does.
func (c *Cluster) RemoveNode(n *Node) { n.listed.Store(false) }

// ListNode puts a removed node back on the list.
func (c *Cluster) ListNode(n *Node) { n.listed.Store(true) }

func (c *Cluster) listed() []*Node {
	var list []*Node
	for _, n := range c.Nodes() {
		if n.listed.Load() {
			list = append(list, n)
		}
	}
	return list
}

// Close stops everything: connections are reset, ports are given back. It returns when no goroutine is left. Closing
// twice is allowed. What was recorded stays readable.
func (c *Cluster) Close() {
	c.mu.Lock()
	c.closed = true
	nodes := c.nodes
	c.mu.Unlock()
	for _, n := range nodes {
		n.close()
	}
	c.manager.close()
	c.wg.Wait()
}
