package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"

	"hacheck/checks"
	"hacheck/keepalived"
	"hacheck/notify"
	"hacheck/notify/spool"
)

// gatherBudget bounds what is looked up before the event is written. keepalived
// kills a stop hook after one second; what is not known by then is left out
// and said so.
// It takes a few milliseconds; the rest is for a machine that is overloaded,
// as machines are when they fail over.
const gatherBudget = 400 * time.Millisecond

// socketBudget is HAProxy's share of it, so that a frozen HAProxy does not cost
// the hook its time at every transition.
const socketBudget = 25 * time.Millisecond

// freshVerdict is the age up to which a verdict's word about a backend counts.
const freshVerdict = time.Minute

// gather makes the event for a call of keepalived at a time. It cannot fail: what could
// not be found out becomes a note.
func (a *app) gather(call keepalived.Event, at time.Time) notify.Event {
	event := notify.Event{
		ID:    spool.NewID(at),
		Time:  at,
		Kind:  notify.Kind(call.Kind),
		Name:  call.Name,
		State: notify.State(call.State),
		VIPs:  []notify.VIP{},

		RunbookURL: a.config.Notify.RunbookURL,
	}
	if call.HasPriority {
		event.Priority = &call.Priority
	}
	host, err := os.Hostname()
	if err != nil {
		event.Notes = append(event.Notes, fmt.Sprintf("The host name is not known: %v.", err))
	}
	event.Host = host

	ctx, cancel := context.WithTimeout(context.Background(), gatherBudget)
	defer cancel()
	// Each look-up answers into its own channel, so that one that hangs, on a
	// dead NFS mount or a frozen HAProxy, costs its own facts only.
	conf := lookUp(a.keepalivedConfig)
	addresses := lookUp(func() (keepalived.Addresses, error) { return keepalived.LocalAddresses(ctx) })
	verdicts := lookUp(func() ([]checks.Verdict, error) { return checks.LastVerdicts(a.config.RunDir) })
	backends := lookUp(func() ([]checks.Result, error) { return a.haproxyBackends(ctx, socketBudget) })
	maintenance := a.askMaintenance()

	a.addConfiguration(ctx, &event, conf)
	a.addPresence(ctx, &event, addresses)
	a.addVerdict(ctx, &event, verdicts, conf)
	a.addBackends(ctx, &event, backends, verdicts)
	a.addMaintenance(ctx, &event, maintenance)
	return event
}

// lookup is a question whose answer is waited for no longer than a context lives.
type lookup[T any] struct {
	begun time.Time
	done  chan struct{}
	value T
	err   error
}

func lookUp[T any](ask func() (T, error)) *lookup[T] {
	l := &lookup[T]{begun: time.Now(), done: make(chan struct{})}
	go func() {
		defer close(l.done)
		defer func() {
			// Whatever goes wrong here, the event is written.
			if problem := recover(); problem != nil {
				l.err = fmt.Errorf("fault in hacheck, please report it: %v", problem)
			}
		}()
		l.value, l.err = ask()
	}()
	return l
}

func (l *lookup[T]) wait(ctx context.Context) (T, error) {
	select {
	case <-l.done:
		return l.value, l.err
	case <-ctx.Done():
	}
	// An answer that came together with the end still counts.
	select {
	case <-l.done:
		return l.value, l.err
	default:
		var none T
		return none, fmt.Errorf("no answer within %s", time.Since(l.begun).Round(time.Millisecond))
	}
}

// keepalivedConfig reads the configuration keepalived uses.
func (a *app) keepalivedConfig() (*keepalived.Config, error) {
	path, options, err := a.findKeepalivedConfig()
	if err != nil {
		return nil, err
	}
	return keepalived.Load(path, options)
}

// findKeepalivedConfig tells which file keepalived reads, and how. A file that is
// named in hacheck's configuration is read as the running keepalived reads its own.
func (a *app) findKeepalivedConfig() (path string, options keepalived.Options, err error) {
	path, options, err = keepalived.FindConfig(keepalived.Search{Parent: os.Getppid()})
	if named := a.config.Keepalived.Configuration; named != "" {
		return named, options, nil
	}
	return path, options, err
}

