package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"hacheck/checks"
	"hacheck/keepalived"
	"hacheck/notify"
	"hacheck/notify/journal"
)

const (
	// maintenanceWait is how long a check that has its answer still waits to
	// learn of a maintenance, should the file system hang.
	maintenanceWait = 20 * time.Millisecond
	// maintenanceLock bounds waiting for another process that declares or
	// restores a maintenance, which takes a few milliseconds.
	maintenanceLock = 2 * time.Second
)

// askMaintenance looks for the maintenance in force; nil is none.
func (a *app) askMaintenance() *lookup[*checks.Maintenance] {
	return lookUp(func() (*checks.Maintenance, error) {
		found, ok, err := checks.CurrentMaintenance(a.config.StateDir, a.config.RunDir, time.Now())
		if !ok {
			return nil, err
		}
		return &found, nil
	})
}

// restoreMaintenance brings the copy for checks of other accounts back after a
// reboot. keepalived calls the hook when it starts, so a drain goes on then.
func (a *app) restoreMaintenance(ctx context.Context) {
	if err := a.copyMaintenance(ctx); err != nil {
		a.log.Warn("maintenance", "error", err)
	}
}

// copyMaintenance makes the copy what the state directory has.
func (a *app) copyMaintenance(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, maintenanceLock, fmt.Errorf("it was not free within %s", maintenanceLock))
	defer cancel()
	return checks.RestoreMaintenance(ctx, a.config.StateDir, a.config.RunDir)
}

// addMaintenance adds the maintenance during which the event happened.
func (a *app) addMaintenance(ctx context.Context, event *notify.Event, asked *lookup[*checks.Maintenance]) {
	found, err := asked.wait(ctx)
	if err != nil {
		event.Notes = append(event.Notes, fmt.Sprintf("Whether this node is in maintenance is not sure: %v.", err))
	}
	if found != nil {
		event.Maintenance = &notify.Maintenance{Until: found.Until, Reason: found.Reason, Mute: found.Mute}
	}
}

// drained is the verdict under a maintenance that drains this node: a failure
// that says what the check itself has found. What goes wrong in finding out
// about a maintenance is a warning and leaves the verdict as it is.
func (a *app) drained(verdict checks.Verdict, asked *lookup[*checks.Maintenance]) checks.Verdict {
	ctx, cancel := context.WithTimeout(context.Background(), maintenanceWait)
	defer cancel()
	found, err := asked.wait(ctx)
	if err != nil {
		a.log.Warn("maintenance", "error", err)
	}
	if found == nil || !found.Drain {
		return verdict
	}
	drain := checks.Result{
		Name: "maintenance", Status: checks.Fail,
		Reason: fmt.Sprintf("in maintenance %s, drained on purpose", maintenanceTerm(*found, a.started)),
	}
	verdict.Reason = fmt.Sprintf("%s; the check itself %s: %s", drain.Reason, foundWords[verdict.Status], verdict.Reason)
	verdict.Status = checks.Fail
	verdict.Parts = append([]checks.Result{drain}, verdict.Parts...)
	return verdict
}

var foundWords = map[checks.Status]string{
	checks.Pass: "passes", checks.Warn: "passes with a warning", checks.Fail: "fails", checks.Unknown: "cannot tell",
}

// maintenanceTerm words the end and the reason: until 14:30 (kernel).
func maintenanceTerm(m checks.Maintenance, now time.Time) string {
	term := "until " + clock(m.Until, now)
	if m.Reason != "" {
		term += " (" + m.Reason + ")"
	}
	return term
}

// clock gives a time as this node's clock shows it, with the day if that is not
// today.
func clock(when, now time.Time) string {
	when, now = when.Local(), now.Local()
	if when.Format(time.DateOnly) == now.Format(time.DateOnly) {
		return when.Format("15:04")
	}
	return when.Format("2006-01-02 15:04")
}

