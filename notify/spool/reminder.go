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
	// remindTime is what is set aside for it: each FAULT's facts are gathered
	// anew, and what is known about one of them may hang.
	remindTime = 10 * time.Second
)

// remind puts one notification of all FAULTs that have lasted, and not been
// told of, for long enough. It reports whether there is one: news come first,
// so that it does nothing while some are about to be told.
func (d *drainer) remind(ctx context.Context, now time.Time) bool {
	soon := now.Add(remindTime)
	if d.policy.Reminder <= 0 || d.policy.Gather == nil || d.policy.hurried() || d.mutedUntil().After(now) ||
		now.Before(d.nextRemind) || !d.nextCompose.IsZero() && d.nextCompose.Before(soon) {
		return false
	}
	d.nextRemind = now.Add(remindPoll)
	names, err := d.s.stateNames("s-")
	if err != nil {
		d.warn(err)
		return false
	}
	entry := Entry{Story: notify.Reminder}
	var reminded []subject
	for _, name := range names {
		if ctx.Err() != nil || time.Now().After(soon) {
			break // the others have their turn in the next drain
		}
		last, err := d.s.readState(name)
		if err != nil || last.State != notify.Fault || !d.lasts(last, now) {
			continue
		}
		// What cannot be remembered would be told again by every drain.
		who := subject{last.Kind, last.Name}
		if err := d.noteReminder(who, now); err != nil {
			d.forgets(err)
			continue
		}
		event, lasts := d.policy.Gather(ctx, last.Kind, last.Name)
		if !lasts {
			continue
		}
		event.State, event.Previous, event.PreviousSince = notify.Fault, notify.Fault, &last.Since
		if len(reminded) > 0 {
			entry.Earlier = append(entry.Earlier, entry.Event)
		}
		entry.Event = event
		if entry.Since == nil || last.Since.Before(*entry.Since) {
			entry.Since = &last.Since
		}
		reminded = append(reminded, who)
	}
	if len(reminded) == 0 {
		return false
	}
	if err := d.s.put(entry); err != nil {
		d.warn(fmt.Errorf("remind of a lasting FAULT: %w", err))
		return false
	}
	d.supersede(reminded)
	return d.look(ctx) == nil
}

// lasts reports whether a FAULT is to be told again: long enough after its
// beginning and the last word about it, and if no other waits to be told.
func (d *drainer) lasts(fault memory, now time.Time) bool {
	who := subject{fault.Kind, fault.Name}
	d.mu.Lock()
	defer d.mu.Unlock()
	if slices.ContainsFunc(d.items, func(item *item) bool { return !item.gone && !item.ready && item.subject == who }) {
		return false
	}
	told := latest(lastOf(d.memoir(who).Told, now), past(fault.Since, now))
	return !told.IsZero() && now.Sub(told) >= d.policy.Reminder
}

func (d *drainer) noteReminder(who subject, now time.Time) error {
	d.mu.Lock()
	memory := d.memoir(who)
	memory.Told = append(memory.Told, now)
	d.mu.Unlock()
	return d.write(who, memory)
}

// supersede settles earlier reminders of the same FAULTs, which wait for a
// channel that fails: it is not told them all when it is up again.
func (d *drainer) supersede(reminded []subject) {
	another := func(who subject) bool { return !slices.Contains(reminded, who) }
	d.mu.Lock()
	items := slices.Clone(d.items)
	d.mu.Unlock()
	for _, item := range items {
		if !item.reminds || slices.ContainsFunc(item.subjects, another) {
			continue
		}
		for _, name := range d.names {
			if !item.gone && item.outcome(name).State == Pending {
				d.skip(item, name)
			}
		}
	}
}
