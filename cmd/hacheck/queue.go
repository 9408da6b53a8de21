package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"hacheck/notify"
	"hacheck/notify/spool"
)

// tell says on stdout what a delivery did, and warns of what did not go well.
// Its error sums up what stays behind.
func (a *app) tell(report spool.Report) error {
	if report.Busy {
		a.say(delivery{Busy: true})
		return nil
	}
	for _, warning := range report.Warnings {
		a.log.Warn("spool", "error", warning)
	}
	for _, damaged := range report.SetAside {
		a.log.Warn("a file of the spool was set aside", "file", damaged.Dir+"/"+damaged.Name, "reason", damaged.Reason)
	}
	for _, name := range slices.Sorted(maps.Keys(report.Channels)) {
		for _, failure := range report.Channels[name].Failures {
			fate := "is tried again" // when the next is due is said once, below
			if failure.Dead {
				fate = "given up"
			}
			a.log.Warn("not delivered", "channel", name, "event", failure.ID, "at", failure.At.Format(time.TimeOnly), "instance", printable(failure.Name),
				"state", failure.State, "attempts", failure.Attempts, "fate", fate, "error", failure.Err)
		}
	}
	a.say(delivery{
		Delivered: report.Delivered, Deferred: report.Deferred, GivenUp: report.Dead,
		Waiting: report.Remaining, NextDue: report.NextDue,
	})
	switch {
	case report.Dead > 0:
		return failedError("%s given up (see 'hacheck queue list')", plural(report.Dead, "delivery was", "deliveries were"))
	case len(report.SetAside) > 0:
		return failedError("%s of the spool cannot be used (see 'hacheck queue list')", counted(len(report.SetAside), "file"))
	case report.Enough:
		return nil // the next run goes on
	case report.Deferred > 0:
		return failedError("%s failed and will be tried again", plural(report.Deferred, "delivery", "deliveries"))
	case report.Interrupted:
		return failedError("the time was up before everything was tried")
	}
	return nil
}

// delivery is what a delivery did, as it is printed.
type delivery struct {
	// Busy says that another run is delivering; the rest is then unknown.
	Busy bool `json:"busy"`
	// Delivered, Deferred and GivenUp count one event on one channel each.
	Delivered int `json:"delivered"`
	Deferred  int `json:"deferred"`
	GivenUp   int `json:"given_up"`
	// Waiting counts the events left, NextDue is when the next one is due.
	Waiting int       `json:"waiting"`
	NextDue time.Time `json:"next_due,omitzero"`
}

func (d delivery) String() string {
	if d.Busy {
		return "another run is delivering and takes care of the new events, too"
	}
	return fmt.Sprintf("%d delivered, %d deferred, %d given up; %s%s",
		d.Delivered, d.Deferred, d.GivenUp, plural(d.Waiting, "event waits", "events wait"), whenDue(d.NextDue))
}

// say prints an answer, as text or as JSON.
func (a *app) say(answer fmt.Stringer) {
	a.answered = true
	if a.flags.output != outputJSON {
		fmt.Fprintln(a.stdout, answer)
		return
	}
	if err := json.NewEncoder(a.stdout).Encode(answer); err != nil {
		a.log.Error("cannot print the answer", "error", err)
	}
}

func whenDue(due time.Time) string {
	if due.IsZero() {
		return ""
	}
	return ", the next is due at " + due.Format(time.TimeOnly)
}

