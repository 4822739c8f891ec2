package dataproxy

import (
	"context"
	"fmt"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/discovery"
)

// firstList gets the nodes at the start: from the options, the file with the Manager's last answer, or the Manager. fresh means
// that the Manager need not be asked soon.
func (c *client) firstList() (fresh bool, err error) {
	if c.manager == nil {
		c.conns.SetNodes(c.opts.StaticNodes)
		return true, nil
	}
	var noCache error
	if c.opts.NodeCache != "" {
		var list discovery.List
		if list, noCache = (discovery.Cache{Path: c.opts.NodeCache}).Load(c.manager); noCache == nil {
			c.take(list)
			return false, nil
		}
	}
	if err = c.refresh(); err != nil && noCache != nil {
		err = fmt.Errorf("%w; option node_cache: %w", err, noCache)
	}
	return err == nil, err
}

// refresh asks the Manager. On any failure the last good list stays.
func (c *client) refresh() error {
	ctx, cancel := context.WithTimeout(c.ctx, c.opts.ManagerTimeout)
	defer cancel()
	list, err := c.manager.Fetch(ctx)
	if err != nil {
		c.conns.NoList(err)
		return err
	}
	for _, skipped := range list.Skipped {
		c.log.Warnf("the Manager lists an unusable node: %v", subject(skipped.Error()))
	}
	if c.opts.NodeCache != "" {
		if err := (discovery.Cache{Path: c.opts.NodeCache}).Store(c.manager, list); err != nil {
			c.log.Warnf("option node_cache: %v", err)
		}
	}
	c.take(list)
	return nil
}

func (c *client) take(list discovery.List) {
	limit := c.opts.MaxFrameSize
	if list.MaxPacketLength > 0 {
		limit = min(limit, list.MaxPacketLength)
	}
	c.frameLimit.Store(int64(limit))
	c.conns.SetNodes(list.Nodes)
}
