package spool

import (
	"context"
	"fmt"
	"os"
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
	// Enough says that the policy's Enough ended the drain.
	Enough bool
	// Delivered, Deferred and Dead count what happened to one entry on one
	// channel: it arrived, it has failed and will be tried again, it was given
	// up.
	Delivered, Deferred, Dead int
	// Held counts the entries that wait for others to be told with, for a flap
	// to settle or for a maintenance to end.
	Held int
	// Duplicates counts the events that told what another had told already.
	Duplicates int
	// Late is when the last event came that was put after the drain began;
	// zero if none was. What the drain itself tells of, as a reminder, is none.
	Late time.Time
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
	// At is when it was made: a drain that stays is told of long after that.
	At  time.Time
	Err error
	// Dead is set if the channel gave the event up.
	Dead bool
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
//   - after a temporary failure the channel is left alone for a while, longer
//     after each further one, so that a dead relay costs one AttemptTimeout and
//     not one for each queued entry. Then the entries that did not fail last come
//     first: it may be one that the receiver never takes. An event that comes
//     meanwhile is a reason to try again after InitialBackoff;
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
// report says so, and the next timer, hook or agent goes on.) With
// IgnoreBackoff, the other ends its pauses early.
//
// The error says that the queue could not be worked on at all.
func (s *Spool) Drain(ctx context.Context, channels []notify.Notifier, policy Policy) (Report, error) {
	d := &drainer{
		s: s, policy: policy.withDefaults(), channels: channels,
		immediate: make(map[string]bool),
		seen:      make(map[string]bool),
		told:      make(map[string]bool),
		lines:     make(map[string]*line, len(channels)),
		memoirs:   make(map[subject]*memoir),
		newest:    make(map[subject]sighting),
		usages:    make(map[string]*usage),
		report:    Report{Channels: make(map[string]ChannelReport)},
		counted:   Counters{Channels: make(map[string]ChannelCounters)},
	}
	d.cond = sync.NewCond(&d.mu)
	for _, channel := range channels {
		name := channel.Name()
		if d.lines[name] != nil {
			return d.report, fmt.Errorf("drain the spool: two channels are named %q", name)
		}
		d.lines[name] = new(line)
		d.names = append(d.names, name)
		d.immediate[name] = slices.Contains(policy.Immediate, name)
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
			if d.report.Busy && policy.IgnoreBackoff {
				if err := s.wakeDrainer(); err != nil {
					d.warn(err)
				}
			}
			break
		}
		s.at("drain: locked")
		err = d.pass(ctx)
		unlock(lock)
		if err != nil {
			return d.report, err
		}
		s.at("drain: unlocked")
		if ctx.Err() != nil || d.enough {
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
	// down is the temporary failure, made at the time after it, after which the
	// channel is left alone until then; failures counts those since the last
	// success.
	down     error
	at       time.Time
	until    time.Time
	failures int
	// trying is the entry that the channel is at work on.
	trying *item
	// resting is set while the channel waits for something to do.
	resting bool
	// gaveUp is set once an event passed the age limit: the others of that age
	// need not be tried first, the channel has failed for so long.
	gaveUp bool
}

// item is an entry as the drain remembers it: enough to decide what is due.
// The event itself is read again when it is its turn.
type item struct {
	name     string
	id       string
	made     time.Time
	loaded   time.Time
	size     int64
	outcomes map[string]Outcome
	gone     bool
	// rest is until when it is left alone after it could not be read.
	rest time.Time

	// subjects are the instances and sync groups it tells of: each has an order
	// of its own.
	subjects []subject
	// ready is set once it is decided what is told together. Until then
	// subject, state and appended (see sighting) are those of the only event,
	// muted says that it is kept back during a maintenance, and event is filled
	// in when it is told.
	ready bool
	// suspect is set until then if the event seems to tell what another told.
	suspect  bool
	subject  subject
	state    notify.State
	appended bool
	muted    bool
	event    *notify.Event
	// earlier are the IDs of the other events a grouped entry tells of.
	earlier []string
	// story is what it told when it was loaded: empty for an event as it was put,
	// other than what a drain has grouped or made.
	story notify.Story
	// skipped are the channels that want nothing of it.
	skipped map[string]bool
}

func byName(a, b *item) int { return strings.Compare(a.name, b.name) }

// when is the time of the event, or when it was first seen if it seems to come
// from the future: the clock was set back, before that or since.
func (i *item) when(now time.Time) time.Time {
	if i.made.After(i.loaded) || i.made.After(now) {
		if i.loaded.After(now) {
			return now
		}
		return i.loaded
	}
	return i.made
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

	// immediate are the channels that get every event at once.
	immediate map[string]bool

	mu      sync.Mutex
	cond    *sync.Cond
	items   []*item         // sorted by name
	seen    map[string]bool // names of the queue that need no second look
	told    map[string]bool // IDs of events that a grouped entry tells
	lines   map[string]*line
	memoirs map[subject]*memoir
	// newest are the last events loaded, by which others are suspected.
	newest  map[subject]sighting
	usages  map[string]*usage
	report  Report
	counted Counters
	saved   struct{ SetAside, Expunged int }
	// nextCompose is when the next notification is due to be made; zero if
	// none is.
	nextCompose time.Time
	// noEndBefore puts off the word that a flap is over after it could not be
	// kept.
	noEndBefore time.Time
	// nextRemind is when FAULTs that last are looked for again. Findings gets what
	// a look at the node says about them; nil if none is under way.
	nextRemind time.Time
	findings   chan []finding

	// load counts what was announced to the channels; idle counts those that
	// have seen the last of it through.
	load int
	idle int
	over bool
	// caughtUp is set once all that was there at the beginning is read. NewsAt
	// is when there was a reason to try again last: an entry was read that came
	// after that, or somebody had made lastWake.
	caughtUp bool
	newsAt   time.Time
	lastWake os.FileInfo
	// enough is set once the policy has said so.
	enough bool
	// workedOff is the load that the channels had seen when they stopped.
	workedOff int
}

// pass does all that is due while the lock is held.
func (d *drainer) pass(ctx context.Context) error {
	d.tidyTmp()
	if d.woken() && d.caughtUp { // in the first pass everybody gets a try anyway
		d.reconsider()
	}
	d.recall(time.Now())
	if err := d.loadNew(ctx); err != nil {
		return err
	}
	d.s.at("drain: scanned")
	if len(d.channels) == 0 {
		return nil
	}
	d.enforceLimits(ctx)
	d.giveUpAwaited(time.Now())

	stop := context.AfterFunc(ctx, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.cond.Broadcast()
	})
	defer stop()
	for ctx.Err() == nil {
		d.compose(ctx, time.Now())
		if d.round(ctx) {
			continue
		}
		if ctx.Err() != nil || !d.wait(ctx) {
			break
		}
	}
	d.trimDead()
	d.saveCounters()
	return nil
}

// wait stays until something is due or has come, if that is to be soon enough, and
// for a look at the FAULTs that last. It reports false if there is nothing to stay
// for.
func (d *drainer) wait(ctx context.Context) bool {
	patience, hurry := d.policy.Patience, d.policy.Hurry
	if d.policy.Grouping != nil {
		patience = max(patience, d.policy.Grouping.Wait)
	}
	if d.policy.hurried() {
		patience, hurry = 0, nil
	} else {
		d.beginReminder(ctx, time.Now())
	}
	d.compose(ctx, time.Now()) // the end of a flap that has just been told is due as well
	names := d.names
	if d.policy.LeaveImmediate {
		names = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return d.immediate[name] })
	}
	d.mu.Lock()
	now := time.Now()
	next := d.nextDue(names, now)
	load, enough := d.load, d.enough
	d.mu.Unlock()
	soon := !next.IsZero() && next.Sub(now) <= patience
	if enough || !soon && (d.findings == nil || d.policy.hurried()) {
		return false
	}
	d.saveCounters()
	var due <-chan time.Time
	if !next.IsZero() {
		timer := time.NewTimer(next.Sub(now))
		defer timer.Stop()
		due = timer.C
	}
	poll := time.NewTicker(idlePoll)
	defer poll.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-hurry:
			return d.look(ctx) == nil
		case <-due:
			// What came since the last look may belong to what is due.
			return d.look(ctx) == nil
		case findings := <-d.findings:
			d.findings = nil
			if d.look(ctx) != nil {
				return false
			}
			d.remind(findings, time.Now())
			return d.look(ctx) == nil
		case <-poll.C:
			d.beginReminder(ctx, time.Now())
			if d.look(ctx) != nil {
				return false
			}
			d.mu.Lock()
			changed := d.load != load || d.enough
			d.mu.Unlock()
			if changed {
				return true
			}
		}
	}
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
			if d.look(ctx) != nil {
				poll.Stop()
			}
			d.announceDue(time.Now())
		}
	}
}