func (a *app) maintenanceCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "maintenance",
		Short: "Declare a planned disturbance of this node, end it or show it",
		Long: `Show the maintenance of this node. 'maintenance on' declares one, 'maintenance
off' ends it; by itself it ends when its time is over, with no process running.
It survives a reboot.

` + exitCodesHelp,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return a.maintenanceShow() },
	}
	var length time.Duration
	var declared checks.Maintenance
	on := &cobra.Command{
		Use:   "on --for TIME [--reason TEXT] [--drain] [--mute]",
		Short: "Declare a maintenance, in place of the one in force",
		Long: `Declare a maintenance of this node, in place of the one in force. Messages about
transitions say that it is planned. What is not given stays as the one in force
has it, so that more time is all that --for alone asks for: --drain=false ends a
drain, --mute=false delivers what was kept back.

With --drain every check that keepalived runs fails on purpose, after the
vrrp_script's 'fall' times its interval: keepalived gives the VIPs to the peer,
and takes them back when the maintenance is over. hacheck sees this node only:
make sure that the peer is healthy, or nobody holds the VIPs. A check still does
its work and shows what it found; 'hacheck haproxy --ignore-maintenance' answers
as if there were none.

With --mute notifications are kept back and told in one summary when it is over.
The journal gets them all the same.

` + exitCodesHelp,
		Example: `  hacheck maintenance on --for 30m --reason "kernel" --drain
  hacheck maintenance on --for 2h --reason "switch replaced" --mute`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if !command.Flags().Changed("for") {
				return usageError("--for is missing: say how long it lasts, such as --for 30m")
			}
			if length < checks.MinMaintenance || length > checks.MaxMaintenance {
				return usageError("--for %s is out of range: from 1m to 168h (7 days); when it ends too soon, 'hacheck maintenance on' can be said again", length)
			}
			// Without its monotonic part, as the file has it.
			declared.Since = a.started.Round(0)
			declared.Until = declared.Since.Add(length)
			return a.maintenanceOn(declared, command.Flags().Changed)
		},
	}
	flags := on.Flags()
	flags.DurationVar(&length, "for", 0, "how long it lasts, such as 30m or 4h: from 1m to 168h")
	flags.StringVar(&declared.Reason, "reason", "", "why, for messages and the journal")
	flags.BoolVar(&declared.Drain, "drain", false, "let every check fail, so that the VIPs move to the peer")
	flags.BoolVar(&declared.Mute, "mute", false, "keep notifications back until it is over")
	command.AddCommand(on, &cobra.Command{
		Use:   "off",
		Short: "End the maintenance and deliver what was kept back",
		Long: `End the maintenance and deliver what was kept back. It also removes the file of
a maintenance that is damaged.

` + exitCodesHelp,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return a.maintenanceOff() },
	})
	return command
}

// maintenanceAnswer is what the three commands say.
type maintenanceAnswer struct {
	Active bool `json:"active"`
	*checks.Maintenance
	// Replaced is the one that 'on' took the place of, Ended the one that 'off'
	// ended.
	Replaced *checks.Maintenance `json:"replaced,omitempty"`
	Ended    *checks.Maintenance `json:"ended,omitempty"`
	// Drains names the instances whose checks fail on purpose.
	Drains []string `json:"drains,omitempty"`

	now time.Time
}

func (m maintenanceAnswer) String() string {
	var lines []string
	switch {
	case m.Ended != nil:
		lines = append(lines, "the maintenance "+maintenanceTerm(*m.Ended, m.now)+" is ended")
	case !m.Active:
		lines = append(lines, "no maintenance is in force")
	default:
		line := fmt.Sprintf("in maintenance %s, %s left", maintenanceTerm(*m.Maintenance, m.now), roughly(m.Until.Sub(m.now)))
		if m.By != "" {
			line += ", declared by " + m.By
		}
		lines = append(lines, line)
		if m.Drain {
			line = "every check fails on purpose"
			if len(m.Drains) > 0 {
				line += ": keepalived gives away the VIPs of " + strings.Join(m.Drains, ", ") + " if the peer is healthy"
			}
			lines = append(lines, line)
		}
		if m.Mute {
			lines = append(lines, "notifications are kept back until then")
		}
	}
	if m.Replaced != nil {
		lines = append(lines, "it replaces the one "+maintenanceTerm(*m.Replaced, m.now)+m.goesOn())
	}
	return strings.Join(lines, "\n")
}

// goesOn says what becomes of the drain and the mute of the one replaced.
func (m maintenanceAnswer) goesOn() string {
	var words string
	switch {
	case m.Replaced.Drain && m.Drain:
		words = "; its drain goes on (--drain=false ends it)"
	case m.Replaced.Drain:
		words = "; its drain is ended, and checks answer for themselves again"
	}
	switch {
	case m.Replaced.Mute && m.Mute:
		words += "; notifications stay kept back (--mute=false delivers them)"
	case m.Replaced.Mute:
		words += "; notifications are no longer kept back"
	}
	return words
}

