package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

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
			fate := "next try " + failure.Next.Format(time.TimeOnly)
			if failure.Dead {
				fate = "given up"
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
			Use:   "retry ID…|all",
			Short: "Make events due at once, also those given up",
			Args:  minimumArgs(1, "an event's ID, or all"),
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
			Args:  minimumArgs(1, "an event's ID"),
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
	var failures []error
	for _, id := range ids {
		if err := do(ctx, queue, id); err != nil {
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

func (a *app) queueList() error {
	queue, err := a.openQueue()
	if err != nil {
		return err
	}
	defer queue.Close()
	ctx, cancel := context.WithTimeout(context.Background(), queueBudget)
	defer cancel()
	waiting, damaged, err := queue.List(ctx)
	if err != nil {
		return failedError("%w", err)
	}
	dead, damagedToo, err := queue.Dead(ctx)
	if err != nil {
		return failedError("%w", err)
	}
	damaged = append(damaged, damagedToo...)
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
		}{events, damaged})
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
		fmt.Fprintf(table, "%s\t%s\t%s %s\t%s\t%s\n", printable(event.ID), a.started.Sub(event.Time).Round(time.Second),
			printable(event.State), printable(event.Name), fate, channelsText(event.Channels))
	}
	for _, file := range damaged {
		fmt.Fprintf(table, "%s/%s\t\t\tdamaged\t%s\n", file.Dir, printable(file.Name), quoted(file.Reason, 200))
	}
	return table.Flush()
}

func asQueued(entry spool.Entry, dead bool) queued {
	event := entry.Event
	return queued{
		ID: event.ID, Time: event.Time, Kind: string(event.Kind), Name: event.Name,
		State: string(event.State), Dead: dead, Channels: entry.Channels,
	}
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
			part += fmt.Sprintf(" after %d attempts: %s", outcome.Attempts, quoted(outcome.LastError, 300))
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, "; ")
}