func (a *app) queueCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "queue",
		Short: "Look at the events that wait or were given up, retry or drop them",
		Long:  "Look at the events that wait or were given up, retry or drop them.\n\n" + exitCodesHelp,
		Args:  cobra.NoArgs,
		RunE:  func(*cobra.Command, []string) error { return a.queueList() },
	}
	command.AddCommand(
		&cobra.Command{
			Use:   "list",
			Short: "List the events that wait or were given up",
			Args:  cobra.NoArgs,
			RunE:  func(*cobra.Command, []string) error { return a.queueList() },
		},
		&cobra.Command{
			Use:   "show ID",
			Short: "Show an event, its message and what became of it on each channel",
			Long: `Show an event, its message and what became of it on each channel. The start of
an ID is enough if no other event has it.

` + exitCodesHelp,
			Args: exactArgs(1, "an event's ID"),
			RunE: func(_ *cobra.Command, args []string) error { return a.queueShow(args[0]) },
		},
		&cobra.Command{
			Use:   "retry ID…|all",
			Short: "Make events due at once, also those given up",
			Long: `Make events due at once, also those given up: those of these IDs, or all. The
start of an ID is enough if no other event has it. A run that waits tries them
within seconds, otherwise the next one does.

` + exitCodesHelp,
			Args: eventArgs,
			RunE: func(_ *cobra.Command, args []string) error { return a.queueRetry(args) },
		},
		a.queueDropCommand(),
	)
	return command
}

func (a *app) queueDropCommand() *cobra.Command {
	var waiting bool
	command := &cobra.Command{
		Use:   "drop ID…|all",
		Short: "Remove events for ever",
		Long: `Remove events for ever: those of these IDs, whether they wait or were given up,
or all that were given up, with the damaged files. The start of an ID is enough if
no other event has it.

What waits is tried again by itself, and may wait for a channel that is only slow:
'all' leaves it where it is, unless --waiting is there, too.

` + exitCodesHelp,
		Args: func(command *cobra.Command, args []string) error {
			if waiting && !isAll(args) {
				return usageError("--waiting is for 'hacheck queue drop all'")
			}
			return eventArgs(command, args)
		},
		RunE: func(_ *cobra.Command, args []string) error { return a.queueDrop(args, waiting) },
	}
	command.Flags().BoolVar(&waiting, "waiting", false, "with all: drop also what waits for delivery")
	return command
}

// allEvents stands for every event in place of IDs, each of which begins with a
// digit.
const allEvents = "all"

func isAll(args []string) bool { return len(args) == 1 && args[0] == allEvents }

// eventArgs wants IDs, or "all" and nothing else: who names events beside it may
// not mean all others.
func eventArgs(command *cobra.Command, args []string) error {
	if slices.Contains(args, allEvents) && !isAll(args) {
		return usageError("%q stands alone: it means every event", allEvents)
	}
	return minimumArgs(1, "an event's ID, or all,")(command, args)
}

// queueBudget bounds a look at the queue or a change of one entry.
const queueBudget = 30 * time.Second

// openQueue opens the spool, if it is sure which one is meant.
func (a *app) openQueue() (*spool.Spool, error) {
	if err := a.config.StateErrors(); err != nil {
		return nil, configError(err)
	}
	queue, err := spool.Open(a.config.StateDir)
	if err != nil {
		return nil, failedError("%w", err)
	}
	queue.Trace(a.step)
	return queue, nil
}

// changeQueue opens the spool for a change, with what is in it.
func (a *app) changeQueue(change func(ctx context.Context, queue *spool.Spool, found queueContents) error) error {
	queue, err := a.openQueue()
	if err != nil {
		return err
	}
	defer queue.Close()
	ctx, cancel := context.WithTimeout(context.Background(), queueBudget)
	defer cancel()
	found, err := a.lookAtQueue()
	if err != nil {
		return err
	}
	if err := change(ctx, queue, found); err != nil {
		return failedError("%w", err)
	}
	return nil
}

// each does something to the events whose IDs begin so. It goes on after an error
// and returns the IDs of those to which it was done.
func (c queueContents) each(starts []string, do func(id string) error) (done []string, err error) {
	var failures []error
	for _, start := range starts {
		id, err := c.complete(start)
		if err == nil {
			err = do(id)
		}
		if errors.Is(err, spool.ErrNoEntry) {
			err = fmt.Errorf("%w (see 'hacheck queue list')", err)
		}
		if err != nil {
			failures = append(failures, err)
			continue
		}
		done = append(done, id)
	}
	return done, errors.Join(failures...)
}