// addConfiguration adds what keepalived.conf says about the instance or group.
func (a *app) addConfiguration(ctx context.Context, event *notify.Event, conf *lookup[*keepalived.Config]) {
	configuration, err := conf.wait(ctx)
	if err != nil {
		if event.Kind == "" {
			event.Kind = notify.Instance
		}
		event.Unread = append(event.Unread, notify.SourceConfiguration)
		event.Notes = append(event.Notes, fmt.Sprintf("The VIPs are not known, keepalived.conf could not be read: %v.", err))
		return
	}
	event.RouterID = configuration.Global.RouterID
	instance, isInstance := configuration.Instance(event.Name)
	group, isGroup := configuration.Group(event.Name)
	if event.Kind == "" {
		event.Kind = notify.Instance
		if isGroup && !isInstance {
			event.Kind = notify.Group
		}
	}
	switch {
	case event.Kind == notify.Group && isGroup:
		event.Known = true
		event.Members = group.Members
		for _, member := range group.Members {
			if instance, ok := configuration.Instance(member); ok {
				event.VIPs = append(event.VIPs, vipsOf(instance)...)
			} else {
				event.Notes = append(event.Notes, fmt.Sprintf("The group's member %s is not a vrrp_instance of keepalived.conf.", member))
			}
		}
	case event.Kind == notify.Instance && isInstance:
		event.Known = true
		event.Interface = instance.Interface
		event.VirtualRouterID = instance.VirtualRouterID
		event.VIPs = vipsOf(instance)
	default:
		event.Notes = append(event.Notes, fmt.Sprintf("%s has no %s of this name: its VIPs are not known.", configuration.Files[0], kindInConfiguration[event.Kind]))
	}
}

var kindInConfiguration = map[notify.Kind]string{
	notify.Instance: "vrrp_instance",
	notify.Group:    "vrrp_sync_group",
}

func vipsOf(instance *keepalived.Instance) []notify.VIP {
	vips := make([]notify.VIP, 0, len(instance.VIPs))
	for _, vip := range instance.VIPs {
		device := vip.Device
		if device == "" {
			device = instance.Interface
		}
		vips = append(vips, notify.VIP{
			Address: vip.Addr.String(), Prefix: vip.Prefix, Device: device,
			Instance: instance.Name, Excluded: vip.Excluded,
			Presence: notify.PresenceUnknown,
		})
	}
	return vips
}

// addPresence adds which VIPs are really on an interface of this node.
func (a *app) addPresence(ctx context.Context, event *notify.Event, addresses *lookup[keepalived.Addresses]) {
	local, err := addresses.wait(ctx)
	if err != nil {
		if len(event.VIPs) > 0 {
			event.Notes = append(event.Notes, fmt.Sprintf("Whether the VIPs are on this node is not known: %v.", err))
		}
		return
	}
	findVIPs(event.VIPs, local)
}

// findVIPs says of each VIP whether it is on this node.
func findVIPs(vips []notify.VIP, local keepalived.Addresses) {
	for i := range vips {
		vip := &vips[i]
		address, err := netip.ParseAddr(vip.Address)
		if err != nil {
			continue
		}
		vip.Presence = notify.Absent
		if device, here := local.On(address); here {
			vip.Presence, vip.PresentOn = notify.Present, device
		}
	}
}

// addVerdict adds the last verdict of the check that decides about the
// instance, or of any check if keepalived.conf names none of hacheck's.
func (a *app) addVerdict(ctx context.Context, event *notify.Event, verdicts *lookup[[]checks.Verdict], conf *lookup[*keepalived.Config]) {
	kept, err := verdicts.wait(ctx)
	if err != nil {
		// One damaged file does not hide the verdicts beside it.
		event.Notes = append(event.Notes, fmt.Sprintf("Not every last verdict is known: %v.", err))
		if len(kept) == 0 {
			event.Unread = append(event.Unread, notify.SourceVerdict)
		}
	}
	var tracked map[string]string
	if configuration, err := conf.wait(ctx); err == nil {
		tracked = trackedChecks(configuration, event)
	}
	if verdict, ok := decisive(kept, tracked); ok {
		event.Verdict = &notify.Verdict{
			Check: verdict.Name, Command: tracked[verdict.Name],
			Status: verdict.Status.String(), Reason: verdict.Reason, Time: verdict.Time,
		}
	}
}

