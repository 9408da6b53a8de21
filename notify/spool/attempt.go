package spool

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"slices"
	"time"

	"hacheck/notify"
)

// work is one channel's goroutine.
func (d *drainer) work(ctx context.Context, channel notify.Notifier) {
	for {
		d.mu.Lock()
		load, items := d.load, slices.Clone(d.items)
		d.mu.Unlock()
		d.walk(ctx, channel, items)
		if !d.waitForMore(ctx, channel.Name(), load) {
			return
		}
	}
}

// waitForMore waits until there is something new since the given load, and
// returns false when all channels wait.
func (d *drainer) waitForMore(ctx context.Context, name string, load int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	line := d.lines[name]
	line.resting = true
	defer func() { line.resting = false }()
	if d.load == load {
		d.idle++ // a load sets it back to zero
		if d.idle == len(d.channels) {
			d.over, d.workedOff = true, load
			d.cond.Broadcast()
		}
	}
	for d.load == load && !d.over && ctx.Err() == nil {
		d.cond.Wait()
	}
	return d.load != load && ctx.Err() == nil
}

// walk takes one channel through the entries in the order of their events. While
// the channel fails, what was tried longest ago comes first, so that entries which
// the receiver never takes hold up no others; even then an event comes after the
// earlier ones of its instance.
func (d *drainer) walk(ctx context.Context, channel notify.Notifier, items []*item) {
	for d.walkOnce(ctx, channel, items) {
	}
}

// walkOnce reports whether to walk again: an entry arrived, and another one was
// passed by that had waited for it, or the channel had failed before.
func (d *drainer) walkOnce(ctx context.Context, channel notify.Notifier, items []*item) bool {
	name := channel.Name()
	d.mu.Lock()
	hold := d.askedUntil(name, items, time.Now())
	d.mu.Unlock()
	turns, queued, failing := d.turns(name, items)
	var arrived, waited bool
	for _, item := range turns {
		if ctx.Err() != nil {
			return false
		}
		now := time.Now()
		d.mu.Lock()
		seen, outcome, line, enough := *item, item.outcome(name), *d.lines[name], d.enough
		limited, due, pause := d.limited(name, now), d.due(item, name, now), d.pause(name)
		waits := queued.waits(item, name)
		d.mu.Unlock()
		if enough {
			return false
		}
		switch {
		case seen.gone || outcome.State != Pending:
		case seen.skipped[name]:
			d.try(ctx, channel, item) // which costs nothing: no pause and no limit counts
		case line.gaveUp && d.policy.old(item.made, now):
			d.giveUp(item, name, gaveUp(item.made, now, outcome.Attempts, "the channel has failed for as long: "+line.down.Error()))
		case waits:
			waited = true
		case !seen.tellable(d.immediate[name]) || pause.After(now) || hold.After(now) || limited.After(now) || due.After(now):
		default:
			pending, asked := d.try(ctx, channel, item)
			if arrived = arrived || !pending; arrived && failing {
				return true
			}
			if asked.After(hold) {
				hold = asked
			}
		}
	}
	return arrived && waited
}

// turns gives what is pending on a channel in the order in which it is to be
// tried, and the same in the order of the events for each subject.
func (d *drainer) turns(channel string, items []*item) (turns []*item, queued queues, failing bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	turns, queued = pendingOn(channel, items)
	if failing = d.lines[channel].failures > 0; failing {
		slices.SortStableFunc(turns, func(a, b *item) int {
			return a.outcome(channel).LastAttempt.Compare(b.outcome(channel).LastAttempt)
		})
	}
	return turns, queued, failing
}

// queues are the pending entries of each subject in the order of their events,
// without those that may be of no account: they hold nothing up.
type queues map[subject][]*item

// pendingOn gives those of the items that are pending on a channel, which are in
// the order of their events. The caller holds d.mu.
func pendingOn(channel string, items []*item) (pending []*item, queued queues) {
	queued = make(queues)
	for _, item := range items {
		if item.gone || item.outcome(channel).State != Pending {
			continue
		}
		pending = append(pending, item)
		if item.suspect {
			continue
		}
		for _, who := range item.subjects {
			queued[who] = append(queued[who], item)
		}
	}
	return pending, queued
}

