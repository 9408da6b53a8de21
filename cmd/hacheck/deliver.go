package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"hacheck/checks"
	"hacheck/config"
	"hacheck/keepalived"
	"hacheck/notify"
	"hacheck/notify/spool"
)

func (a *app) deliverCommand() *cobra.Command {
	var now, untilEmpty bool
	command := &cobra.Command{
		Use:   "deliver",
		Short: "Deliver the events that wait in the spool",
		Long: `Deliver the events that wait in the spool, each channel in the order of the
events. Only one run delivers at a time; another one ends at once.

What is not due yet, because a channel has failed, because an instance flaps or
because of a maintenance, is left for the next run, or waited for with
--until-empty: for 50 minutes at most, and until the configuration changes. A
new event, 'hacheck queue retry' and another run with --now make a run that
waits try again.

` + exitCodesHelp,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			ctx, stop := a.untilSignal()
			defer stop()
			queue, err := a.openQueue()
			if err != nil {
				return err
			}
			defer queue.Close()
			a.restoreMaintenance(ctx)
			rule := patience{impatient: now}
			if untilEmpty {
				rule.stay, rule.enough = longestStay, a.stayedEnough()
			}
			return a.drain(ctx, queue, rule)
		},
	}
	command.Flags().BoolVar(&now, "now", false, "do not wait out the pause after an earlier failure")
	command.Flags().BoolVar(&untilEmpty, "until-empty", false, "stay until nothing waits any more")
	return command
}

// longestStay is how long a delivery with --until-empty stays: its unit is killed
// after an hour, and started again by its timer.
const longestStay = 50 * time.Minute

// stayedEnough gives what ends a delivery that stays: its time is over, or the
// configuration it works by is no longer the one on disk. keepalived.conf counts
// where mail goes by its settings; files that it includes do not.
func (a *app) stayedEnough() func() bool {
	paths := []string{a.config.Path}
	if a.config.UsesMailDefaults() {
		if path, _, err := a.findKeepalivedConfig(); err == nil {
			paths = append(paths, path)
		}
	}
	before := make([]os.FileInfo, len(paths))
	for i, path := range paths {
		before[i], _ = os.Stat(path) // no file is a configuration, too
	}
	return func() bool {
		if time.Since(a.started) >= longestStay {
			return true
		}
		for i, path := range paths {
			if now, _ := os.Stat(path); changed(before[i], now) {
				return true
			}
		}
		return false
	}
}

// changed reports whether a file, nil if there is none, is another than before, or
// was written to.
func changed(before, now os.FileInfo) bool {
	if before == nil || now == nil {
		return (before == nil) != (now == nil)
	}
	return !os.SameFile(before, now) || !now.ModTime().Equal(before.ModTime()) || now.Size() != before.Size()
}

// patience is how a delivery deals with what is not due.
type patience struct {
	// impatient tries although a channel that failed before has not had its
	// pause: a new event or a person is reason to try again.
	impatient bool
	// stay is how far ahead that may be due for which the delivery waits, and
	// enough, if set, ends that.
	stay   time.Duration
	enough func() bool
}

// drain delivers what waits. The error sums up what stays behind.
func (a *app) drain(ctx context.Context, queue *spool.Spool, rule patience) error {
	channels, policy, err := a.delivery(ctx, rule)
	if err != nil {
		return err
	}
	if len(channels.Elsewhere) > 0 {
		a.log.Warn("channels wait for the unit that has their systemd credential", "channels", strings.Join(channels.Elsewhere, ", "))
	}
	policy.Parting = partingTime
	report, err := queue.Drain(ctx, channels.Notifiers, policy)
	return a.outcome(channels, report, err)
}