// decisive picks the verdict that explains a transition best: the worst of the
// tracked checks, or else the latest of all. Kept verdicts are newest first.
func decisive(kept []checks.Verdict, tracked map[string]string) (checks.Verdict, bool) {
	badness := map[checks.Status]int{checks.Pass: 1, checks.Warn: 2, checks.Unknown: 3, checks.Fail: 4}
	var worst checks.Verdict
	for _, verdict := range kept {
		if _, ok := tracked[verdict.Name]; ok && badness[verdict.Status] > badness[worst.Status] {
			worst = verdict
		}
	}
	if worst.Name == "" && len(kept) > 0 {
		worst = kept[0]
	}
	return worst, worst.Name != ""
}

// trackedChecks gives hacheck's checks that the instance, or a member of the
// group, tracks: the names of their verdicts and their command lines.
func trackedChecks(configuration *keepalived.Config, event *notify.Event) map[string]string {
	commands := map[string]string{}
	instances := event.Members
	if event.Kind == notify.Instance {
		instances = []string{event.Name}
	}
	for _, name := range instances {
		instance, ok := configuration.Instance(name)
		if !ok {
			continue
		}
		for _, track := range tracksOf(configuration, instance) {
			script, ok := configuration.Script(track.Name)
			if !ok {
				continue
			}
			if check := verdictOfCommand(script.Command.Words); check != "" {
				commands[check] = strings.Join(script.Command.Words, " ")
			}
		}
	}
	return commands
}

// haproxyBackends asks the running HAProxy about its backends, without dialling
// any server.
func (a *app) haproxyBackends(ctx context.Context, budget time.Duration) ([]checks.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	check, err := a.config.HAProxyCheck().BuildHAProxy(a.config)
	if err != nil {
		return nil, err
	}
	return check.Backends(ctx)
}

// maxReasons bounds the backends of an event that say why they are down: with the
// reasons of thousands it is too large to be kept.
const maxReasons = 100

// addBackends adds a summary of HAProxy's backends.
func (a *app) addBackends(ctx context.Context, event *notify.Event, backends *lookup[[]checks.Result], verdicts *lookup[[]checks.Verdict]) {
	results, err := backends.wait(ctx)
	if err != nil {
		event.HAProxy = &notify.HAProxy{Error: fmt.Sprintf("%v (the hook waits %s for it)", err, socketBudget)}
		return
	}
	kept, _ := verdicts.wait(ctx) // an error is in the notes already
	event.HAProxy = summary(results, kept, event.Time)
	for i := maxReasons; i < len(event.HAProxy.Down); i++ {
		event.HAProxy.Down[i].Reason = ""
	}
}

// summary sums up HAProxy's backends. A backend that HAProxy cannot judge,
// because it does not check its servers, gets the word of the last verdict,
// which has dialled them.
func summary(results []checks.Result, kept []checks.Verdict, now time.Time) *notify.HAProxy {
	dialled := map[string]checks.Result{}
	for _, verdict := range kept {
		if now.Sub(verdict.Time) > freshVerdict {
			continue
		}
		for _, part := range verdict.Parts {
			if part.Name == "backends" {
				for _, backend := range part.Parts {
					dialled[backend.Name] = backend
				}
			}
		}
	}
	summary := &notify.HAProxy{}
	for _, backend := range results {
		if known, ok := dialled[backend.Name]; ok && backend.Status == checks.Unknown {
			backend = known
		}
		switch backend.Status {
		case checks.Fail:
			summary.Down = append(summary.Down, notify.BackendDown{Name: backend.Name, Reason: backend.Reason})
		case checks.Unknown:
			summary.Unknown = append(summary.Unknown, backend.Name)
		default:
			summary.Up = append(summary.Up, backend.Name)
		}
	}
	return summary
}