// queueRetry makes events due.
func (a *app) queueRetry(args []string) error {
	return a.changeQueue(func(ctx context.Context, queue *spool.Spool, found queueContents) error {
		var due retried
		var err error
		entries := slices.Concat(found.waiting, found.dead)
		if isAll(args) {
			due.Due, err = queue.RetryAll(ctx)
		} else {
			var ids []string
			ids, err = found.each(args, func(id string) error { return queue.Retry(ctx, id) })
			due.Due = len(ids)
			entries = slices.DeleteFunc(entries, func(entry spool.Entry) bool { return !slices.Contains(ids, entry.Event.ID) })
		}
		if err != nil && due.Due == 0 {
			return err
		}
		a.say(due)
		if channels := missing(entries, a.configured()); len(channels) > 0 {
			a.log.Warn("channels are no longer configured: what they have not had is given up again", "channels", strings.Join(channels, ", "))
		}
		return err
	})
}

// retried is what 'queue retry' answers.
type retried struct {
	Due int `json:"due"`
}

func (r retried) String() string {
	return plural(r.Due, "event is due: 'hacheck deliver' sends it", "events are due: 'hacheck deliver' sends them")
}

// queueDrop removes events for ever.
func (a *app) queueDrop(args []string, waiting bool) error {
	return a.changeQueue(func(ctx context.Context, queue *spool.Spool, found queueContents) error {
		var gone dropped
		var err error
		switch {
		case !isAll(args):
			var ids []string
			ids, err = found.each(args, func(id string) error { return queue.Drop(ctx, id) })
			gone.Dropped = len(ids)
		case waiting:
			events, damaged, waitErr := queue.DropWaiting(ctx)
			gone.Dropped, gone.Damaged, err = queue.DropDead(ctx) // and what was given up meanwhile
			gone.Dropped, gone.Damaged, err = gone.Dropped+events, gone.Damaged+damaged, errors.Join(waitErr, err)
		default:
			gone.Dropped, gone.Damaged, err = queue.DropDead(ctx)
			gone.Kept = len(found.waiting)
		}
		if err == nil || gone.Dropped+gone.Damaged > 0 {
			a.say(gone)
		}
		return err
	})
}

// dropped is what 'queue drop' answers.
type dropped struct {
	Dropped int `json:"dropped"`
	// Damaged counts the damaged files dropped with 'all', Kept the events that it
	// left waiting.
	Damaged int `json:"damaged"`
	Kept    int `json:"kept"`
}

func (d dropped) String() string {
	text := counted(d.Dropped, "event")
	if d.Damaged > 0 {
		text += " and " + counted(d.Damaged, "damaged file")
	}
	text += " dropped"
	if d.Kept > 0 {
		text += fmt.Sprintf("; %s still waiting (--waiting drops what waits, too)", counted(d.Kept, "event"))
	}
	return text
}

// queued is one event as 'queue list' shows it.
type queued struct {
	ID       string                   `json:"id"`
	Time     time.Time                `json:"time"`
	Kind     string                   `json:"kind"`
	Name     string                   `json:"name"`
	State    string                   `json:"state"`
	Dead     bool                     `json:"dead"`
	Channels map[string]spool.Outcome `json:"channels,omitempty"`
	// Missing are those that have not had it and are no longer configured.
	Missing []string `json:"no_longer_configured,omitempty"`
}

// configured says which channels there are; nil if that is not sure.
func (a *app) configured() []string {
	ctx, cancel := context.WithTimeout(context.Background(), queueBudget)
	defer cancel()
	channels, err := a.channels(ctx)
	if err != nil || len(channels.Awaited) > 0 {
		return nil
	}
	var names []string
	for _, channel := range channels.Notifiers {
		names = append(names, channel.Name())
	}
	return names
}