// waits reports whether an earlier event of any of the item's subjects is pending
// on the channel. The caller holds d.mu.
func (q queues) waits(item *item, channel string) bool {
	for _, who := range item.subjects {
		queue := q[who]
		for len(queue) > 0 && (queue[0].gone || queue[0].outcome(channel).State != Pending) {
			queue = queue[1:]
		}
		if q[who] = queue; len(queue) > 0 && byName(queue[0], item) < 0 {
			return true
		}
	}
	return false
}

// tellable reports whether a channel may have the item already.
func (i *item) tellable(immediate bool) bool { return i.ready || immediate && !i.suspect }

// try makes one attempt and records it. It reports whether the entry is still
// pending on the channel, and until when the peer wants no other.
func (d *drainer) try(ctx context.Context, channel notify.Notifier, item *item) (pending bool, asked time.Time) {
	name := channel.Name()
	if !d.begin(name, item) {
		return false, asked
	}
	defer d.end(name) // when it is recorded
	entry, ok := d.readAgain(item, name)
	if !ok {
		return false, asked
	}
	notification := d.toldTo(name, &entry)
	if choosy, ok := channel.(notify.Skipper); ok {
		if _, skip := choosy.Skips(notification); skip {
			d.skip(item, name)
			return false, asked
		}
	}
	d.s.at("drain: trying")
	err := d.attempt(ctx, channel, notification)
	now, interrupted := time.Now(), ctx.Err() != nil
	d.used(name, now)
	outcome := d.policy.after(entry.outcome(name), err, entry.made(), now, interrupted)
	if err == nil {
		d.s.at("drain: delivered")
	}
	d.conclude(name, entry.Event, outcome, err, interrupted)
	if recordErr := d.record(item, name, outcome); recordErr != nil {
		d.warn(fmt.Errorf("event %s is %s on channel %s, but to record it failed, so it may be tried again too early: %w",
			entry.Event.ID, outcome.State, name, recordErr))
		// A channel whose outcomes cannot be kept must not deliver the whole
		// queue once more in every drain.
		d.mu.Lock()
		d.lines[name].leave(recordErr, outcome, d.policy)
		d.mu.Unlock()
	}
	if outcome.Asked {
		asked = outcome.Next
	}
	return outcome.State == Pending, asked
}

// readAgain reads an entry whose turn it is. It reports false if there is nothing
// to try any more, or for now.
func (d *drainer) readAgain(item *item, channel string) (Entry, bool) {
	entry, _, err := d.s.readEntry(queueDir, item.name)
	switch {
	case errors.Is(err, fs.ErrNotExist): // dropped by hand meanwhile
		d.forget(item)
		return entry, false
	case isDamaged(err):
		d.setAside(item.name, err)
		d.forget(item)
		return entry, false
	case err != nil:
		d.putOff(item, err)
		return entry, false
	}
	outcome := entry.outcome(channel)
	if outcome.State != Pending {
		d.mu.Lock()
		item.outcomes[channel] = outcome
		d.mu.Unlock()
	}
	return entry, outcome.State == Pending
}

// after is what an attempt makes of an outcome: err is what came of it, made when
// the event was, and interrupted says that the time of the drain was over.
func (p Policy) after(outcome Outcome, err error, made, now time.Time, interrupted bool) Outcome {
	outcome.Attempts++
	outcome.LastAttempt = now
	outcome.Next, outcome.Asked, outcome.LastError = time.Time{}, false, ""
	var retryAfter *notify.RetryAfterError
	switch {
	case err == nil:
		outcome.State = Done
	case notify.IsPermanent(err):
		outcome.State = Dead
		outcome.LastError = shorten(err.Error(), maxError)
	case p.old(made, now) && outcome.Attempts >= p.MinAttempts:
		outcome.State = Dead
		outcome.LastError = shorten(gaveUp(made, now, outcome.Attempts, err.Error()), maxError)
	case errors.As(err, &retryAfter) && retryAfter.After > 0:
		outcome.LastError = shorten(err.Error(), maxError)
		outcome.Next = now.Add(min(retryAfter.After, p.MaxRetryAfter))
		outcome.Asked = true
	case interrupted: // not the channel's fault: no pause
		outcome.LastError = shorten("interrupted: "+err.Error(), maxError)
	default:
		outcome.LastError = shorten(err.Error(), maxError)
		outcome.Next = now.Add(p.backoff(outcome.Attempts))
		// The last attempt is made when the age limit is reached, not a
		// backoff later.
		if end := made.Add(p.MaxAge); end.After(now) && end.Before(outcome.Next) {
			outcome.Next = end
		}
	}
	return outcome
}

