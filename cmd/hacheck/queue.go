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
			fate := "is tried again"
			switch {
			case failure.Dead:
				fate = "given up"
			case !failure.Next.IsZero():
				fate = "next try " + failure.Next.Format(time.TimeOnly)
			}
			a.log.Warn("not delivered", "channel", name, "event", failure.ID, "instance", printable(failure.Name),
				"state", failure.State, "attempts", failure.Attempts, "fate", fate, "error", failure.Err)
		}
	}
	a.say(delivery{
		Delivered: report.Delivered, Deferred: report.Deferred, GivenUp: report.Dead,
		Waiting: report.Remaining, NextDue: report.NextDue,
	})
	switch {
	case report.Dead > 0:
		return failedError("%d deliveries were given up (see 'hacheck queue list')", report.Dead)
	case len(report.SetAside) > 0:
		return failedError("%s of the spool cannot be used (see 'hacheck queue list')", counted(len(report.SetAside), "file"))
	case report.Enough:
		return nil // the next run goes on
	case report.Deferred > 0:
		return failedError("%d deliveries failed and will be tried again", report.Deferred)
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
	return fmt.Sprintf("%d delivered, %d deferred, %d given up; %d events wait%s",
		d.Delivered, d.Deferred, d.GivenUp, d.Waiting, whenDue(d.NextDue))
}

// say prints an answer, as text or as JSON.
func (a *app) say(answer fmt.Stringer) {
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
			Long: `Make events due at once, also those given up. The start of an ID is enough if no
other event has it. A run that waits tries them within seconds, otherwise the
next one does.

` + exitCodesHelp,
			Args: minimumArgs(1, "an event's ID, or all"),
			RunE: func(_ *cobra.Command, args []string) error {
				return a.eachEvent(args, func(ctx context.Context, queue *spool.Spool, id string) error {
					if id != "all" {
						return queue.Retry(ctx, id)
					}
					count, err := queue.RetryAll(ctx)
					fmt.Fprintf(a.stdout, "%d events are due: 'hacheck deliver' sends them\n", count)
					return err
				})
			},
		},
		&cobra.Command{
			Use:   "drop ID…",
			Short: "Remove events for ever",
			Long: `Remove events for ever. The start of an ID is enough if no other event has it.

` + exitCodesHelp,
			Args: minimumArgs(1, "an event's ID"),
			RunE: func(_ *cobra.Command, args []string) error {
				return a.eachEvent(args, func(ctx context.Context, queue *spool.Spool, id string) error { return queue.Drop(ctx, id) })
			},
		},
	)
	return command
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

func (a *app) eachEvent(ids []string, do func(context.Context, *spool.Spool, string) error) error {
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
	var failures []error
	for _, id := range ids {
		id, err := found.complete(id)
		if err == nil {
			err = do(ctx, queue, id)
		}
		if err != nil {
			failures = append(failures, err)
		}
	}
	if err := errors.Join(failures...); err != nil {
		return failedError("%w", err)
	}
	return nil
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
}

// queueContents is what is in the spool.
type queueContents struct {
	waiting, dead []spool.Entry
	damaged       []spool.Damaged
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
// stays as it is, and so does "all": an ID begins with a digit.
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
	for _, entry := range waiting {
		events = append(events, asQueued(entry, false))
	}
	for _, entry := range dead {
		events = append(events, asQueued(entry, true))
	}
	if a.flags.output == outputJSON {
		return json.NewEncoder(a.stdout).Encode(struct {
			Events  []queued        `json:"events"`
			Damaged []spool.Damaged `json:"damaged"`
		}{events, append([]spool.Damaged{}, damaged...)})
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
			printable(event.State), printable(event.Name), fate, channelsText(event.Channels))
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
	shown.message = notify.Style{Language: a.config.Notify.Language}.Render(shown.Notification()).Text
	a.say(&shown)
	return nil
}

// shownEntry is an entry as 'queue show' shows it.
type shownEntry struct {
	spool.Entry
	Dead bool `json:"dead"`

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
		fmt.Fprintf(table, "%s\t%s\n", printable(name), s.outcome(s.Channels[name]))
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
	if outcome.State == spool.Pending && outcome.Next.After(s.now) {
		text += ", the next in " + roughly(outcome.Next.Sub(s.now))
	}
	if outcome.LastError != "" {
		text += ": " + quoted(outcome.LastError, 1000)
	}
	return text
}

func asQueued(entry spool.Entry, dead bool) queued {
	event := entry.Event
	return queued{
		ID: event.ID, Time: event.Time, Kind: string(event.Kind), Name: event.Name,
		State: string(event.State), Dead: dead, Channels: entry.Channels,
	}
}

// counted words a number of things.
func counted(count int, what string) string {
	if count == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", count, what)
}

func channelsText(channels map[string]spool.Outcome) string {
	if len(channels) == 0 {
		return "not tried yet"
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(channels)) {
		outcome := channels[name]
		part := printable(name) + " " + printable(fmt.Sprint(outcome.State))
		if outcome.LastError != "" {
			part += fmt.Sprintf(" after %s: %s", counted(outcome.Attempts, "attempt"), quoted(outcome.LastError, 300))
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, "; ")
}