func (a *app) maintenanceShow() error {
	if err := a.config.StateErrors(); err != nil {
		return configError(err)
	}
	found, ok, err := checks.CurrentMaintenance(a.config.StateDir, a.config.RunDir, a.started)
	if err != nil {
		return &exitError{exitCannotTell, err}
	}
	answer := maintenanceAnswer{Active: ok, now: a.started}
	if ok {
		answer.Maintenance = &found
		if found.Drain {
			answer.Drains, _ = a.drains()
		}
	}
	a.say(answer)
	return nil
}

// maintenanceOn declares a maintenance, of which given tells the flags that were.
func (a *app) maintenanceOn(declared checks.Maintenance, given func(flag string) bool) error {
	if err := a.config.StateErrors(); err != nil {
		return configError(err)
	}
	declared.By = person()
	before, replaces, err := checks.CurrentMaintenance(a.config.StateDir, a.config.RunDir, a.started)
	if err != nil {
		a.log.Warn("replaced", "error", err)
	}
	if replaces {
		// Who asks for more time does not ask for the VIPs back amid the work.
		if !given("reason") {
			declared.Reason = before.Reason
		}
		declared.Drain = declared.Drain || before.Drain && !given("drain")
		declared.Mute = declared.Mute || before.Mute && !given("mute")
	}
	if err := checks.SaveMaintenance(a.config.StateDir, declared); err != nil {
		return failedError("no maintenance is declared: %w", err)
	}
	copyErr := a.copyMaintenance(context.Background())
	// As it is kept: the texts may have been cut.
	if kept, ok, err := checks.CurrentMaintenance(a.config.StateDir, a.config.RunDir, a.started); err == nil && ok {
		declared = kept
	}
	answer := maintenanceAnswer{Active: true, Maintenance: &declared, now: a.started}
	if replaces {
		answer.Replaced = &before
	}
	if declared.Drain {
		var doubt error
		if answer.Drains, doubt = a.drains(); doubt != nil {
			a.log.Warn("drain", "error", doubt)
		}
	}
	a.say(answer)
	a.journalMaintenance("on", "maintenance "+maintenanceTerm(declared, a.started)+" declared"+byWhom(declared.By), declared)
	if replaces && before.Mute && !declared.Mute {
		a.deliverSummary()
	}
	if copyErr != nil {
		return failedError("checks that run as an account that cannot enter %s do not see the maintenance: %w", a.config.StateDir, copyErr)
	}
	return nil
}

func (a *app) maintenanceOff() error {
	if err := a.config.StateErrors(); err != nil {
		return configError(err)
	}
	ended, ok, err := checks.CurrentMaintenance(a.config.StateDir, a.config.RunDir, a.started)
	if err != nil {
		a.log.Warn("removed", "error", err)
	}
	if err := checks.ClearMaintenance(a.config.StateDir); err != nil {
		return failedError("%w", err)
	}
	if err := a.copyMaintenance(context.Background()); err != nil {
		return failedError("the maintenance is ended, but not for checks that run as an account that cannot enter %s: %w", a.config.StateDir, err)
	}
	answer := maintenanceAnswer{now: a.started}
	if !ok {
		a.say(answer)
		return nil
	}
	answer.Ended = &ended
	a.say(answer)
	a.journalMaintenance("off", "maintenance "+maintenanceTerm(ended, a.started)+" ended"+byWhom(person()), ended)
	if ended.Mute {
		a.deliverSummary()
	}
	return nil
}

// deliverSummary sends what a muted maintenance kept back. What does not go out
// now goes out later: the maintenance is ended all the same.
func (a *app) deliverSummary() {
	queue, err := a.openQueue()
	if err == nil {
		defer queue.Close()
		ctx, cancel := context.WithTimeout(context.Background(), a.config.Notify.Budget)
		defer cancel()
		err = a.drain(ctx, queue, patience{impatient: true})
	}
	if err != nil {
		a.log.Warn("not all that was kept back is delivered", "error", err)
	}
}

