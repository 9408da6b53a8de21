package spool

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"hacheck/notify"
)

// Report is what a drain did.
type Report struct {
	// Busy says that another drainer is at work: nothing was done, and what
	// was put before the call is taken care of.
	Busy bool
	// Interrupted says that the context ended before all that was due had
	// been tried.
	Interrupted bool
	// Delivered, Deferred and Dead count what happened to one entry on one
	// channel: it arrived, it will be tried again, it was given up.
	Delivered, Deferred, Dead int
	// Channels has the same by channel name, for those where anything happened.
	Channels map[string]ChannelReport
	// SetAside are files that are not entries of this version. They do not
	// stop the others.
	SetAside []Damaged
	// Warnings are failures of the spool itself, each worth a log line.
	Warnings []error
	// Recovered counts events found complete in files that a killed process
	// could not put into the queue any more.
	Recovered int
	// Expunged counts the dead letters deleted because there were too many.
	Expunged int
	// Remaining is how many entries are still in the queue; NextDue is when
	// the next of them is due, zero if none is or if there is no channel.
	Remaining int
	NextDue   time.Time
}

// ChannelReport is one channel's part of a Report.
type ChannelReport struct {
	Delivered, Deferred, Dead int
	// Failures are the first failures of the drain, at most maxFailures.
	Failures []Failure
}

// maxFailures bounds the failures a report keeps for a channel.
const maxFailures = 20

// Failure is one attempt that failed.
type Failure struct {
	ID       string
	Kind     notify.Kind
	Name     string
	State    notify.State
	Attempts int
	Err      error
	// Dead is set if the channel gave the event up; otherwise Next is when it
	// will be tried again.
	Dead bool
	Next time.Time
}

// Damaged is a file of the queue that is not an entry of this version.
type Damaged struct {
	// Name is the file's name where it is now, and Dir its directory in the
	// spool: dead, or queue if it could only not be read or not be moved.
	Name   string `json:"name"`
	Dir    string `json:"dir"`
	Reason string `json:"reason"`
}

// idlePoll is how often a drain looks for new entries for the channels that
// have nothing to do while another is still at work.
const idlePoll = 100 * time.Millisecond

// Drain makes one attempt for every entry and channel that is due, records
// each outcome durably before it goes on, and returns when nothing is due any
// more or ctx ends, whichever is first; ctx may end without anything being
// lost or forgotten. Entries that all channels have had are removed, those
// that a channel has given up are moved to the dead letters. Without channels
// nothing is touched.
//
// The channels work side by side and do not wait for each other. Within one
// channel:
//   - an event waits for the earlier ones of its instance or sync group;
//   - after a temporary failure the channel is left alone for the rest of the
//     drain, so that a dead relay costs one AttemptTimeout and not one for each
//     queued entry; entries that were not tried keep their outcome and are due
//     again after InitialBackoff;
//   - after a *notify.RetryAfterError it is left alone until then, in later
//     drains as well;
//   - a Notifier that panics has failed temporarily, and so has one that does
//     not return when its time is over: it is not called again by this process
//     until it does.
//
// Only one drainer works at a time. Who finds another at work returns at once
// with Busy, and no event is left behind: its Put came before its failed try
// for the lock, that came before the other's unlock, and the other looks into
// the queue once more after its unlock. (If the other was interrupted, its
// report says so, and the next timer, hook or agent goes on.)
//
// The error says that the queue could not be worked on at all.
func (s *Spool) Drain(ctx context.Context, channels []notify.Notifier, policy Policy) (Report, error) {
	d := &drainer{
		s: s, policy: policy.withDefaults(), channels: channels,
		seen:   make(map[string]bool),
		lines:  make(map[string]*line, len(channels)),
		report: Report{Channels: make(map[string]ChannelReport)},
	}
	d.cond = sync.NewCond(&d.mu)
	for _, channel := range channels {
		name := channel.Name()
		if d.lines[name] != nil {
			return d.report, fmt.Errorf("drain the spool: two channels are named %q", name)
		}
		d.lines[name] = new(line)
		d.names = append(d.names, name)
	}
	if err := s.writable(); err != nil {
		return d.report, fmt.Errorf("drain the spool: %w", err)
	}
	for pass := 0; ; pass++ {
		lock, err := s.give.tryLock(s.root, drainLock)
		if err != nil {
			return d.report, explain("lock the spool with", s.path(drainLock), err)
		}
		if lock == nil {
			// After the first pass the other has taken over what came since.
			d.report.Busy = pass == 0
			break
		}
		s.at("drain: locked")
		err = d.pass(ctx)
		unlock(lock)
		if err != nil {
			return d.report, err
		}
		s.at("drain: unlocked")
		if ctx.Err() != nil {
			break
		}
		if more, err := d.unseen(); err != nil || !more {
			if err != nil {
				return d.report, err
			}
			break
		}
	}
	d.finish(ctx)
	return d.report, nil
}

