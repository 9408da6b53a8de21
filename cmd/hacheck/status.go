package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"hacheck/checks"
	"hacheck/keepalived"
	"hacheck/notify"
	"hacheck/notify/spool"
)

// statusBudget bounds the whole look; each part that is not known by then says
// so.
const statusBudget = 5 * time.Second

func (a *app) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show how this node stands",
		Long: `Show how this node stands: the maintenance in force, the instances with their
last recorded state and their VIPs, the last verdicts of the checks, HAProxy's
backends, and the events that wait for delivery. It changes nothing. What this
account may not read is told and left out.

Exit codes:
  0  everything could be read and nothing is wrong
  1  something is wrong: a check that keepalived runs fails or has stopped
     running, an instance is in FAULT, a VIP is where it should not be, a
     delivery was given up or has failed for over an hour, or the configuration
     has a mistake. Backends that are down count as far as the check says so.
  2  wrong usage
  4  something could not be read, and nothing is known to be wrong`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return a.status() },
	}
}

// status is how this node stands.
type status struct {
	Time     time.Time     `json:"time"`
	Host     string        `json:"host"`
	RouterID string        `json:"router_id,omitempty"`
	Status   checks.Status `json:"status"`
	// Problems say what is wrong, Unread what could not be read and why.
	Problems []string `json:"problems"`
	Unread   []string `json:"unread"`

	Maintenance *checks.Maintenance `json:"maintenance,omitempty"`
	Instances   []instanceStatus    `json:"instances"`
	Checks      []checkStatus       `json:"checks"`
	HAProxy     *notify.HAProxy     `json:"haproxy,omitempty"`
	Queue       *queueStatus        `json:"queue,omitempty"`

	// tracksKnown is set if keepalived.conf could be read.
	tracksKnown bool
}

// instanceStatus is an instance of keepalived.conf.
type instanceStatus struct {
	Name  string `json:"name"`
	Group string `json:"group,omitempty"`
	// State is the last one the hook recorded, for the instance or else for its
	// sync group; empty if none is.
	State notify.State `json:"state,omitempty"`
	Since *time.Time   `json:"since,omitempty"`
	VIPs  []notify.VIP `json:"vips"`
}

// checkStatus is the last verdict of a check.
type checkStatus struct {
	checks.Verdict
	// Tracked is set if keepalived.conf has an instance track it, by Command.
	Tracked bool   `json:"tracked"`
	Command string `json:"command,omitempty"`
}

// queueStatus is the spool.
type queueStatus struct {
	Waiting int `json:"waiting"`
	GivenUp int `json:"given_up"`
	Damaged int `json:"damaged"`
	// Oldest is when the oldest event that waits was made.
	Oldest time.Time `json:"oldest,omitzero"`
	// Overdue are the channels that have failed for longer than they should.
	Overdue  []overdueChannel                 `json:"overdue,omitempty"`
	Channels map[string]spool.ChannelCounters `json:"channels,omitempty"`
}

// overdueAfter is the age from which an event counts that a channel still fails to
// take: longer than a restart of its receiver, and shorter than a night.
const overdueAfter = time.Hour

// overdueChannel is a channel that events wait for too long.
type overdueChannel struct {
	Name string `json:"name"`
	// Oldest is when the oldest of them was made, Error why its last attempt failed.
	Oldest time.Time `json:"oldest"`
	Error  string    `json:"error"`
}

// overdue gives the channels for which something is pending for too long after an
// attempt. What was never tried may be kept back on purpose.
func overdue(waiting []spool.Entry, now time.Time) []overdueChannel {
	late := map[string]overdueChannel{}
	for _, entry := range waiting {
		if now.Sub(entry.Event.Time) < overdueAfter {
			continue
		}
		for name, outcome := range entry.Channels {
			if outcome.State != spool.Pending || outcome.Attempts == 0 {
				continue
			}
			if channel, known := late[name]; !known || entry.Event.Time.Before(channel.Oldest) {
				late[name] = overdueChannel{name, entry.Event.Time, outcome.LastError}
			}
		}
	}
	return slices.SortedFunc(maps.Values(late), func(a, b overdueChannel) int { return strings.Compare(a.Name, b.Name) })
}

