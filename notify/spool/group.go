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

const (
	// sameEvent is how far apart two reports of one transition are at most: an
	// instance may have a notify_master and a notify, and keepalived calls both,
	// within some milliseconds of a busy machine.
	sameEvent = 2 * time.Second
	// sameHook is the same for two reports of one form, as of somebody who has
	// notify_master call a script that calls the hook twice. It is shorter than
	// any change and back: the hooks of a flap run side by side, may be stamped
	// in another order than they were called in, and none may be taken for
	// another's repeat.
	sameHook = 20 * time.Millisecond
	// stopWait bounds Grouping.Wait when keepalived stops: it gives its hooks
	// one second.
	stopWait = 250 * time.Millisecond
	// maxPlain is how many notifications about one instance go out within
	// Grouping.FlapWindow before the next waits until it has been quiet.
	maxPlain = 2
	// maxEarlier bounds the events a notification lists.
	maxEarlier = 1000
)

// subject is an instance or sync group.
type subject struct {
	kind notify.Kind
	name string
}

func subjectOf(event notify.Event) subject { return subject{event.Kind, event.Name} }

// counts reports whether a state is a transition that can be part of a flap;
// keepalived also tells of things that happen within a state.
func counts(state notify.State) bool {
	switch state {
	case notify.MasterRxLowerPri, notify.MasterPriority, notify.BackupPriority:
		return false
	}
	return true
}

// batch is what waits to be told of one subject.
type batch struct {
	subject subject
	items   []*item // in the order of their times; none if only the end of a flap is to be told
	memory  *memoir
	due     time.Time
	story   notify.Story
	count   int
	since   time.Time
}

// compose makes notifications of the entries whose time has come, and ready
// for the channels. It sets when the next is due.
func (d *drainer) compose(ctx context.Context, now time.Time) {
	if d.policy.Grouping == nil || ctx.Err() != nil {
		return
	}
	batches, planned, repeats := d.batches(now)
	d.nextCompose = time.Time{}
	d.dropRepeats(repeats, now)
	switch muted := d.mutedUntil(); {
	case len(planned) > 0 && muted.After(now):
		d.composeAt(muted)
	case len(planned) > 0:
		d.tell(ctx, notify.Summary, []batch{{items: planned}}, now)
	}
	// What is due soon joins what is due now: the instances of one failover
	// follow each other within milliseconds.
	isDue := func(batch batch) bool { return !batch.due.After(now) }
	soon := now
	if slices.ContainsFunc(batches, isDue) {
		soon = now.Add(d.policy.grouping().Wait)
	}
	stories := map[notify.Story][]batch{}
	for _, batch := range batches {
		if batch.due.After(soon) {
			d.composeAt(batch.due)
			continue
		}
		stories[batch.story] = append(stories[batch.story], batch)
	}
	for _, story := range []notify.Story{notify.Transition, notify.Flapping, notify.Settled} {
		if len(stories[story]) > 0 {
			d.tell(ctx, story, stories[story], now)
		}
	}
}

// composeAt has compose called then at the latest.
func (d *drainer) composeAt(due time.Time) {
	if d.nextCompose.IsZero() || due.Before(d.nextCompose) {
		d.nextCompose = due
	}
}

// dropRepeats drops what tells again what another event tells, when it is sure:
// hooks run side by side, and the one of a transition in between may come last.
func (d *drainer) dropRepeats(repeats []*item, now time.Time) {
	for _, item := range repeats {
		if due := item.when(now).Add(d.policy.grouping().Wait); due.After(now) {
			d.composeAt(due)
			continue
		}
		d.dropRepeat(item)
	}
}

// batches sorts what is not ready by subject. Planned is what happened during a
// maintenance that keeps notifications back, repeats what tells nothing new.
func (d *drainer) batches(now time.Time) (batches []batch, planned, repeats []*item) {
	muted := d.mutedUntil().After(now)
	d.mu.Lock()
	defer d.mu.Unlock()
	index := map[subject]int{}
	newest := map[subject]sighting{}
	for _, item := range d.items {
		if item.gone || item.ready {
			continue
		}
		last, ok := newest[item.subject]
		if !ok {
			last = d.memoir(item.subject).Newest
		}
		if last.repeatedBy(item) {
			repeats = append(repeats, item)
			continue
		}
		newest[item.subject] = item.sighting()
		if item.muted {
			planned = append(planned, item)
			continue
		}
		i, ok := index[item.subject]
		if !ok {
			i = len(batches)
			index[item.subject] = i
			batches = append(batches, batch{subject: item.subject, memory: d.memoir(item.subject)})
		}
		batches[i].items = append(batches[i].items, item)
	}
	for who, memory := range d.memoirs {
		if _, ok := index[who]; !ok && memory.Flap != nil && !muted && !d.policy.hurried() {
			batches = append(batches, batch{subject: who, memory: memory})
		}
	}
	for i := range batches {
		batch := &batches[i]
		batch.judge(d.policy.grouping(), now)
		if len(batch.items) == 0 {
			batch.due = latest(batch.due, d.noEndBefore)
		}
	}
	return batches, planned, repeats
}