// line is what a drain knows about one channel besides the outcomes.
type line struct {
	// down is the temporary failure after which the channel is left alone.
	down error
	// gaveUp is set once an event passed the age limit: the others of that age
	// need not be tried first, the channel has failed for so long.
	gaveUp bool
}

// item is an entry as the drain remembers it: enough to decide what is due.
// The event itself is read again when it is its turn.
type item struct {
	name     string
	id       string
	key      string // instances and sync groups have one order each
	made     time.Time
	size     int64
	outcomes map[string]Outcome
	gone     bool
}

func (i *item) outcome(channel string) Outcome {
	if outcome, ok := i.outcomes[channel]; ok {
		return outcome
	}
	return Outcome{State: Pending}
}

type drainer struct {
	s        *Spool
	policy   Policy
	channels []notify.Notifier
	names    []string

	mu     sync.Mutex
	cond   *sync.Cond
	items  []*item         // sorted by name
	seen   map[string]bool // names of the queue that need no second look
	lines  map[string]*line
	report Report

	// load counts the loads that brought something new; idle counts the
	// channels that have seen the last of them through.
	load int
	idle int
	over bool
	// workedOff is the load that the channels had seen when they stopped.
	workedOff int
}

// pass does all that is due while the lock is held.
func (d *drainer) pass(ctx context.Context) error {
	d.tidyTmp()
	if err := d.loadNew(ctx); err != nil {
		return err
	}
	d.s.at("drain: scanned")
	if len(d.channels) == 0 {
		return nil
	}
	d.enforceLimits(ctx)

	stop := context.AfterFunc(ctx, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.cond.Broadcast()
	})
	defer stop()
	for d.round(ctx) && ctx.Err() == nil {
	}
	d.trimDead()
	return nil
}

// round lets every channel work until none has anything to do. It reports
// whether entries were loaded that the channels no longer saw.
func (d *drainer) round(ctx context.Context) (more bool) {
	d.mu.Lock()
	d.idle, d.over = 0, false
	d.mu.Unlock()
	var workers sync.WaitGroup
	for _, channel := range d.channels {
		workers.Go(func() { d.work(ctx, channel) })
	}
	allIdle := make(chan struct{})
	go func() { workers.Wait(); close(allIdle) }()

	poll := time.NewTicker(idlePoll)
	defer poll.Stop()
	for {
		select {
		case <-allIdle:
			d.mu.Lock()
			defer d.mu.Unlock()
			return d.load != d.workedOff
		case <-poll.C:
			if err := d.loadNew(ctx); err != nil {
				d.warn(err)
				poll.Stop()
			}
		}
	}
}

// work is one channel's goroutine.
func (d *drainer) work(ctx context.Context, channel notify.Notifier) {
	for {
		d.mu.Lock()
		load, items := d.load, slices.Clone(d.items)
		d.mu.Unlock()
		d.walk(ctx, channel, items)
		if !d.waitForMore(ctx, load) {
			return
		}
	}
}

