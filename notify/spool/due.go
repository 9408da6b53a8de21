package spool

import (
	"slices"
	"time"
)

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
	waiting := make(map[subject]bool)
	var first time.Time
	for _, item := range d.items {
		pending := !item.gone && item.outcome(channel).State == Pending
		if !pending || !item.tellable(d.immediate[channel]) || item.waits(waiting) {
			item.hold(waiting, pending)
			continue
		}
		item.hold(waiting, true)
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

// waits reports whether an earlier event of any of the item's subjects is
// pending.
func (i *item) waits(waiting map[subject]bool) bool {
	return slices.ContainsFunc(i.subjects, func(who subject) bool { return waiting[who] })
}

// hold makes later events of the item's subjects wait for it if it is pending.
// One that may be of no account holds nothing up.
func (i *item) hold(waiting map[subject]bool, pending bool) {
	if pending && !i.suspect {
		for _, who := range i.subjects {
			waiting[who] = true
		}
	}
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