// mutedUntil is the end of the maintenance in force that keeps notifications
// back; zero if none does.
func (d *drainer) mutedUntil() time.Time {
	if d.policy.Muted == nil {
		return time.Time{}
	}
	return d.policy.Muted()
}

// judge decides when a batch is told, and as what.
func (b *batch) judge(g *Grouping, now time.Time) {
	transitions := slices.Clone(b.memory.Transitions)
	var first, last, stopped time.Time // of the transitions that wait to be told
	for _, item := range b.items {
		if !counts(item.state) {
			continue
		}
		last = item.when(now)
		transitions = append(transitions, last)
		if first.IsZero() {
			first = last
		}
		if item.state == notify.Stop || item.state == notify.Deleted {
			stopped = last
		}
	}
	flap := b.memory.Flap
	if last.IsZero() {
		if flap == nil {
			b.judgeAsides(g, now)
			return
		}
		last = b.memory.last(now)
	}
	recent := 0
	for _, at := range transitions {
		if last.Sub(at) < g.FlapWindow {
			recent++
		}
	}
	flaps := flap != nil || recent >= g.FlapThreshold
	switch {
	case flap != nil:
		b.since, b.count = flap.Since, flap.Count+len(transitions)-len(b.memory.Transitions)
	case flaps:
		b.since, b.count = run(transitions, g.FlapWindow)
	}

	ended, goesOn := notify.Transition, notify.Transition
	if flaps {
		ended, goesOn = notify.Settled, notify.Flapping
	}
	quiet := last.Add(g.FlapSettle)
	switch {
	case !stopped.IsZero():
		// The machine may stop next: nothing holds this back.
		b.due, b.story = stopped.Add(min(g.Wait, stopWait)), ended
	case flap != nil || toldSince(b.memory.Told, first.Add(-g.FlapWindow)) >= maxPlain:
		// It has been told often enough that it changes: the next word is how
		// it ended, or that it goes on. What waits once waits on, however long
		// ago those words are by then.
		b.due, b.story = quiet, ended
		from := first
		if flap != nil {
			from = past(flap.Told, now)
		}
		if again := from.Add(g.FlapNotice); again.Before(quiet) && !first.IsZero() {
			b.due, b.story = again, goesOn
		}
	default:
		b.due, b.story = latest(first.Add(g.Wait), lastOf(b.memory.Told, now).Add(g.Interval)), goesOn
		if !quiet.After(now) {
			b.story = ended // it was over before anybody looked
		}
	}
}

// run gives the begin and the number of the last transitions, as far back as each
// came within the window of the next: those of a slow flap that was held back are
// more than one window has.
func run(transitions []time.Time, window time.Duration) (since time.Time, count int) {
	from := len(transitions) - 1
	for from > 0 && transitions[from].Sub(transitions[from-1]) < window {
		from--
	}
	return transitions[from], len(transitions) - from
}

// judgeAsides is judge for what happened within a state, such as the adverts of
// a lower priority that a misconfigured peer sends every second. Word of it
// neither makes a flap nor holds back that of a transition.
func (b *batch) judgeAsides(g *Grouping, now time.Time) {
	first, last := b.items[0].when(now), b.items[len(b.items)-1].when(now)
	b.due, b.story = first.Add(g.Wait), notify.Transition
	for _, told := range [][]time.Time{b.memory.Told, b.memory.Asides} {
		b.due = latest(b.due, lastOf(told, now).Add(g.Interval))
	}
	if toldSince(b.memory.Asides, last.Add(-g.FlapNotice)) >= maxPlain {
		b.due = last.Add(g.FlapSettle)
		if again := first.Add(g.FlapNotice); again.Before(b.due) {
			b.due = again
		}
	}
}

