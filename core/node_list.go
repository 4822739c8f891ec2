package dataproxy

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/connections"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/discovery"
)

// nodeList brings the connections the nodes: those of the options, or the Manager's.
type nodeList struct {
	opts       *Options
	manager    *discovery.Manager // nil with static nodes
	log        *limitedLog
	ctx        context.Context // ends the questions to the Manager
	conns      *connections.Set[*batch]
	frameLimit atomic.Int64 // max_frame_size, or what the Manager says if that is less
}

// first gets the nodes at the start: from the options, the file with the Manager's last answer, or the Manager. fresh means
// that the Manager need not be asked soon.
func (l *nodeList) first() (fresh bool, err error) {
	if l.manager == nil {
		l.conns.SetNodes(l.opts.StaticNodes)
		return true, nil
	}
	var noCache error
	if l.opts.NodeCache != "" {
		var list discovery.List
		if list, noCache = (discovery.Cache{Path: l.opts.NodeCache}).Load(l.manager); noCache == nil {
			l.take(list)
			return false, nil
		}
	}
	if err = l.refresh(); err != nil && noCache != nil {
		err = fmt.Errorf("%w; option node_cache: %w", err, noCache)
	}
	return err == nil, err
}

// refresh asks the Manager. On any failure the last good list stays.
func (l *nodeList) refresh() error {
	ctx, cancel := context.WithTimeout(l.ctx, l.opts.ManagerTimeout)
	defer cancel()
	list, err := l.manager.Fetch(ctx)
	if err != nil {
		l.conns.NoList(err)
		return err
	}
	for _, skipped := range list.Skipped {
		l.log.Warnf("the Manager lists an unusable node: %v", subject(skipped.Error()))
	}
	if l.opts.NodeCache != "" {
		if err := (discovery.Cache{Path: l.opts.NodeCache}).Store(l.manager, list); err != nil {
			l.log.Warnf("option node_cache: %v", err)
		}
	}
	l.take(list)
	return nil
}

func (l *nodeList) take(list discovery.List) {
	limit := l.opts.MaxFrameSize
	if list.MaxPacketLength > 0 {
		limit = min(limit, list.MaxPacketLength)
	}
	l.frameLimit.Store(int64(limit))
	l.conns.SetNodes(list.Nodes)
}