// conclude draws the conclusions from an attempt for the channel.
func (d *drainer) conclude(channel string, event notify.Event, outcome Outcome, err error, interrupted bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	line := d.lines[channel]
	switch {
	case err != nil && outcome.State == Pending, outcome.State == Dead && !notify.IsPermanent(err):
		line.down = err
		if !interrupted {
			line.leave(err, outcome, d.policy)
		}
		line.gaveUp = line.gaveUp || outcome.State == Dead
	case err == nil:
		line.failures, line.gaveUp = 0, false
	}
	d.count(channel, event, outcome, err)
}

// begin says that a channel is at work on an item, which nobody gives up on it
// until the end. It reports false if somebody has meanwhile.
func (d *drainer) begin(channel string, item *item) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if item.gone || item.outcome(channel).State != Pending || item.rest.After(time.Now()) {
		return false
	}
	d.lines[channel].trying = item
	return true
}

// putOff leaves an entry alone that could be read when it came and now cannot, as
// when too many files are open. Later ones of its subjects wait for it until it has
// had a second try. After that this drain does without it: they may be alarms.
func (d *drainer) putOff(item *item, err error) {
	now := time.Now()
	d.mu.Lock()
	if item.rest.After(now) {
		d.mu.Unlock()
		return // another channel has just found it so
	}
	item.gone = !item.rest.IsZero()
	item.rest = now.Add(d.policy.InitialBackoff)
	givenUp := item.gone
	d.mu.Unlock()
	if givenUp {
		d.unreadable(item.name, err)
	}
}

func (d *drainer) end(channel string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines[channel].trying = nil
}

// skip records that a channel wants nothing of an item.
func (d *drainer) skip(item *item, channel string) {
	if err := d.record(item, channel, Outcome{State: Done}); err != nil {
		d.warn(fmt.Errorf("record that channel %s wants nothing of event %s: %w", channel, item.id, err))
	}
}

// leave leaves the channel alone for a while after an item has failed, but not
// for longer than the item.
func (l *line) leave(err error, outcome Outcome, policy Policy) {
	l.failures++
	l.down, l.at = err, outcome.LastAttempt
	l.until = l.at.Add(policy.backoff(l.failures))
	if next := outcome.Next; !next.IsZero() && next.Before(l.until) {
		l.until = next
	}
}

// attempt calls the channel once, within its time.
func (d *drainer) attempt(ctx context.Context, channel notify.Notifier, notification notify.Notification) error {
	name := channel.Name()
	if d.s.isStuck(name) {
		return errors.New("an earlier attempt of this process ignored its deadline and has still not returned")
	}
	limit := d.policy.AttemptTimeout
	ctx, part := d.parting(ctx)
	defer part()
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("no answer within %s", limit))
	defer cancel()
	result := make(chan error, 1)
	go func() {
		err := errors.New("the channel ended its goroutine")
		defer func() {
			if value := recover(); value != nil {
				err = panicError(value)
			}
			result <- err
		}()
		err = channel.Notify(ctx, notification)
	}()
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case err := <-result:
		return err
	case <-timer.C:
	}
	d.s.setStuck(name, +1)
	go func() {
		<-result
		d.s.setStuck(name, -1)
	}()
	return fmt.Errorf("the channel ignored its deadline: %w", context.Cause(ctx))
}

// parting gives the context of an attempt: it lives on for a while when the
// drain's ends.
func (d *drainer) parting(ctx context.Context) (context.Context, context.CancelFunc) {
	if d.policy.Parting <= 0 {
		return ctx, func() {}
	}
	parting, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.AfterFunc(d.policy.Parting, func() { cancel(context.Cause(ctx)) })
		context.AfterFunc(parting, func() { timer.Stop() })
	})
	return parting, func() {
		stop()
		cancel(nil)
	}
}