// look takes in what is new and groups what is due. The error is warned of.
func (d *drainer) look(ctx context.Context) error {
	before := d.load // only this goroutine changes it
	if err := d.loadNew(ctx); err != nil {
		d.warn(err)
		return err
	}
	if d.load != before {
		d.enforceLimits(ctx)
	}
	if d.woken() {
		d.reconsider()
	}
	if d.policy.Enough != nil && d.policy.Enough() {
		d.mu.Lock()
		d.enough = true
		d.mu.Unlock()
	}
	d.compose(ctx, time.Now())
	return nil
}

// announce makes the channels look at the items again. The caller holds d.mu.
func (d *drainer) announce() {
	d.load++
	d.idle = 0
	d.cond.Broadcast()
}

// announceDue does so when a channel has something to do again while another is
// still at work: its pause is over.
func (d *drainer) announceDue(now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, name := range d.names {
		if next := d.nextOn(name, now); d.lines[name].resting && !next.IsZero() && !next.After(now) {
			d.announce()
			return
		}
	}
}

// finish fills in what the report says about the future.
func (d *drainer) finish(ctx context.Context) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	unread := false
	if names, err := d.s.names(queueDir); err == nil {
		names = slices.DeleteFunc(names, isMarker)
		d.report.Remaining = len(names)
		unread = len(d.names) > 0 && slices.ContainsFunc(names, func(name string) bool { return !d.seen[name] })
	}
	if d.report.Busy {
		return
	}
	for _, item := range d.items {
		if item.gone {
			continue
		}
		if !item.ready {
			d.report.Held++
		}
		for _, name := range d.names {
			if outcome := item.outcome(name); outcome.State == Pending && outcome.LastError != "" {
				report := d.report.Channels[name]
				report.Deferred++
				d.report.Channels[name] = report
				d.report.Deferred++
			}
		}
	}
	d.report.Enough = d.enough
	d.report.NextDue = d.nextDue(d.names, now)
	if ctx.Err() != nil && unread {
		d.report.NextDue = now
		if d.caughtUp {
			d.report.Late = now // and its own drainer may have found this one at work
		}
	}
	d.report.Interrupted = ctx.Err() != nil && !d.report.NextDue.IsZero() && !d.report.NextDue.After(now)
}