// tell makes one notification of all batches. If that cannot be kept, as on a
// full disk, every event is told alone: nothing waits for a disk but the end of
// a flap, which has no event of its own.
func (d *drainer) tell(ctx context.Context, story notify.Story, batches []batch, now time.Time) {
	var items []*item
	var over []notify.Event // the last of flaps after which nothing happened any more
	count, since := 0, time.Time{}
	for _, batch := range batches {
		items = append(items, batch.items...)
		if len(batch.items) == 0 {
			over = append(over, batch.memory.Flap.Last)
		}
		count += batch.count
		if batch.count > 0 && (since.IsZero() || batch.since.Before(since)) {
			since = batch.since
		}
	}
	if len(items) == 0 {
		d.tellEnds(batches, count, since, now)
		return
	}
	slices.SortFunc(items, byName)
	err := d.combine(ctx, items, over, story, count, since)
	if err != nil {
		d.warn(fmt.Errorf("group events: %w", err))
	}
	for _, batch := range batches {
		switch {
		case batch.memory == nil:
		case len(batch.items) == 0 && err != nil:
			d.putOffEnds(now)
		default:
			d.noteTold(batch, story, now)
		}
	}
	if story == notify.Summary {
		d.noteSummary(items, now)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, item := range items {
		item.ready, item.suspect, item.event = true, false, nil
	}
	d.announce()
}

// inParts tells all at once if it fits into one entry, or else in halves, and those
// in halves of their own. A try that fails with errTooLarge has changed nothing.
func inParts[T any](all []T, tell func(part []T) error) error {
	err := tell(all)
	if len(all) < 2 || !errors.Is(err, errTooLarge) {
		return err
	}
	half := len(all) / 2
	return errors.Join(inParts(all[:half], tell), inParts(all[half:], tell))
}

// combine makes the last item's entry tell of all and of what is over, and
// settles the others. What does not fit into one notification becomes several.
func (d *drainer) combine(ctx context.Context, items []*item, over []notify.Event, story notify.Story, count int, since time.Time) error {
	return inParts(items, func(part []*item) error {
		if count == 0 && len(part) > maxEarlier {
			return errTooLarge
		}
		if part[0] != items[0] {
			return d.combineAll(ctx, part, nil, story, count, since)
		}
		return d.combineAll(ctx, part, over, story, count, since)
	})
}

// combineAll is combine for what may fit. Where it does not, the error is
// errTooLarge and nothing was changed.
func (d *drainer) combineAll(ctx context.Context, items []*item, over []notify.Event, story notify.Story, count int, since time.Time) error {
	release, err := d.s.lockChanges(ctx)
	if err != nil {
		return err
	}
	defer release()
	var events []notify.Event
	var present []*item
	var entry Entry
	for _, item := range items {
		read, _, err := d.s.readEntry(queueDir, item.name)
		switch {
		case errors.Is(err, fs.ErrNotExist): // dropped by hand
			d.forget(item)
			continue
		case err != nil: // an attempt tells why, and the others go without it
			continue
		}
		entry = read
		d.mu.Lock()
		item.event = &read.Event
		d.mu.Unlock()
		events = append(events, read.Event)
		present = append(present, item)
	}
	if len(present) == 0 {
		if len(over) > 0 { // whose end is told with them
			return errors.New("none of the events that wait can be read")
		}
		return nil
	}
	last := present[len(present)-1]
	entry.Story, entry.Count, entry.regrouped = story, count, true
	earlier := append(over[:len(over):len(over)], events[:len(events)-1]...)
	slices.SortStableFunc(earlier, byTime)
	entry.Earlier = abridge(earlier, entry.Event)
	if count > 0 {
		entry.Since = &since
	}
	if data, err := entry.encode(); err != nil {
		return err
	} else if len(data) > maxEvent {
		return tooLarge(data)
	}
	if err := d.s.replace(last.name, &entry); err != nil {
		return err
	}
	d.s.at("group: written")
	d.mu.Lock()
	last.subjects = subjectsOf(entry.Notification())
	d.mu.Unlock()
	d.detach(present[:len(present)-1])
	d.findSkipped(last, &entry, true)
	return nil
}

func byTime(a, b notify.Event) int { return a.Time.Compare(b.Time) }

// detach takes entries whose events another entry tells out of the queue, or
// leaves them to the immediate channels that have not had them.
func (d *drainer) detach(items []*item) {
	if len(items) == 0 {
		return
	}
	for _, item := range items {
		if err := d.detachOne(item); err != nil {
			d.warn(fmt.Errorf("an event that is told together with others stays in the queue and may be told again: %w", err))
		}
	}
	if err := d.s.syncDirs(queueDir); err != nil {
		d.warn(err)
	}
	d.s.at("group: detached")
}

func (d *drainer) detachOne(item *item) error {
	d.mu.Lock()
	immediate := true
	for _, name := range d.names {
		if !d.immediate[name] {
			item.outcomes[name] = Outcome{State: Done}
		} else if item.outcome(name).State == Pending {
			immediate = false
		}
	}
	d.mu.Unlock()
	if immediate {
		d.forget(item)
		err := d.s.root.Remove(queueDir + "/" + item.name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return explain("remove", d.s.path(queueDir+"/"+item.name), err)
		}
		return nil
	}
	entry, _, err := d.s.readEntry(queueDir, item.name)
	if errors.Is(err, fs.ErrNotExist) {
		d.forget(item)
		return nil
	}
	if err != nil {
		return explain("read entry", d.s.path(queueDir+"/"+item.name), err)
	}
	var settled []string
	for _, name := range d.wanted() {
		if !d.immediate[name] {
			entry.setOutcome(name, Outcome{State: Done})
			settled = append(settled, name)
		}
	}
	full := d.s.replace(item.name, &entry)
	if !errors.Is(full, ErrDiskFull) {
		return full
	}
	for _, name := range settled {
		if err := d.s.mark(item.name, name, full); err != nil {
			return err
		}
	}
	return nil
}

// tellEnds tells the end of flaps after which nothing happened any more.
func (d *drainer) tellEnds(batches []batch, count int, since, now time.Time) {
	slices.SortFunc(batches, func(a, b batch) int { return byTime(a.memory.Flap.Last, b.memory.Flap.Last) })
	err := inParts(batches, func(part []batch) error {
		events := make([]notify.Event, len(part))
		for i, batch := range part {
			events[i] = batch.memory.Flap.Last
		}
		if err := d.s.put(d.endOf(events, count, since)); err != nil {
			return err
		}
		for _, batch := range part {
			d.noteTold(batch, notify.Settled, now)
		}
		return nil
	})
	if err != nil {
		d.warn(fmt.Errorf("group events: %w", err))
		d.putOffEnds(now)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.announce()
}

// endOf is the entry that tells the end of flaps, by the last event of each.
func (d *drainer) endOf(events []notify.Event, count int, since time.Time) Entry {
	last := events[len(events)-1]
	// The event went out before, with the notice: this is another message.
	last.ID = shorten(last.ID, maxID-len(settledSuffix)) + settledSuffix
	entry := Entry{
		Event: last, Story: notify.Settled, Earlier: abridge(events[:len(events)-1], last),
		Count: count, Since: &since, Channels: map[string]Outcome{},
	}
	for name, immediate := range d.immediate {
		if immediate {
			entry.Channels[name] = Outcome{State: Done}
		}
	}
	return entry
}

// putOffEnds leaves the end of flaps, which could not be kept, for a while.
func (d *drainer) putOffEnds(now time.Time) {
	d.noEndBefore = now.Add(d.policy.InitialBackoff)
	d.composeAt(d.noEndBefore)
}

// settledSuffix makes the ID of a flap's end of its last event's.
const settledSuffix = "-settled"

// abridge keeps of the events before the last one what a list of them shows,
// and all of those that are the last of their subject.
func abridge(earlier []notify.Event, last notify.Event) []notify.Event {
	seen := map[subject]bool{subjectOf(last): true}
	excess := len(earlier) - maxEarlier
	abridged := make([]notify.Event, 0, len(earlier))
	lasting := make([]bool, len(earlier))
	for i, event := range slices.Backward(earlier) {
		who := subjectOf(event)
		lasting[i], seen[who] = !seen[who], true
	}
	for i, event := range earlier {
		if lasting[i] {
			abridged = append(abridged, event)
			continue
		}
		if excess > 0 {
			excess--
			continue
		}
		abridged = append(abridged, notify.Event{
			ID: event.ID, Time: event.Time, Host: event.Host, RouterID: event.RouterID,
			Kind: event.Kind, Name: event.Name, State: event.State, Previous: event.Previous,
			PreviousSince: event.PreviousSince, Priority: event.Priority, Known: event.Known,
			VIPs: []notify.VIP{}, Maintenance: event.Maintenance,
		})
	}
	return abridged
}

func subjectsOf(notification notify.Notification) []subject {
	var subjects []subject
	for _, event := range notification.Events() {
		if who := subjectOf(event); !slices.Contains(subjects, who) {
			subjects = append(subjects, who)
		}
	}
	return subjects
}