func (a *app) journalMaintenance(what, message string, m checks.Maintenance) {
	a.toJournal(journal.Notice, message, map[string]string{
		"HACHECK_MAINTENANCE": what,
		"HACHECK_UNTIL":       m.Until.Format(time.RFC3339),
		"HACHECK_REASON":      m.Reason,
		"HACHECK_DRAIN":       strconv.FormatBool(m.Drain),
		"HACHECK_MUTE":        strconv.FormatBool(m.Mute),
	})
}

func byWhom(person string) string {
	if person == "" {
		return ""
	}
	return " by " + person
}

// person is who runs this command, also behind sudo.
func person() string {
	name := "uid " + strconv.Itoa(os.Getuid())
	if current, err := user.Current(); err == nil && current.Username != "" {
		name = current.Username
	}
	if behind := os.Getenv("SUDO_USER"); behind != "" && behind != name {
		return printable(behind) + " as " + printable(name)
	}
	return printable(name)
}

// drains names the instances that a drain moves: those that go to FAULT when a
// check of hacheck fails. The error says what a drain does not reach.
func (a *app) drains() ([]string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), mailBudget)
	defer cancel()
	configuration, err := lookUp(a.keepalivedConfig).wait(ctx)
	if err != nil {
		return nil, fmt.Errorf("which instances it moves is not known, keepalived.conf could not be read: %w", err)
	}
	var moved []string
	var doubts []error
	for i := range configuration.Instances {
		instance := &configuration.Instances[i]
		fault, weighted := failureMeans(configuration, instance)
		group, grouped := configuration.GroupOf(instance.Name)
		if grouped {
			// A member's FAULT is the whole group's.
			for j := range configuration.Instances {
				if member := &configuration.Instances[j]; slices.Contains(group.Members, member.Name) {
					memberFault, _ := failureMeans(configuration, member)
					fault = fault || memberFault
				}
			}
		}
		switch {
		case fault:
			moved = append(moved, printable(instance.Name))
		case weighted:
			moved = append(moved, printable(instance.Name))
			doubts = append(doubts, fmt.Errorf("%s only changes its priority when a check fails: its VIPs move if the peer's is higher then", printable(instance.Name)))
		default:
			doubts = append(doubts, fmt.Errorf("%s stays: keepalived.conf has it track no check of hacheck", printable(instance.Name)))
		}
	}
	return moved, errors.Join(doubts...)
}

// failureMeans says what a failing check of hacheck does to an instance: to
// FAULT, or to another priority.
func failureMeans(configuration *keepalived.Config, instance *keepalived.Instance) (fault, weighted bool) {
	for _, track := range tracksOf(configuration, instance) {
		script, ok := configuration.Script(track.Name)
		if !ok || verdictOfCommand(script.Command.Words) == "" {
			continue
		}
		fault = fault || track.Weight == 0 && !track.Reverse
		weighted = weighted || track.Weight != 0
	}
	return fault, weighted
}

// tracksOf are the scripts an instance tracks, its sync group's included.
func tracksOf(configuration *keepalived.Config, instance *keepalived.Instance) []keepalived.Track {
	group, ok := configuration.GroupOf(instance.Name)
	if !ok {
		return instance.TrackScripts
	}
	return append(append([]keepalived.Track(nil), instance.TrackScripts...), group.TrackScripts...)
}

// roughly gives a duration as people say it: 41 d, 3 h 20 min, 12 s.
func roughly(d time.Duration) string {
	sign := ""
	if d < 0 {
		sign, d = "-", -d
	}
	const day = 24 * time.Hour
	d = d.Round(time.Second)
	pair := func(large int64, unit string, small int64, part string) string {
		if small == 0 {
			return fmt.Sprintf("%s%d %s", sign, large, unit)
		}
		return fmt.Sprintf("%s%d %s %d %s", sign, large, unit, small, part)
	}
	switch {
	case d >= 10*day:
		return pair(int64(d/day), "d", 0, "")
	case d >= day:
		return pair(int64(d/day), "d", int64(d%day/time.Hour), "h")
	case d >= time.Hour:
		return pair(int64(d/time.Hour), "h", int64(d%time.Hour/time.Minute), "min")
	case d >= 10*time.Minute:
		return pair(int64(d/time.Minute), "min", 0, "")
	case d >= time.Minute:
		return pair(int64(d/time.Minute), "min", int64(d%time.Minute/time.Second), "s")
	default:
		return pair(int64(d/time.Second), "s", 0, "")
	}
}