func (a *app) status() error {
	budget := statusBudget
	if a.flags.timeout > 0 {
		budget = a.flags.timeout
	}
	ctx, cancel := context.WithTimeout(context.Background(), budget)
	defer cancel()

	// The parts are looked up side by side: one that hangs costs only itself.
	maintenance := a.askMaintenance()
	conf := lookUp(a.keepalivedConfig)
	addresses := lookUp(func() (keepalived.Addresses, error) { return keepalived.LocalAddresses(ctx) })
	verdicts := lookUp(func() ([]checks.Verdict, error) { return checks.LastVerdicts(a.config.RunDir) })
	// A frozen HAProxy is told in its own words, which come before the end.
	backends := lookUp(func() ([]checks.Result, error) { return a.haproxyBackends(ctx, budget*3/4) })
	queue := lookUp(func() (*queueStatus, error) { return a.queueStatus(ctx) })

	s := &status{
		Time: a.started, Problems: []string{}, Unread: []string{},
		Instances: []instanceStatus{}, Checks: []checkStatus{},
	}
	s.Host, _ = os.Hostname() // without it the line begins with the rest
	s.addMistakes(a)
	var err error
	if s.Maintenance, err = maintenance.wait(ctx); err != nil {
		s.unread("maintenance", err)
	}
	configuration, err := conf.wait(ctx)
	if err != nil {
		s.unread("instances", err)
	} else {
		s.RouterID = configuration.Global.RouterID
		local, err := addresses.wait(ctx)
		if err != nil {
			s.unread("addresses", err)
		}
		states := lookUp(func() ([]instanceStatus, error) { return a.instanceStates(configuration) })
		s.addInstances(ctx, states, local, err == nil)
	}
	kept, err := verdicts.wait(ctx)
	if err != nil {
		s.unread("checks", err)
	}
	s.addChecks(kept, err == nil, trackedBy(configuration))
	if results, err := backends.wait(ctx); err != nil {
		s.unread("haproxy", err)
	} else {
		s.HAProxy = summary(results, kept, s.Time)
	}
	if s.Queue, err = queue.wait(ctx); err != nil {
		s.unread("queue", err)
	} else {
		s.addQueue()
	}

	switch {
	case len(s.Problems) > 0:
		s.Status = checks.Fail
	case len(s.Unread) > 0:
		s.Status = checks.Unknown
	default:
		s.Status = checks.Pass
	}
	a.say(s)
	return errSaid(codeOfStatus(s.Status))
}

func (s *status) problem(format string, args ...any) {
	s.Problems = append(s.Problems, fmt.Sprintf(format, args...))
}

// addQueue adds what is wrong in the spool.
func (s *status) addQueue() {
	if s.Queue.GivenUp+s.Queue.Damaged > 0 {
		s.problem("%s given up, %s of the spool damaged (see 'hacheck queue list')", counted(s.Queue.GivenUp, "event"), counted(s.Queue.Damaged, "file"))
	}
	for _, channel := range s.Queue.Overdue {
		s.problem("channel %s does not take an event of %s ago: %s (see 'hacheck queue list')",
			printable(channel.Name), roughly(s.Time.Sub(channel.Oldest)), quoted(channel.Error, 300))
	}
}

func (s *status) unread(part string, err error) {
	// An error may have a line for each file.
	for line := range strings.Lines(err.Error()) {
		s.Unread = append(s.Unread, part+": "+quoted(strings.TrimRight(line, "\n"), 500))
	}
}

// addMistakes adds what is wrong in the configuration.
func (s *status) addMistakes(a *app) {
	if err := a.config.StateErrors(); err != nil && !a.config.Exists {
		s.unread("configuration", err)
		return
	}
	err := errors.Join(a.config.CheckErrors(), a.config.NotifyErrors())
	if err == nil {
		return
	}
	for line := range strings.Lines(err.Error()) {
		s.problem("configuration: %s", quoted(strings.TrimRight(line, "\n"), 500))
	}
}

// instanceStates gives the instances with the states the hook recorded. The
// error says which states could not be read.
func (a *app) instanceStates(configuration *keepalived.Config) ([]instanceStatus, error) {
	var instances []instanceStatus
	for i := range configuration.Instances {
		instance := &configuration.Instances[i]
		entry := instanceStatus{Name: instance.Name, VIPs: vipsOf(instance)}
		if group, ok := configuration.GroupOf(instance.Name); ok {
			entry.Group = group.Name
		}
		instances = append(instances, entry)
	}
	if err := a.config.StateErrors(); err != nil {
		return instances, err
	}
	queue, err := spool.OpenReadOnly(a.config.StateDir)
	if errors.Is(err, fs.ErrNotExist) {
		return instances, nil
	}
	if err != nil {
		return instances, err
	}
	defer queue.Close()
	var problems []error
	for i := range instances {
		entry := &instances[i]
		state, since, known, err := queue.LastState(notify.Instance, entry.Name)
		if err != nil {
			problems = append(problems, err)
		}
		if entry.Group != "" {
			// Both may have a hook, or had one at some time: the later word counts.
			ofGroup, when, told, err := queue.LastState(notify.Group, entry.Group)
			if err != nil {
				problems = append(problems, err)
			}
			if told && (!known || when.After(since)) {
				state, since, known = ofGroup, when, true
			}
		}
		if known {
			entry.State, entry.Since = state, &since
		}
	}
	return instances, errors.Join(problems...)
}