// waitForMore waits until there is something new since the given load, and
// returns false when all channels wait.
func (d *drainer) waitForMore(ctx context.Context, load int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
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

// walk takes one channel through the entries in their order.
func (d *drainer) walk(ctx context.Context, channel notify.Notifier, items []*item) {
	name := channel.Name()
	waiting := make(map[string]bool) // instances whose earlier event is pending
	hold := d.askedUntil(name, items, time.Now())
	for _, item := range items {
		if ctx.Err() != nil {
			return
		}
		now := time.Now()
		d.mu.Lock()
		outcome, gone, line := item.outcome(name), item.gone, *d.lines[name]
		d.mu.Unlock()
		switch {
		case gone || outcome.State != Pending:
		case line.gaveUp && d.policy.old(item.made, now):
			d.giveUp(item, name, gaveUp(item.made, now, outcome.Attempts, "the channel has failed for as long: "+line.down.Error()))
		case waiting[item.key]:
		case line.down != nil || hold.After(now) || !d.policy.due(outcome, now):
			waiting[item.key] = true
		default:
			var asked time.Time
			waiting[item.key], asked = d.try(ctx, channel, item)
			if asked.After(hold) {
				hold = asked
			}
		}
	}
}

// askedUntil is how long the channel's peer has asked to be left alone.
func (d *drainer) askedUntil(channel string, items []*item, now time.Time) (until time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, item := range items {
		outcome := item.outcome(channel)
		if !item.gone && outcome.State == Pending && outcome.Asked && !d.policy.due(outcome, now) && outcome.Next.After(until) {
			until = outcome.Next
		}
	}
	return until
}

// try makes one attempt and records it. It reports whether the entry is still
// pending on the channel, and until when the peer wants no other.
func (d *drainer) try(ctx context.Context, channel notify.Notifier, item *item) (pending bool, asked time.Time) {
	name := channel.Name()
	entry, _, err := d.s.readEntry(queueDir, item.name)
	switch {
	case errors.Is(err, fs.ErrNotExist): // dropped by hand meanwhile
		d.forget(item)
		return false, asked
	case isDamaged(err):
		d.setAside(item.name, err)
		d.forget(item)
		return false, asked
	case err != nil:
		d.warn(explain("read entry", d.s.path(queueDir+"/"+item.name), err))
		return true, asked
	}
	if state := entry.outcome(name).State; state != Pending {
		return false, asked
	}

	d.s.at("drain: trying")
	err = d.attempt(ctx, channel, entry.Event)
	now := time.Now()
	outcome := entry.outcome(name)
	outcome.Attempts++
	outcome.LastAttempt = now
	outcome.Next, outcome.Asked, outcome.LastError = time.Time{}, false, ""
	var retryAfter *notify.RetryAfterError
	switch {
	case err == nil:
		outcome.State = Done
		d.s.at("drain: delivered")
	case notify.IsPermanent(err):
		outcome.State = Dead
		outcome.LastError = shorten(err.Error(), maxError)
	case d.policy.old(entry.Event.Time, now) && outcome.Attempts >= d.policy.MinAttempts:
		outcome.State = Dead
		outcome.LastError = shorten(gaveUp(entry.Event.Time, now, outcome.Attempts, err.Error()), maxError)
	case errors.As(err, &retryAfter) && retryAfter.After > 0:
		outcome.LastError = shorten(err.Error(), maxError)
		outcome.Next = now.Add(min(retryAfter.After, d.policy.MaxRetryAfter))
		outcome.Asked = true
		asked = outcome.Next
	case ctx.Err() != nil:
		// Not the channel's fault: this drain's time was over. No pause.
		outcome.LastError = shorten("interrupted: "+err.Error(), maxError)
	default:
		outcome.LastError = shorten(err.Error(), maxError)
		outcome.Next = now.Add(d.policy.backoff(outcome.Attempts))
		// The last attempt is made when the age limit is reached, not a
		// backoff later.
		if end := entry.Event.Time.Add(d.policy.MaxAge); end.After(now) && end.Before(outcome.Next) {
			outcome.Next = end
		}
	}

	d.mu.Lock()
	if err != nil && outcome.State == Pending || outcome.State == Dead && !notify.IsPermanent(err) {
		d.lines[name].down = err
		d.lines[name].gaveUp = d.lines[name].gaveUp || outcome.State == Dead
	}
	d.count(name, entry.Event, outcome, err)
	d.mu.Unlock()

	if recordErr := d.record(item, name, outcome); recordErr != nil {
		d.warn(fmt.Errorf("event %s is %s on channel %s, but to record it failed, so it may be tried again too early: %w",
			entry.Event.ID, outcome.State, name, recordErr))
		// A channel whose outcomes cannot be kept must not deliver the whole
		// queue once more in every drain.
		d.mu.Lock()
		d.lines[name].down = recordErr
		d.mu.Unlock()
	}
	return outcome.State == Pending, asked
}

// attempt calls the channel once, within its time.
func (d *drainer) attempt(ctx context.Context, channel notify.Notifier, event notify.Event) error {
	name := channel.Name()
	if d.s.isStuck(name) {
		return errors.New("an earlier attempt of this process ignored its deadline and has still not returned")
	}
	limit := d.policy.AttemptTimeout
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
		err = channel.Notify(ctx, notify.Notification{Event: event})
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
	report := d.report.Channels[channel]
	switch outcome.State {
	case Done:
		d.report.Delivered++
		report.Delivered++
	case Dead:
		d.report.Dead++
		report.Dead++
	default:
		d.report.Deferred++
		report.Deferred++
	}
	if err != nil && len(report.Failures) < maxFailures {
		report.Failures = append(report.Failures, Failure{
			ID: event.ID, Kind: event.Kind, Name: event.Name, State: event.State, Attempts: outcome.Attempts,
			Err: err, Dead: outcome.State == Dead, Next: outcome.Next,
		})
	}
	d.report.Channels[channel] = report
}

// giveUp ends an entry on a channel without an attempt.
func (d *drainer) giveUp(item *item, channel, reason string) {
	d.mu.Lock()
	outcome := item.outcome(channel)
	outcome.State, outcome.LastError, outcome.Next, outcome.Asked = Dead, shorten(reason, maxError), time.Time{}, false
	d.report.Dead++
	report := d.report.Channels[channel]
	report.Dead++
	d.report.Channels[channel] = report
	d.mu.Unlock()
	if err := d.record(item, channel, outcome); err != nil {
		d.warn(fmt.Errorf("record that event %s is dead on channel %s: %w", item.id, channel, err))
	}
}

// record keeps an outcome on disk and in the item.
func (d *drainer) record(item *item, channel string, outcome Outcome) error {
	fate, err := d.s.alter(item.name, d.wanted(item.made), channel, outcome)
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
	fresh := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return d.seen[name] })
	d.mu.Unlock()
	markers := make(map[string]bool)
	for _, name := range fresh {
		if isMarker(name) {
			markers[name] = true
		}
	}
	var items []*item
	var seen []string
	for _, name := range fresh {
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

	d.mu.Lock()
	defer d.mu.Unlock()
	for _, name := range seen {
		d.seen[name] = true
	}
	d.items = slices.DeleteFunc(d.items, func(item *item) bool { return item.gone })
	if len(items) > 0 {
		d.items = append(d.items, items...)
		slices.SortFunc(d.items, func(a, b *item) int { return strings.Compare(a.name, b.name) })
		d.load++
		d.idle = 0
		d.cond.Broadcast()
	}
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
		// It may be readable for another account or later: it stays.
		reason := explain("read entry", d.s.path(queueDir+"/"+name), err).Error()
		d.mu.Lock()
		d.report.SetAside = append(d.report.SetAside, Damaged{Name: name, Dir: queueDir, Reason: reason})
		d.mu.Unlock()
		return nil, true
	}
	for _, channel := range d.names {
		if markers[markerName(name, channel)] {
			outcome := entry.outcome(channel)
			outcome.State = Done
			entry.setOutcome(channel, outcome)
		}
	}
	wanted := d.wanted(entry.Event.Time)
	if settled, _ := entry.settled(wanted); settled && len(d.names) > 0 {
		// A drainer was killed between a record and the removal, or a
		// channel has left the configuration.
		fate, err := d.s.alter(name, wanted, "", Outcome{})
		if err != nil {
			d.warn(fmt.Errorf("clear away entry %s: %w", name, err))
		}
		return nil, fate == kept
	}
	item := &item{
		name: name, id: entry.Event.ID, key: string(entry.Event.Kind) + " " + entry.Event.Name,
		made: entry.Event.Time, size: size, outcomes: entry.Channels,
	}
	if item.outcomes == nil {
		item.outcomes = make(map[string]Outcome)
	}
	return item, true
}

