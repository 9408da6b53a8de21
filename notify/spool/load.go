package spool

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"hacheck/notify"
)

// unseen reports whether the queue has a name that this drain has not dealt
// with.
func (d *drainer) unseen() (bool, error) {
	names, err := d.s.names(queueDir)
	if err != nil {
		return false, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.ContainsFunc(names, func(name string) bool { return !d.seen[name] && !isMarker(name) }), nil
}

// loadNew reads the entries that came since the last time.
func (d *drainer) loadNew(ctx context.Context) error {
	names, err := d.s.names(queueDir)
	if err != nil {
		return err
	}
	d.s.at("drain: listed")
	d.mu.Lock()
	unseen := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return d.seen[name] })
	d.mu.Unlock()
	markers := make(map[string]bool)
	for _, name := range unseen {
		if isMarker(name) {
			markers[name] = true
		}
	}
	var items []*item
	var seen []string
	for _, name := range unseen {
		if ctx.Err() != nil {
			break
		}
		if isMarker(name) {
			continue
		}
		if item, ok := d.loadOne(name, markers); ok {
			if item != nil {
				items = append(items, item)
			}
			seen = append(seen, name)
		}
	}
	d.s.removeOrphans(markers, names)
	d.settle(items)

	d.mu.Lock()
	defer d.mu.Unlock()
	for _, name := range seen {
		d.seen[name] = true
	}
	d.items = slices.DeleteFunc(d.items, func(item *item) bool { return item.gone })
	if len(items) > 0 {
		d.items = append(d.items, items...)
		slices.SortFunc(d.items, byName)
		if d.caughtUp {
			d.newsAt = time.Now()
			if slices.ContainsFunc(items, func(item *item) bool { return item.story == "" }) {
				d.report.Late = d.newsAt
			}
		}
		d.announce()
	}
	d.caughtUp = d.caughtUp || ctx.Err() == nil
	return nil
}

// loadOne reads one entry. It reports whether the name needs no further look;
// the item is nil if there is nothing to do for it.
func (d *drainer) loadOne(name string, markers map[string]bool) (*item, bool) {
	entry, size, err := d.s.readEntry(queueDir, name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, false
	case isDamaged(err):
		return nil, d.setAside(name, err)
	case err != nil:
		d.unreadable(name, err)
		return nil, true
	}
	for _, channel := range d.names {
		if markers[markerName(name, channel)] {
			outcome := entry.outcome(channel)
			outcome.State = Done
			entry.setOutcome(channel, outcome)
		}
	}
	wanted := d.wanted()
	if settled, _ := entry.settled(wanted); settled && len(d.names) > 0 {
		// A drainer was killed between a record and the removal, or a
		// channel has left the configuration.
		fate, absent, err := d.s.alter(name, wanted, "", Outcome{})
		d.lose(entry.Event.ID, subjectOf(entry.Event), entry.Event.State, absent)
		if err != nil {
			d.warn(fmt.Errorf("clear away entry %s: %w", name, err))
		}
		return nil, fate == kept
	}
	item := &item{
		name: name, id: entry.Event.ID, made: entry.made(), loaded: time.Now(), size: size, outcomes: entry.Channels,
		subjects: subjectsOf(entry.Notification()), subject: subjectOf(entry.Event), state: entry.Event.State,
		appended: entry.Event.Priority != nil,
		muted:    entry.Event.Maintenance != nil && entry.Event.Maintenance.Mute,
		ready:    d.policy.Grouping == nil || entry.Story != "",
		story:    entry.Story,
	}
	for _, event := range entry.Earlier {
		item.earlier = append(item.earlier, event.ID)
	}
	if item.outcomes == nil {
		item.outcomes = make(map[string]Outcome)
	}
	for channel, outcome := range item.outcomes {
		// Told alone already, or at least tried: it stays so.
		if !d.immediate[channel] && (outcome.State != Pending || outcome.Attempts > 0) {
			item.ready = true
		}
	}
	d.findSkipped(item, &entry, item.ready)
	return item, true
}

// unreadable reports an entry that may be readable for another account or later:
// it stays, and this drain leaves it alone.
func (d *drainer) unreadable(name string, err error) {
	reason := explain("read entry", d.s.path(queueDir+"/"+name), err).Error()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.report.SetAside = append(d.report.SetAside, Damaged{Name: name, Dir: queueDir, Reason: reason})
}

// findSkipped notes the channels that want nothing of an item, as far as it is
// known what they are told.
func (d *drainer) findSkipped(item *item, entry *Entry, ready bool) {
	skipped := make(map[string]bool)
	for _, channel := range d.channels {
		name := channel.Name()
		if choosy, ok := channel.(notify.Skipper); ok && (ready || d.immediate[name]) {
			_, skipped[name] = choosy.Skips(d.toldTo(name, entry))
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	item.skipped = skipped
}

// toldTo is what a channel is told of an entry. Immediate ones get each event by
// itself: the others have entries of their own, but for those of a reminder.
func (d *drainer) toldTo(channel string, entry *Entry) notify.Notification {
	if !d.immediate[channel] || entry.Story == notify.Reminder {
		return entry.Notification()
	}
	return notify.Notification{Event: entry.Event}
}

// settle takes out of what was loaded the events that a grouped entry tells, as
// a drainer that was killed between the two leaves them, and suspects those that
// seem to report again what another has reported.
func (d *drainer) settle(items []*item) {
	var leftovers []*item
	d.mu.Lock()
	for _, item := range items {
		for _, id := range item.earlier {
			d.told[id] = true
		}
	}
	for _, item := range items {
		if d.told[item.id] && !item.ready {
			item.ready = true
			leftovers = append(leftovers, item)
		}
	}
	d.mu.Unlock()
	if len(leftovers) > 0 {
		if release, err := d.s.lockChanges(context.Background()); err != nil {
			d.warn(err)
		} else {
			d.detach(leftovers)
			release()
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, item := range items {
		if item.ready {
			continue
		}
		newest, ok := d.newest[item.subject]
		if !ok {
			newest = d.memoir(item.subject).Newest
		}
		item.suspect = newest.repeatedBy(item)
		if !item.suspect && !item.made.Before(newest.Time) {
			d.newest[item.subject] = item.sighting()
		}
	}
}

func (i *item) sighting() sighting {
	return sighting{ID: i.id, State: i.state, Time: i.made, Appended: i.appended}
}

// repeatedBy reports whether an event tells this transition once more.
func (s sighting) repeatedBy(item *item) bool {
	limit := sameEvent
	if s.Appended == item.appended {
		limit = sameHook
	}
	return s.ID != item.id && s.State == item.state && item.made.Sub(s.Time).Abs() < limit
}

// dropRepeat takes an event out of the queue that tells what another tells.
func (d *drainer) dropRepeat(item *item) {
	d.forget(item)
	if err := d.s.remove(queueDir, item.name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		d.warn(fmt.Errorf("event %s tells what another has told, but stays: %w", item.id, err))
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.report.Duplicates++
	d.counted.Duplicates++
}

// wanted names the channels that must have had an event before its entry may go.
func (d *drainer) wanted() []string { return slices.Concat(d.names, d.policy.Awaited) }