// addInstances adds the instances and what is wrong with them.
func (s *status) addInstances(ctx context.Context, states *lookup[[]instanceStatus], local keepalived.Addresses, seen bool) {
	instances, err := states.wait(ctx)
	if err != nil {
		s.unread("instances", err)
	}
	for _, instance := range instances {
		name := printable(instance.Name)
		if instance.State == notify.Fault {
			s.problem("%s is in FAULT", name)
		}
		if seen {
			findVIPs(instance.VIPs, local)
		}
		for _, vip := range instance.VIPs {
			switch {
			case instance.State == notify.Master && vip.Presence == notify.Absent:
				s.problem("%s is MASTER, and its VIP %s is not on this node", name, vip.Address)
			case instance.State != "" && instance.State != notify.Master && vip.Presence == notify.Present && vip.PresentOn != "lo":
				// On lo a real server of LVS has it in every state.
				s.problem("%s is %s, and its VIP %s is on this node (%s)", name, printable(string(instance.State)), vip.Address, vip.PresentOn)
			}
		}
		s.Instances = append(s.Instances, instance)
	}
}

// trackedCheck is a check of hacheck that some instance tracks.
type trackedCheck struct {
	command  string
	interval time.Duration
}

// trackedBy gives the tracked checks by the names of their verdicts; nil if they
// are not known.
func trackedBy(configuration *keepalived.Config) map[string]trackedCheck {
	if configuration == nil {
		return nil
	}
	tracked := map[string]trackedCheck{}
	for i := range configuration.Instances {
		for _, track := range tracksOf(configuration, &configuration.Instances[i]) {
			if script, ok := configuration.Script(track.Name); ok {
				if name := verdictOfCommand(script.Command.Words); name != "" {
					tracked[name] = trackedCheck{
						command:  strings.Join(script.Command.Words, " "),
						interval: max(tracked[name].interval, script.Interval),
					}
				}
			}
		}
	}
	return tracked
}

// addChecks adds the verdicts, those that keepalived hears first, and of others the
// fresh ones. Where it is not known which are which, all are shown and the fresh
// ones count.
func (s *status) addChecks(kept []checks.Verdict, complete bool, tracked map[string]trackedCheck) {
	s.tracksKnown = tracked != nil
	known := len(tracked) > 0
	for _, verdict := range kept {
		check, ok := tracked[verdict.Name]
		age := s.Time.Sub(verdict.Time)
		if known && !ok && age > freshVerdict {
			continue // somebody's trial of some day
		}
		s.Checks = append(s.Checks, checkStatus{verdict, ok, check.command})
		counts := ok || !known && age <= freshVerdict
		switch {
		case ok && age > max(freshVerdict, 3*check.interval):
			s.problem("the check '%s' ran %s ago for the last time (does keepalived run?)", quoted(check.command, 200), roughly(age))
		case counts && !verdict.Status.Healthy():
			s.problem("%s", verdictLine(verdict))
		}
		delete(tracked, verdict.Name)
	}
	slices.SortStableFunc(s.Checks, func(a, b checkStatus) int {
		switch {
		case a.Tracked == b.Tracked:
			return 0
		case a.Tracked:
			return -1
		default:
			return 1
		}
	})
	if !complete {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(tracked)) {
		s.problem("the check '%s' has not run yet (does keepalived run?)", quoted(tracked[name].command, 200))
	}
}

// queueStatus counts what is in the spool. A spool that does not exist yet is
// an empty one.
func (a *app) queueStatus(ctx context.Context) (*queueStatus, error) {
	if err := a.config.StateErrors(); err != nil {
		return nil, err
	}
	queue, err := spool.OpenReadOnly(a.config.StateDir)
	if errors.Is(err, fs.ErrNotExist) {
		return &queueStatus{}, nil
	}
	if err != nil {
		return nil, err
	}
	defer queue.Close()
	waiting, damaged, err := queue.List(ctx)
	if err != nil {
		return nil, err
	}
	dead, damagedToo, err := queue.Dead(ctx)
	if err != nil {
		return nil, err
	}
	counters, err := queue.Counters()
	if err != nil {
		return nil, err
	}
	found := &queueStatus{
		Waiting: len(waiting), GivenUp: len(dead), Damaged: len(damaged) + len(damagedToo),
		Overdue: overdue(waiting, a.started), Channels: counters.Channels,
	}
	for _, entry := range waiting {
		if found.Oldest.IsZero() || entry.Event.Time.Before(found.Oldest) {
			found.Oldest = entry.Event.Time
		}
	}
	return found, nil
}