// wanted names the channels that must have had an event before its entry may go.
func (d *drainer) wanted(made time.Time) []string {
	if len(d.policy.Awaited) == 0 || d.policy.old(made, time.Now()) {
		return d.names
	}
	return slices.Concat(d.names, d.policy.Awaited)
}

// enforceLimits gives up the oldest entries of a queue that is too large.
func (d *drainer) enforceLimits(ctx context.Context) {
	d.mu.Lock()
	items := slices.Clone(d.items)
	d.mu.Unlock()
	var bytes int64
	for _, item := range items {
		bytes += item.size
	}
	for len(items) > 0 && (len(items) > d.policy.MaxEntries || bytes > d.policy.MaxBytes) && ctx.Err() == nil {
		oldest := items[0]
		reason := fmt.Sprintf("queue full: at most %d entries and %d bytes are kept", d.policy.MaxEntries, d.policy.MaxBytes)
		for _, channel := range d.names {
			if !oldest.gone && oldest.outcome(channel).State == Pending {
				d.giveUp(oldest, channel, reason)
			}
		}
		bytes -= oldest.size
		items = items[1:]
	}
}

// finish fills in what the report says about the future.
func (d *drainer) finish(ctx context.Context) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.report.Interrupted = ctx.Err() != nil
	now := time.Now()
	if names, err := d.s.names(queueDir); err == nil {
		names = slices.DeleteFunc(names, isMarker)
		d.report.Remaining = len(names)
		unread := func(name string) bool { return !d.seen[name] }
		if d.report.Interrupted && len(d.names) > 0 && slices.ContainsFunc(names, unread) {
			d.report.NextDue = now
		}
	}
	if d.report.Busy {
		return
	}
	for _, channel := range d.names {
		waiting := make(map[string]bool)
		var next, hold time.Time
		for _, item := range d.items {
			outcome := item.outcome(channel)
			if item.gone || outcome.State != Pending || waiting[item.key] {
				continue
			}
			waiting[item.key] = true
			if outcome.Asked && outcome.Next.After(hold) {
				hold = outcome.Next
			}
			due := outcome.Next
			if !due.After(now) {
				due = now
				if d.lines[channel].down != nil && !d.report.Interrupted {
					due = now.Add(d.policy.InitialBackoff)
				}
			}
			if next.IsZero() || due.Before(next) {
				next = due
			}
		}
		if next.Before(hold) {
			next = hold
		}
		if !next.IsZero() && (d.report.NextDue.IsZero() || next.Before(d.report.NextDue)) {
			d.report.NextDue = next
		}
	}
}
