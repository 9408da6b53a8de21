package spool

import (
	"context"
	"fmt"
	"slices"
	"time"

	"hacheck/notify"
)

const (
	// remindPoll is how often a drain that stays looks for FAULTs that last.
	remindPoll = time.Minute
	// remindTime is what a look at all of them may take: each FAULT's facts are
	// gathered anew, and what is known about one of them may hang.
	remindTime = 10 * time.Second
)

// finding is what a look at the node said about a FAULT.
type finding struct {
	fault memory
	event notify.Event
	lasts bool
}

// beginReminder has the node looked at if there are FAULTs that have lasted, and
// not been told of, for long enough. That goes on beside the drain, for which news
// come first, and wait takes the answers.
func (d *drainer) beginReminder(ctx context.Context, now time.Time) {
	if d.findings != nil || now.Before(d.nextRemind) || d.policy.Gather == nil || !d.reminds(now) {
		return
	}
	d.nextRemind = now.Add(remindPoll)
	faults := d.lastingFaults(now)
	if len(faults) == 0 {
		return
	}
	done := make(chan []finding, 1)
	d.findings = done
	go func() {
		ctx, cancel := context.WithTimeout(ctx, remindTime)
		defer cancel()
		var findings []finding
		for _, fault := range faults {
			if ctx.Err() != nil {
				break // the others have their turn later
			}
			event, lasts := d.policy.Gather(ctx, fault.Kind, fault.Name)
			findings = append(findings, finding{fault, event, lasts})
		}
		done <- findings
	}()
}

// reminds reports whether a FAULT that lasts may be told again now.
func (d *drainer) reminds(now time.Time) bool {
	return d.policy.Reminder > 0 && !d.policy.hurried() && !d.mutedUntil().After(now)
}

// lastingFaults are the FAULTs that are to be told again.
func (d *drainer) lastingFaults(now time.Time) (faults []memory) {
	names, err := d.s.stateNames("s-")
	if err != nil {
		d.warn(err)
	}
	slices.Sort(names)
	for _, name := range names {
		last, err := d.s.readState(name)
		if err == nil && last.State == notify.Fault && d.lasts(last, now) {
			faults = append(faults, last)
		}
	}
	return faults
}

// remind puts one notification of the FAULTs that were found to last, or several
// if they do not fit into one.
func (d *drainer) remind(findings []finding, now time.Time) {
	if !d.reminds(now) {
		return
	}
	faults := d.lastingFaults(now) // less those that were told of meanwhile
	var events []notify.Event
	for _, found := range findings {
		fault := found.fault
		if !slices.ContainsFunc(faults, func(other memory) bool { return other.subject() == fault.subject() }) {
			continue
		}
		// What cannot be remembered would be told again by every drain.
		if err := d.noteLook(fault.subject(), now); err != nil {
			d.forgets(err)
			continue
		}
		if found.lasts {
			event := found.event
			event.Kind, event.Name = fault.Kind, fault.Name
			event.State, event.Previous, event.PreviousSince = notify.Fault, notify.Fault, &fault.Since
			events = append(events, event)
		}
	}
	if len(events) == 0 {
		return
	}
	var reminded []subject
	err := inParts(events, func(part []notify.Event) error {
		if err := d.s.put(reminderOf(part)); err != nil {
			return err
		}
		for _, event := range part {
			d.noteReminder(subjectOf(event), now)
			reminded = append(reminded, subjectOf(event))
		}
		return nil
	})
	if err != nil {
		d.warn(fmt.Errorf("remind of a lasting FAULT: %w", err))
	}
	d.supersede(reminded)
}

// reminderOf is the entry that tells of FAULTs again.
func reminderOf(events []notify.Event) Entry {
	last := len(events) - 1
	entry := Entry{Story: notify.Reminder, Event: events[last], Earlier: events[:last]}
	for _, event := range events {
		if entry.Since == nil || event.PreviousSince.Before(*entry.Since) {
			entry.Since = event.PreviousSince
		}
	}
	return entry
}

// lasts reports whether a FAULT is to be told again: long enough after its
// beginning, the last word about it and the last look at it, and if no other word
// waits to be told.
func (d *drainer) lasts(fault memory, now time.Time) bool {
	who := fault.subject()
	d.mu.Lock()
	defer d.mu.Unlock()
	if slices.ContainsFunc(d.items, func(item *item) bool { return !item.gone && !item.ready && item.subject == who }) {
		return false
	}
	memory := d.memoir(who)
	last := latest(lastOf(memory.Told, now), past(fault.Since, now))
	return !last.IsZero() && now.Sub(latest(last, past(memory.Looked, now))) >= d.policy.Reminder
}

func (d *drainer) noteLook(who subject, now time.Time) error {
	d.mu.Lock()
	memory := d.memoir(who)
	memory.Looked = now
	d.mu.Unlock()
	return d.write(who, memory)
}

func (d *drainer) noteReminder(who subject, now time.Time) {
	d.mu.Lock()
	memory := d.memoir(who)
	memory.Told = append(memory.Told, now)
	memory.Told = memory.Told[max(0, len(memory.Told)-maxTimes):]
	d.mu.Unlock()
	d.keep(who, memory)
}

// supersede settles earlier reminders of the same FAULTs, which wait for a
// channel that fails: it is not told them all when it is up again.
func (d *drainer) supersede(reminded []subject) {
	another := func(who subject) bool { return !slices.Contains(reminded, who) }
	d.mu.Lock()
	items := slices.Clone(d.items)
	d.mu.Unlock()
	for _, item := range items {
		if item.story != notify.Reminder || slices.ContainsFunc(item.subjects, another) {
			continue
		}
		for _, name := range d.names {
			if !item.gone && item.outcome(name).State == Pending {
				d.skip(item, name)
			}
		}
	}
}
