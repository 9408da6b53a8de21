package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"hacheck/keepalived"
	"hacheck/notify"
	"hacheck/notify/spool"
)

func (a *app) notifyCommand() *cobra.Command {
	var dryRun, test bool
	command := &cobra.Command{
		Use:   "notify STATE NAME | INSTANCE|GROUP NAME STATE PRIORITY | --test [CHANNEL]",
		Short: "Record a transition and deliver it (keepalived's notify hook)",
		Long: `Record a transition on disk, then deliver it. Both forms of keepalived are
understood: the words of notify_master and its like, and the four words that
keepalived appends to the command of a plain 'notify'.

The event is on disk before anything is sent. What cannot be delivered now is
delivered by a later run or by 'hacheck deliver'.

Flags stand before the STATE. --dry-run prints what every channel would send and
does nothing else. --test sends a message to every channel, or to the CHANNEL
named, and says how each took it; the NAME of a mail channel means all its
recipients, NAME/ADDRESS one.

` + exitCodesHelp,
		Example: `  notify_master "/usr/bin/hacheck notify MASTER VI_1"
  notify_backup "/usr/bin/hacheck notify BACKUP VI_1"
  notify_fault  "/usr/bin/hacheck notify FAULT VI_1"
  notify        "/usr/bin/hacheck notify"

  hacheck notify --dry-run FAULT VI_1
  hacheck notify --test mail`,
		Args: cobra.ArbitraryArgs,
		RunE: func(command *cobra.Command, args []string) error {
			switch {
			case test && dryRun:
				return usageError("--test and --dry-run exclude each other")
			case test && len(args) > 1:
				return usageError("%q is too much: --test takes the name of one channel", args[1])
			case test:
				return a.test(strings.Join(args, ""))
			}
			call, err := keepalived.ParseArgs(args)
			if err != nil {
				if slices.ContainsFunc(args, func(arg string) bool { return strings.HasPrefix(arg, "--") }) {
					err = fmt.Errorf("%w; flags stand before the STATE", err)
				}
				return usageError("%w", err)
			}
			if dryRun {
				return a.dryRun(call)
			}
			return a.notify(call)
		},
	}
	flags := command.Flags()
	flags.BoolVar(&dryRun, dryRunFlag, false, "print what each channel would send; write and send nothing")
	flags.BoolVar(&test, testFlag, false, "send a test message to every channel, or to the one named")
	// A name such as "--help" in keepalived.conf must stay a name.
	flags.SetInterspersed(false)
	return command
}

// A person uses these; keepalived does not.
const (
	dryRunFlag = "dry-run"
	testFlag   = "test"
)

// notify records the transition and delivers what waits. keepalived sends
// SIGTERM when it stops: the event is written first, and only the delivery
// gives way.
func (a *app) notify(call keepalived.Event) error {
	ctx, stop := a.untilSignal()
	defer stop()

	event := a.gather(call, calledAt(a.started))
	a.addChannelDoubts(&event)
	if err := errors.Join(a.config.StateErrors(), a.config.NotifyErrors()); err != nil {
		a.warnJournal(fmt.Errorf("%s is recorded in %s: %w", event.State, a.config.StateDir, err))
	}
	queue, err := spool.Open(a.config.StateDir)
	if err == nil {
		queue.Trace(a.step)
		a.addPrevious(queue, &event)
		err = queue.Put(event)
	}
	if err != nil {
		return a.deliverAtOnce(ctx, event, err)
	}
	defer queue.Close()
	if err := queue.SaveState(event); err != nil {
		a.log.Warn("cannot remember the state for the next event", "error", err)
	}

	a.say(recorded{event.ID, string(event.Kind), event.Name, string(event.State)})
	a.restoreMaintenance(ctx)
	// The event is safe: what happens from here on is told, but the hook has
	// done its duty.
	if err := a.drainAsHook(ctx, queue); err != nil {
		a.log.Warn("the event is recorded, not all of it is delivered", "error", err)
		a.warnJournal(fmt.Errorf("event %s is recorded, not all of it is delivered: %w", event.ID, err))
	}
	return nil
}

// recorded is the hook's answer.
type recorded struct {
	ID    string `json:"id"`
	Kind  string `json:"kind"`
	Name  string `json:"name"`
	State string `json:"state"`
}

func (r recorded) String() string {
	return fmt.Sprintf("%s %s recorded as %s", r.State, printable(r.Name), r.ID)
}

// addChannelDoubts adds that others may be meant to have the event, too: whoever
// has it now may be the only one for long.
func (a *app) addChannelDoubts(event *notify.Event) {
	if err := a.config.ChannelDoubts(); err != nil {
		first, _, _ := strings.Cut(err.Error(), "\n")
		event.Notes = append(event.Notes, fmt.Sprintf("Which channels are meant is not sure, so only the default ones have this: %s.", first))
	}
}

// addPrevious adds the state before, as this node's hook recorded it.
func (a *app) addPrevious(queue *spool.Spool, event *notify.Event) {
	state, since, known, err := queue.LastState(event.Kind, event.Name)
	switch {
	case err != nil:
		event.Notes = append(event.Notes, fmt.Sprintf("The state before is not known: %v.", err))
	case known:
		event.Previous, event.PreviousSince = state, &since
	}
}

// partingTime is what a delivery that cannot be repeated still gets after a
// signal to end: keepalived kills its stop hook after one second.
const partingTime = 900 * time.Millisecond

// deliverAtOnce is the way out when the event cannot be recorded: whatever
// channel takes it now is the only one that ever will.
func (a *app) deliverAtOnce(signalled context.Context, event notify.Event, cause error) error {
	event.Notes = append(event.Notes, fmt.Sprintf("The event could not be recorded on disk, so it is sent once and not repeated: %v.", cause))
	ctx, cancel := context.WithTimeout(context.Background(), a.config.Notify.Budget)
	defer cancel()
	stop := context.AfterFunc(signalled, func() { time.AfterFunc(partingTime, cancel) })
	defer stop()

	failures := []error{fmt.Errorf("the event is not recorded: %w", cause)}
	channels, err := a.channels(ctx)
	if err != nil {
		failures = append(failures, fmt.Errorf("only the default channels are used: %w", err))
		channels = a.config.Defaults(a.mailDefaults(ctx))
	}
	if channels.Problem != nil {
		failures = append(failures, channels.Problem)
	}
	attempts := map[string]*lookup[struct{}]{}
	for _, channel := range channels.Notifiers {
		attempts[channel.Name()] = lookUp(func() (struct{}, error) { return struct{}{}, channel.Notify(ctx, notify.Notification{Event: event}) })
	}
	var delivered []string
	for name, attempt := range attempts {
		if _, err := attempt.wait(ctx); err != nil {
			failures = append(failures, fmt.Errorf("channel %s: %w", name, err))
		} else {
			delivered = append(delivered, name)
		}
	}
	slices.Sort(delivered)
	told := "is lost"
	if len(delivered) > 0 {
		told = "is delivered by " + strings.Join(delivered, ", ") + " only"
	}
	return failedError("%s %s %s: %w", event.State, printable(event.Name), told, errors.Join(failures...))
}

// printable keeps a name that came from elsewhere from playing tricks on a
// terminal or a log.
func printable(name string) string { return quoted(name, 64) }

// quoted gives text as in a Go string literal, but for its quotes, cut to so
// many letters.
func quoted(text string, most int) string {
	literal := strconv.Quote(text)
	plain := strings.ReplaceAll(literal[1:len(literal)-1], `\"`, `"`)
	if runes := []rune(plain); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return plain
}
