package spool

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// giveUpAwaited gives up what has waited for long enough for channels that cannot
// be used.
func (d *drainer) giveUpAwaited(now time.Time) {
	d.mu.Lock()
	items := slices.Clone(d.items)
	d.mu.Unlock()
	for _, item := range items {
		for _, name := range d.policy.Awaited {
			d.mu.Lock()
			attempts, old := item.outcome(name).Attempts, d.policy.old(item.made, now)
			d.mu.Unlock()
			if old {
				d.giveUp(item, name, gaveUp(item.made, now, attempts, "the channel could not be used"))
			}
		}
	}
}

// enforceLimits gives up the oldest entries of a queue that is too large, but
// none for which an attempt is being made.
func (d *drainer) enforceLimits(ctx context.Context) {
	reason := fmt.Sprintf("queue full: at most %d entries and %d bytes are kept", d.policy.MaxEntries, d.policy.MaxBytes)
	for ctx.Err() == nil {
		oldest := d.surplus()
		if oldest == nil {
			return
		}
		for _, channel := range d.wanted() {
			d.giveUp(oldest, channel, reason)
		}
		d.mu.Lock()
		stays := !oldest.gone
		d.mu.Unlock()
		if stays {
			return // a channel has begun on it, or it cannot be recorded: at the next look
		}
	}
}

// surplus is the oldest entry of a queue that is too large.
func (d *drainer) surplus() (oldest *item) {
	d.mu.Lock()
	defer d.mu.Unlock()
	tried := map[*item]bool{}
	for _, line := range d.lines {
		tried[line.trying] = true
	}
	var entries int
	var bytes int64
	for _, item := range d.items {
		if item.gone {
			continue
		}
		entries++
		bytes += item.size
		if oldest == nil && !tried[item] {
			oldest = item
		}
	}
	if entries <= d.policy.MaxEntries && bytes <= d.policy.MaxBytes {
		return nil
	}
	return oldest
}
