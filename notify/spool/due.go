package spool

import "time"

// nextDue is when the next entry is due on one of the channels, or to be told at
// all; zero if nothing will be. The caller holds d.mu.
func (d *drainer) nextDue(channels []string, now time.Time) (next time.Time) {
	earlier := func(due time.Time) {
		if !due.IsZero() && (next.IsZero() || due.Before(next)) {
			next = due
		}
	}
	for _, channel := range channels {
		earlier(d.nextOn(channel, now))
	}
	earlier(d.nextCompose)
	return next
}

// nextOn is when the next entry is due on one channel, zero if nothing will be.
// The caller holds d.mu.
func (d *drainer) nextOn(channel string, now time.Time) time.Time {
	pending, queued := pendingOn(channel, d.items)
	var first time.Time
	for _, item := range pending {
		if !item.tellable(d.immediate[channel]) || queued.waits(item, channel) {
			continue
		}
		if due := d.due(item, channel, now); first.IsZero() || due.Before(first) {
			first = due
		}
	}
	if first.IsZero() {
		return first
	}
	for _, bound := range []time.Time{d.askedUntil(channel, d.items, now), d.pause(channel), d.limited(channel, now)} {
		if first.Before(bound) {
			first = bound
		}
	}
	return first
}

// due is when an entry that is pending on a channel may be tried again, now if at
// once. The caller holds d.mu.
func (d *drainer) due(item *item, channel string, now time.Time) time.Time {
	outcome := item.outcome(channel)
	switch {
	case item.rest.After(now):
		return item.rest
	case d.policy.due(outcome, now):
		return now
	case outcome.Asked:
		return outcome.Next
	}
	return latest(now, d.sooner(outcome.LastAttempt, outcome.Next))
}

// pause is until when a channel that has failed is left alone. The caller holds
// d.mu.
func (d *drainer) pause(channel string) time.Time {
	line := d.lines[channel]
	return d.sooner(line.at, line.until)
}

// sooner is the end of a pause after a failure, which something new shortens.
func (d *drainer) sooner(failed, until time.Time) time.Time {
	if early := failed.Add(d.policy.InitialBackoff); d.newsAt.After(failed) && early.Before(until) {
		return early
	}
	return until
}

// askedUntil is how long the channel's peer has asked to be left alone. The caller
// holds d.mu.
func (d *drainer) askedUntil(channel string, items []*item, now time.Time) (until time.Time) {
	for _, item := range items {
		outcome := item.outcome(channel)
		if !item.gone && outcome.State == Pending && outcome.Asked && !d.policy.due(outcome, now) && outcome.Next.After(until) {
			until = outcome.Next
		}
	}
	return until
}

// latest is the later of two times.
func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