// missing names the channels that have not had one of the entries and are not
// configured, which may not be known.
func missing(entries []spool.Entry, configured []string) []string {
	var names []string
	for _, entry := range entries {
		for name, outcome := range entry.Channels {
			if outcome.State != spool.Done && configured != nil && !slices.Contains(configured, name) && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names
}

// queueContents is what is in the spool.
type queueContents struct {
	waiting, dead []spool.Entry
	damaged       []spool.Damaged
	// absent is set if there is no spool yet.
	absent bool
}

// lookAtQueue reads the spool without changing it, so that it takes no right to
// write. A spool that does not exist yet is an empty one.
func (a *app) lookAtQueue() (queueContents, error) {
	var found queueContents
	if err := a.config.StateErrors(); err != nil {
		return found, configError(err)
	}
	queue, err := spool.OpenReadOnly(a.config.StateDir)
	if errors.Is(err, fs.ErrNotExist) {
		found.absent = true
		return found, nil
	}
	if err != nil {
		return found, failedError("%w", err)
	}
	defer queue.Close()
	ctx, cancel := context.WithTimeout(context.Background(), queueBudget)
	defer cancel()
	var damagedToo []spool.Damaged
	if found.waiting, found.damaged, err = queue.List(ctx); err != nil {
		return found, failedError("%w", err)
	}
	if found.dead, damagedToo, err = queue.Dead(ctx); err != nil {
		return found, failedError("%w", err)
	}
	found.damaged = append(found.damaged, damagedToo...)
	return found, nil
}

// complete completes the start of an event's ID. What no event's ID begins with
// stays as it is.
func (c queueContents) complete(start string) (string, error) {
	var ids []string
	for _, entry := range slices.Concat(c.waiting, c.dead) {
		if id := entry.Event.ID; strings.HasPrefix(id, start) && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	switch {
	case start == "" || len(ids) == 0 || slices.Contains(ids, start):
		return start, nil
	case len(ids) > 1:
		return "", fmt.Errorf("%d events have an ID that begins with %q, the first %s and %s", len(ids), start, printable(ids[0]), printable(ids[1]))
	}
	return ids[0], nil
}

func (a *app) queueList() error {
	found, err := a.lookAtQueue()
	if err != nil {
		return err
	}
	waiting, dead, damaged := found.waiting, found.dead, found.damaged
	events := make([]queued, 0, len(waiting)+len(dead))
	var configured []string
	if len(waiting)+len(dead) > 0 {
		configured = a.configured()
	}
	for _, entry := range waiting {
		events = append(events, asQueued(entry, false, configured))
	}
	for _, entry := range dead {
		events = append(events, asQueued(entry, true, configured))
	}
	if a.flags.output == outputJSON {
		return json.NewEncoder(a.stdout).Encode(struct {
			Events  []queued        `json:"events"`
			Damaged []spool.Damaged `json:"damaged"`
		}{events, append([]spool.Damaged{}, damaged...)})
	}
	if found.absent {
		fmt.Fprintf(a.stdout, "no event waits: there is no spool in %s yet\n", a.config.StateDir)
		return nil
	}
	if len(events)+len(damaged) == 0 {
		fmt.Fprintln(a.stdout, "no event waits")
		return nil
	}
	table := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tAGE\tEVENT\tFATE\tCHANNELS")
	for _, event := range events {
		fate := "waits"
		if event.Dead {
			fate = "given up"
		}
		fmt.Fprintf(table, "%s\t%s\t%s %s\t%s\t%s\n", printable(event.ID), roughly(a.started.Sub(event.Time)),
			printable(event.State), printable(event.Name), fate, event.channelsText(a.started))
	}
	for _, file := range damaged {
		fmt.Fprintf(table, "%s/%s\t\t\tdamaged\t%s\n", file.Dir, printable(file.Name), quoted(file.Reason, 200))
	}
	return table.Flush()
}

// queueShow shows the event whose ID begins so.
func (a *app) queueShow(id string) error {
	found, err := a.lookAtQueue()
	if err != nil {
		return err
	}
	if id, err = found.complete(id); err != nil {
		return failedError("%w", err)
	}
	var shown shownEntry
	for _, entry := range found.dead {
		if entry.Event.ID == id {
			shown = shownEntry{Entry: entry, Dead: true}
		}
	}
	for _, entry := range found.waiting {
		if entry.Event.ID == id {
			shown = shownEntry{Entry: entry}
		}
	}
	if id == "" || shown.Event.ID == "" {
		return failedError("no event of the spool has an ID that begins with %q (see 'hacheck queue list')", id)
	}
	shown.now = a.started
	shown.Missing = missing([]spool.Entry{shown.Entry}, a.configured())
	shown.message = notify.Style{Language: a.config.Notify.Language}.Render(shown.Notification()).Text
	a.say(&shown)
	return nil
}

// shownEntry is an entry as 'queue show' shows it.
type shownEntry struct {
	spool.Entry
	Dead bool `json:"dead"`
	// Missing is as that of queued.
	Missing []string `json:"no_longer_configured,omitempty"`

	message string
	now     time.Time
}

func (s *shownEntry) String() string {
	fate := "waits"
	if s.Dead {
		fate = "given up"
	}
	var text strings.Builder
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	event := s.Event
	fmt.Fprintf(table, "ID\t%s\n", printable(event.ID))
	fmt.Fprintf(table, "time\t%s (%s ago)\n", event.Time.Format(time.RFC3339), roughly(s.now.Sub(event.Time)))
	fmt.Fprintf(table, "event\t%s %s %s\n", printable(string(event.Kind)), printable(event.Name), printable(string(event.State)))
	if s.Story != "" {
		fmt.Fprintf(table, "told as\t%s of %s\n", printable(string(s.Story)), counted(len(s.Earlier)+1, "event"))
	}
	fmt.Fprintf(table, "fate\t%s\n", fate)
	if len(s.Channels) == 0 {
		fmt.Fprintf(table, "channels\tnot tried yet\n")
	}
	for _, name := range slices.Sorted(maps.Keys(s.Channels)) {
		text := s.outcome(s.Channels[name])
		if slices.Contains(s.Missing, name) {
			text = isMissing(name) + ", " + text
		}
		fmt.Fprintf(table, "%s\t%s\n", printable(name), text)
	}
	table.Flush()
	text.WriteString("\n" + strings.TrimRight(s.message, "\n"))
	return text.String()
}

// outcome words how far a channel is.
func (s *shownEntry) outcome(outcome spool.Outcome) string {
	text := printable(string(outcome.State))
	if outcome.Attempts > 0 {
		text += " after " + counted(outcome.Attempts, "attempt")
	}
	if !outcome.LastAttempt.IsZero() {
		text += fmt.Sprintf(", the last %s ago", roughly(s.now.Sub(outcome.LastAttempt)))
	}
	text += nextTry(outcome, s.now)
	if outcome.LastError != "" {
		text += ": " + quoted(outcome.LastError, 1000)
	}
	return text
}

// nextTry says when a channel is tried again, if that is not now.
func nextTry(outcome spool.Outcome, now time.Time) string {
	if outcome.State != spool.Pending || !outcome.Next.After(now) {
		return ""
	}
	return ", the next in " + roughly(outcome.Next.Sub(now))
}

func asQueued(entry spool.Entry, dead bool, configured []string) queued {
	event := entry.Event
	return queued{
		ID: event.ID, Time: event.Time, Kind: string(event.Kind), Name: event.Name,
		State: string(event.State), Dead: dead, Channels: entry.Channels,
		Missing: missing([]spool.Entry{entry}, configured),
	}
}

// isMissing says that a channel gets nothing any more.
func isMissing(name string) string {
	return fmt.Sprintf("channel %s is no longer configured", printable(name))
}

// counted words a number of things.
func counted(count int, what string) string { return plural(count, what, what+"s") }

// plural words a number and what belongs to it.
func plural(count int, one, more string) string {
	if count == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", count, more)
}

func (q queued) channelsText(now time.Time) string {
	if len(q.Channels) == 0 {
		return "not tried yet"
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(q.Channels)) {
		outcome := q.Channels[name]
		part := printable(name) + " " + printable(fmt.Sprint(outcome.State))
		if slices.Contains(q.Missing, name) {
			part = isMissing(name) + ", " + printable(fmt.Sprint(outcome.State))
		}
		if outcome.LastError != "" {
			part += " after " + counted(outcome.Attempts, "attempt") + nextTry(outcome, now) + ": " + quoted(outcome.LastError, 300)
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, "; ")
}