// panicError does not print a value of an unknown type: it may hold a secret.
func panicError(value any) error {
	if err, ok := value.(runtime.Error); ok {
		return fmt.Errorf("the channel panicked: %w", err)
	}
	return fmt.Errorf("the channel panicked with a %T", value)
}

func (s *Spool) isStuck(channel string) bool {
	s.stuckMu.Lock()
	defer s.stuckMu.Unlock()
	return s.stuck[channel] > 0
}

func (s *Spool) setStuck(channel string, change int) {
	s.stuckMu.Lock()
	defer s.stuckMu.Unlock()
	s.stuck[channel] += change
}

// count adds an attempt to the report. The caller holds d.mu.
func (d *drainer) count(channel string, event notify.Event, outcome Outcome, err error) {
	report, counted := d.report.Channels[channel], d.counted.Channels[channel]
	switch outcome.State {
	case Done:
		d.report.Delivered++
		report.Delivered++
		counted.Delivered++
	case Dead:
		d.report.Dead++
		report.Dead++
		counted.Dead++
	}
	if err != nil {
		counted.Failed++
		counted.LastFailure = outcome.LastAttempt
	} else {
		counted.LastSuccess = outcome.LastAttempt
	}
	d.counted.Channels[channel] = counted
	if err != nil && len(report.Failures) < maxFailures {
		report.Failures = append(report.Failures, Failure{
			ID: event.ID, Kind: event.Kind, Name: event.Name, State: event.State, Attempts: outcome.Attempts,
			At: outcome.LastAttempt, Err: err, Dead: outcome.State == Dead,
		})
	}
	d.report.Channels[channel] = report
}

// giveUp ends an entry on a channel without an attempt, if it is still pending
// there and not being tried.
func (d *drainer) giveUp(item *item, channel, reason string) {
	d.mu.Lock()
	outcome := item.outcome(channel)
	line := d.lines[channel] // nil if it cannot be used
	if item.gone || outcome.State != Pending || line != nil && line.trying == item {
		d.mu.Unlock()
		return
	}
	outcome.State, outcome.LastError, outcome.Next, outcome.Asked = Dead, shorten(reason, maxError), time.Time{}, false
	item.outcomes[channel] = outcome // from here on nobody begins with it
	d.report.Dead++
	report, counted := d.report.Channels[channel], d.counted.Channels[channel]
	report.Dead++
	counted.Dead++
	d.report.Channels[channel], d.counted.Channels[channel] = report, counted
	d.mu.Unlock()
	if err := d.record(item, channel, outcome); err != nil {
		d.warn(fmt.Errorf("record that event %s is dead on channel %s: %w", item.id, channel, err))
	}
}

// lose reports what was given up with an entry for channels that are no longer
// configured.
func (d *drainer) lose(id string, who subject, state notify.State, absent map[string]Outcome) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for name, outcome := range absent {
		report, counted := d.report.Channels[name], d.counted.Channels[name]
		d.report.Dead++
		report.Dead++
		counted.Dead++
		if len(report.Failures) < maxFailures {
			report.Failures = append(report.Failures, Failure{
				ID: id, Kind: who.kind, Name: who.name, State: state, Attempts: outcome.Attempts,
				At: outcome.LastAttempt, Err: errors.New(outcome.LastError), Dead: true,
			})
		}
		d.report.Channels[name], d.counted.Channels[name] = report, counted
	}
}

// record keeps an outcome on disk and in the item.
func (d *drainer) record(item *item, channel string, outcome Outcome) error {
	fate, absent, err := d.s.alter(item.name, d.wanted(), channel, outcome)
	d.lose(item.id, item.subject, item.state, absent)
	d.mu.Lock()
	defer d.mu.Unlock()
	item.outcomes[channel] = outcome
	if fate != kept {
		d.drop(item)
	}
	return err
}

func (d *drainer) forget(item *item) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.drop(item)
}

// drop forgets an item that is no longer in the queue, so that the same name
// is new if it comes back. The caller holds d.mu.
func (d *drainer) drop(item *item) {
	item.gone = true
	delete(d.seen, item.name)
}

func (d *drainer) warn(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.report.Warnings = append(d.report.Warnings, err)
}