// String is the screen.
func (s *status) String() string {
	var text strings.Builder
	text.WriteString(printable(orText(s.Host, "this node")))
	if s.RouterID != "" {
		fmt.Fprintf(&text, " (%s)", printable(s.RouterID))
	}
	fmt.Fprintf(&text, ": %s\n", statusWords[s.Status])
	for _, problem := range s.Problems {
		fmt.Fprintf(&text, "  wrong: %s\n", problem)
	}
	for _, part := range s.Unread {
		fmt.Fprintf(&text, "  cannot tell: %s\n", part)
	}
	if s.Maintenance != nil {
		answer := maintenanceAnswer{Active: true, Maintenance: s.Maintenance, now: s.Time}
		fmt.Fprintf(&text, "%s\n", answer)
	}
	s.tables(&text)
	s.writeHAProxy(&text)
	s.writeQueue(&text)
	return strings.TrimRight(text.String(), "\n")
}

func (s *status) tables(text *strings.Builder) {
	if len(s.Instances) > 0 {
		table := tabwriter.NewWriter(text, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "\nINSTANCE\tSTATE\tFOR\tVIPS")
		for _, instance := range s.Instances {
			name, lasted := printable(instance.Name), ""
			if instance.Group != "" {
				name += " (" + printable(instance.Group) + ")"
			}
			if instance.Since != nil {
				lasted = roughly(s.Time.Sub(*instance.Since))
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", name, printable(orText(string(instance.State), "not recorded")), lasted, vipsText(instance.VIPs))
		}
		table.Flush()
	}
	if len(s.Checks) > 0 {
		table := tabwriter.NewWriter(text, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "\nCHECK\tVERDICT\tAGE\tREASON")
		for _, check := range s.Checks {
			name := printable(check.Name)
			switch {
			case check.Tracked:
				name = quoted(check.Command, 60)
			case s.tracksKnown:
				name += " (not tracked)"
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", name, statusWords[check.Status], roughly(s.Time.Sub(check.Time)), check.Reason)
		}
		table.Flush()
	}
}

func vipsText(vips []notify.VIP) string {
	var parts []string
	for _, vip := range vips {
		where := "not known whether here"
		switch vip.Presence {
		case notify.Present:
			where = "on " + printable(vip.PresentOn)
		case notify.Absent:
			where = "not here"
		}
		parts = append(parts, fmt.Sprintf("%s/%d %s", vip.Address, vip.Prefix, where))
	}
	return strings.Join(parts, ", ")
}

func (s *status) writeHAProxy(text *strings.Builder) {
	if s.HAProxy == nil {
		return
	}
	fmt.Fprintf(text, "\nHAProxy: %s up", counted(len(s.HAProxy.Up), "backend"))
	if len(s.HAProxy.Unknown) > 0 {
		fmt.Fprintf(text, ", %d without checks", len(s.HAProxy.Unknown))
	}
	for i, down := range s.HAProxy.Down {
		if i == 0 {
			fmt.Fprintf(text, ", %d down", len(s.HAProxy.Down))
		}
		fmt.Fprintf(text, "\n  down: %s: %s", printable(down.Name), down.Reason)
	}
	text.WriteString("\n")
}

func (s *status) writeQueue(text *strings.Builder) {
	if s.Queue == nil {
		return
	}
	fmt.Fprintf(text, "\nqueue: %d waiting", s.Queue.Waiting)
	if !s.Queue.Oldest.IsZero() {
		fmt.Fprintf(text, ", the oldest for %s", roughly(s.Time.Sub(s.Queue.Oldest)))
	}
	fmt.Fprintf(text, "; %d given up\n", s.Queue.GivenUp)
	for _, name := range slices.Sorted(maps.Keys(s.Queue.Channels)) {
		sum := s.Queue.Channels[name]
		fmt.Fprintf(text, "  %s: %d delivered", printable(name), sum.Delivered)
		if !sum.LastSuccess.IsZero() {
			fmt.Fprintf(text, ", the last %s ago", roughly(s.Time.Sub(sum.LastSuccess)))
		}
		if sum.Failed > 0 {
			fmt.Fprintf(text, "; %s failed, the last %s ago", counted(sum.Failed, "attempt"), roughly(s.Time.Sub(sum.LastFailure)))
		}
		text.WriteString("\n")
	}
}