// drainAsHook delivers within the hook's budget, which begins anew with every
// event that other hooks leave to this one: they have ended, and where no unit
// or cron job delivers there is nobody else. For the same reason it stays for a
// channel that has just failed: amid a failover a relay may be out of reach for
// some seconds. keepalived does not wait for it, and of all hooks that run only the
// one that delivers stays.
//
// After a signal, with which keepalived stops and perhaps the machine, nothing
// waits any more, and the end comes after partingTime.
func (a *app) drainAsHook(signalled context.Context, queue *spool.Spool) error {
	budget := a.config.Notify.Budget
	channels, policy, err := a.delivery(context.WithoutCancel(signalled), patience{impatient: true, stay: budget})
	if err != nil {
		return err
	}
	ending, end := context.WithCancel(context.Background())
	defer end()
	stop := context.AfterFunc(signalled, func() { time.AfterFunc(partingTime, end) })
	defer stop()
	policy.Hurry = signalled.Done()
	// A journal that is not there now will not be there in a moment.
	policy.LeaveImmediate = true
	var lost error // what no later round mends
	for {
		ctx, cancel := context.WithTimeout(ending, budget)
		report, err := queue.Drain(ctx, channels.Notifiers, policy)
		cancel()
		if err != nil || signalled.Err() != nil || report.Busy || report.Late.IsZero() || report.NextDue.IsZero() {
			return errors.Join(lost, a.outcome(channels, report, err))
		}
		if told := a.tell(report); report.Dead > 0 || len(report.SetAside) > 0 {
			lost = errors.Join(lost, told)
		}
	}
}

// outcome tells what a delivery did.
func (a *app) outcome(channels config.Channels, report spool.Report, err error) error {
	if err != nil {
		return failedError("cannot deliver: %w", err)
	}
	if err := errors.Join(channels.Problem, a.tell(report)); err != nil {
		return &exitError{exitUnhealthy, err}
	}
	return nil
}

// delivery gives the channels in force and the rules of delivering to them.
func (a *app) delivery(ctx context.Context, rule patience) (config.Channels, spool.Policy, error) {
	channels, err := a.channels(ctx)
	if err != nil {
		return channels, spool.Policy{}, configError(fmt.Errorf("events wait until the configuration is mended:\n%w", err))
	}
	policy := a.config.Notify.Policy()
	policy.IgnoreBackoff, policy.Patience, policy.Enough = rule.impatient, rule.stay, rule.enough
	// What the unit of 'hacheck deliver' was given a password for is left to it,
	// without an attempt that can only fail.
	elsewhere := func(channel notify.Notifier) bool { return slices.Contains(channels.Elsewhere, channel.Name()) }
	channels.Notifiers = slices.DeleteFunc(channels.Notifiers, elsewhere)
	policy.Awaited = slices.Concat(channels.Awaited, channels.Elsewhere)
	policy.Muted = a.mutedUntil
	policy.Gather = a.gatherAgain
	return channels, policy, nil
}

// gatherAgain looks at the node anew for a FAULT that was told some time ago. It
// has ended if keepalived.conf has no such instance any more, for which
// keepalived tells no other state, or if no keepalived runs.
func (a *app) gatherAgain(_ context.Context, kind notify.Kind, name string) (event notify.Event, lasts bool) {
	event = a.gather(keepalived.Event{Kind: string(kind), Name: name, State: string(notify.Fault)}, time.Now())
	if !event.Known && !slices.Contains(event.Unread, notify.SourceConfiguration) {
		return event, false
	}
	running, err := keepalived.Running("")
	return event, running || err != nil
}

// mutedUntil is the end of the maintenance in force that keeps notifications
// back; zero if none does. One that cannot be read keeps nothing back.
func (a *app) mutedUntil() time.Time {
	found, ok, err := checks.CurrentMaintenance(a.config.StateDir, a.config.RunDir, time.Now())
	if err != nil || !ok || !found.Mute {
		return time.Time{}
	}
	return found.Until
}

// mailBudget bounds reading keepalived.conf for its mail settings.
const mailBudget = 2 * time.Second

// mailDefaults are the mail settings of keepalived.conf, for a node without a
// configuration of its own. That there is no keepalived.conf is no error.
func (a *app) mailDefaults(ctx context.Context) config.MailDefaults {
	ctx, cancel := context.WithTimeout(ctx, mailBudget)
	defer cancel()
	configuration, err := lookUp(a.keepalivedConfig).wait(ctx)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return config.MailDefaults{}
	case err != nil:
		return config.MailDefaults{Err: err}
	}
	global := configuration.Global
	return config.MailDefaults{
		Host: global.SMTPServer.Host, Port: global.SMTPServer.Port,
		From: global.NotificationEmailFrom, To: global.NotificationEmail,
		Helo: global.SMTPHelo, Timeout: global.SMTPConnectTimeout,
	}
}
