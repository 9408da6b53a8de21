package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"hacheck/config"
	"hacheck/keepalived"
	"hacheck/notify"
	"hacheck/notify/spool"
)

func (a *app) notifyCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "notify STATE NAME | INSTANCE|GROUP NAME STATE PRIORITY",
		Short: "Record a transition and deliver it (keepalived's notify hook)",
		Long: `Record a transition on disk, then deliver it. Both forms of keepalived are
understood: the words of notify_master and its like, and the four words that
keepalived appends to the command of a plain 'notify'.

The event is on disk before anything is sent. What cannot be delivered now is
delivered by a later run or by 'hacheck deliver'.

Flags stand before the STATE.

` + exitCodesHelp,
		Example: `  notify_master "/usr/bin/hacheck notify MASTER VI_1"
  notify_backup "/usr/bin/hacheck notify BACKUP VI_1"
  notify_fault  "/usr/bin/hacheck notify FAULT VI_1"
  notify        "/usr/bin/hacheck notify"`,
		Args: cobra.ArbitraryArgs,
		RunE: func(command *cobra.Command, args []string) error {
			call, err := keepalived.ParseArgs(args)
			if err != nil {
				return usageError("%w", err)
			}
			return a.notify(call)
		},
	}
	// A name such as "--help" in keepalived.conf must stay a name.
	command.Flags().SetInterspersed(false)
	return command
}

// notify records the transition and delivers what waits. keepalived sends
// SIGTERM when it stops: the event is written first, and only the delivery
// gives way.
func (a *app) notify(call keepalived.Event) error {
	ctx, stop := a.untilSignal()
	defer stop()

	event := a.gather(call)
	queue, err := spool.Open(a.config.StateDir)
	if err == nil {
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

	fmt.Fprintf(a.stdout, "%s %s recorded as %s\n", event.State, printable(event.Name), event.ID)
	ctx, cancel := context.WithTimeout(ctx, a.config.Notify.Budget)
	defer cancel()
	// The event is safe: what happens from here on is told, but the hook has
	// done its duty.
	if err := a.drain(ctx, queue, true); err != nil {
		a.log.Warn("the event is recorded, not all of it is delivered", "error", err)
	}
	return nil
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

// deliverAtOnce is the way out when the event cannot be recorded: whatever
// channel takes it now is the only one that ever will.
func (a *app) deliverAtOnce(ctx context.Context, event notify.Event, cause error) error {
	event.Notes = append(event.Notes, fmt.Sprintf("The event could not be recorded on disk, so it is sent once and not repeated: %v.", cause))
	ctx, cancel := context.WithTimeout(ctx, a.config.Notify.Budget)
	defer cancel()
	channels, err := a.config.Notifiers(a.mailDefaults(), version)
	if err != nil && len(channels) == 0 {
		a.log.Error("bad notify section, only the default channels are used", "error", err)
		channels, err = a.config.DefaultNotifiers(a.mailDefaults())
	}
	if err != nil {
		a.log.Error("not every channel can be used", "error", err)
	}
	type outcome struct {
		name string
		err  error
	}
	outcomes := make(chan outcome, len(channels))
	for _, channel := range channels {
		go func() { outcomes <- outcome{channel.Name(), channel.Notify(ctx, event)} }()
	}
	failures := []error{fmt.Errorf("the event is not recorded: %w", cause)}
	var delivered []string
	for range channels {
		select {
		case got := <-outcomes:
			if got.err != nil {
				failures = append(failures, fmt.Errorf("channel %s: %w", got.name, got.err))
			} else {
				delivered = append(delivered, got.name)
			}
		case <-ctx.Done():
			failures = append(failures, fmt.Errorf("not all channels answered: %w", context.Cause(ctx)))
		}
	}
	if len(delivered) == 0 {
		return failedError("%s %s is lost: %w", event.State, printable(event.Name), errors.Join(failures...))
	}
	a.log.Error("the event is delivered but not recorded", "channels", strings.Join(delivered, ", "), "error", errors.Join(failures...))
	return nil
}

// drain delivers what waits. The impatient do so although a channel that failed
// before has not had its pause: a new event or a person is reason to try again.
// The error sums up what stays behind.
func (a *app) drain(ctx context.Context, queue *spool.Spool, impatient bool) error {
	channels, err := a.config.Notifiers(a.mailDefaults(), version)
	if err != nil && len(channels) == 0 {
		return configError(fmt.Errorf("events wait until the notify section is mended:\n%w", err))
	}
	if err != nil {
		a.log.Error("not every channel can be used", "error", err)
	}
	policy := a.config.Notify.Policy()
	policy.IgnoreBackoff = impatient
	report, err := queue.Drain(ctx, channels, policy)
	if err != nil {
		return failedError("cannot deliver: %w", err)
	}
	return a.tell(report)
}

// mailDefaults are the mail settings of keepalived.conf, for a node without a
// configuration of its own.
func (a *app) mailDefaults() config.MailDefaults {
	configuration, err := a.keepalivedConfig()
	if err != nil {
		a.log.Debug("no mail settings from keepalived.conf", "error", err)
		return config.MailDefaults{}
	}
	global := configuration.Global
	return config.MailDefaults{
		Host: global.SMTPServer.Host, Port: global.SMTPServer.Port,
		From: global.NotificationEmailFrom, To: global.NotificationEmail,
		Timeout: global.SMTPConnectTimeout,
	}
}

func (a *app) deliverCommand() *cobra.Command {
	var now bool
	command := &cobra.Command{
		Use:   "deliver",
		Short: "Deliver the events that wait in the spool",
		Long: `Deliver the events that wait in the spool, each channel in the order of the
events. Only one run delivers at a time; another one ends at once.

` + exitCodesHelp,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			ctx, stop := a.untilSignal()
			defer stop()
			queue, err := spool.Open(a.config.StateDir)
			if err != nil {
				return failedError("%w", err)
			}
			defer queue.Close()
			return a.drain(ctx, queue, now)
		},
	}
	command.Flags().BoolVar(&now, "now", false, "do not wait out the pause after an earlier failure")
	return command
}

// printable keeps a name that keepalived passed from playing tricks on a
// terminal or a log.
func printable(name string) string {
	const most = 64
	quoted := fmt.Sprintf("%q", name)
	plain := quoted[1 : len(quoted)-1]
	if runes := []rune(plain); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return plain
}
