package spool

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// usage is when a channel with a rate limit was used. It is written under the
// drain lock.
type usage struct {
	Version int         `json:"version"`
	Channel string      `json:"channel"`
	Times   []time.Time `json:"times"`
}

const usagePrefix = "c-"

func usageFile(channel string) string { return usagePrefix + fileStem(channel, channel) + ".json" }

// limit is a channel's limit, if it has one.
func (d *drainer) limit(channel string) (Limit, bool) {
	limit := d.policy.Limits[channel]
	limit.Count = min(limit.Count, MaxLimit)
	return limit, limit.Count > 0
}

// limited is when a channel may be used again, zero if at once. The caller
// holds d.mu.
func (d *drainer) limited(channel string, now time.Time) time.Time {
	limit, ok := d.limit(channel)
	if !ok {
		return time.Time{}
	}
	times := d.usage(channel, limit, now).Times
	if len(times) < limit.Count {
		return time.Time{}
	}
	return times[len(times)-limit.Count].Add(limit.Per)
}

// usage gives what is known of a channel's use within its limit. The caller
// holds d.mu.
func (d *drainer) usage(channel string, limit Limit, now time.Time) *usage {
	used, ok := d.usages[channel]
	if !ok {
		used = &usage{}
		if data, err := readFile(d.s.states, usageFile(channel), maxState); err != nil || json.Unmarshal(data, used) != nil || used.Version != formatVersion {
			*used = usage{}
		}
		used.Version, used.Channel = formatVersion, channel
		d.usages[channel] = used
	}
	used.Times = slices.DeleteFunc(used.Times, func(at time.Time) bool { return now.Sub(at) >= limit.Per || at.After(now) })
	return used
}

// used notes that a channel was used.
func (d *drainer) used(channel string, now time.Time) {
	d.mu.Lock()
	limit, ok := d.limit(channel)
	if !ok {
		d.mu.Unlock()
		return
	}
	used := d.usage(channel, limit, now)
	used.Times = append(used.Times, now)
	data, err := json.Marshal(used)
	d.mu.Unlock()
	if err == nil {
		err = d.s.writeState(usageFile(channel), data)
	}
	if err != nil {
		d.forgets(fmt.Errorf("remember the use of channel %s: %w", channel, err))
	}
}
