package notify

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// How many of each list a message names; it says how many more there are.
const (
	maxVIPs     = 20
	maxMembers  = 12
	maxBackends = 12
	maxNotes    = 10
	// maxAlerted bounds the addresses named within a sentence.
	maxAlerted = 4
)

// logLead is how long before the event the journal is shown from: enough to
// hold the failed checks and the adverts that led to it.
const logLead = 2 * time.Minute

// tone is how a piece of a report is meant.
type tone int

const (
	plain tone = iota
	good
	caution
	bad
)

// report is what a message says, before it is laid out as text or HTML.
type report struct {
	language Language
	subject  string
	state    State
	badge    string
	level    Level
	headline string
	lead     []string
	alerts   []alert
	facts    []row
	sections []section
	commands []command
	id       string
}

// alert is a contradiction; a loud one asks for action.
type alert struct {
	text string
	loud bool
}

// section is a part with a heading. It is keyed if the labels of its rows are
// what it is about, rather than the names of what stands beside them.
type section struct {
	heading string
	rows    []row
	keyed   bool
}

// row is a label and what there is to say to it. Rows without a label belong
// to the one above.
type row struct {
	label string
	text  string
	tone  tone
}

// command is something to type, and what it shows.
type command struct {
	line    string
	purpose string
}

// newReport gathers what there is to say about a cleaned event.
func newReport(event Event, language Language, p *phrases) report {
	state := p.state(event.State)
	r := report{
		language: language,
		subject:  subject(event, p),
		state:    event.State,
		badge:    p.named(event.State),
		level:    Severity(event),
		headline: fmt.Sprintf(state.headline, event.who(p), event.host(p)),
		facts:    event.facts(p),
		sections: []section{
			{p.headingVIPs, event.vipRows(p), true},
			{p.headingCheck, event.checkRows(p), false},
			{p.headingHAProxy, event.haproxyRows(p), false},
		},
		commands: event.commands(p),
		id:       orElse(event.ID, p.unstated),
	}
	if event.State != "" && p.states[event.State].headline == "" {
		r.headline = fmt.Sprintf(state.headline, event.who(p), event.host(p), event.State)
	}
	if len(event.Notes) > 0 {
		var rows []row
		for _, note := range event.Notes[:min(len(event.Notes), maxNotes)] {
			rows = append(rows, row{text: note})
		}
		if more := len(event.Notes) - maxNotes; more > 0 {
			rows = append(rows, row{text: fmt.Sprintf(p.moreDown, more)})
		}
		r.sections = append(r.sections, section{p.headingNotes, rows, false})
	}
	r.explain(event, p)
	return r
}

// explain adds why it happened, as far as can be told, and what does not fit
// together.
func (r *report) explain(event Event, p *phrases) {
	why := func(format string) string {
		return fmt.Sprintf(format, event.Verdict.Check, orElse(event.Verdict.Reason, p.reasonNone))
	}
	switch event.State {
	case Master:
		r.lead = append(r.lead, p.whyMaster)
		if event.passing() {
			r.lead = append(r.lead, p.whyMasterPassing)
		}
	case Backup:
		switch {
		case event.Previous == Fault:
			r.lead = append(r.lead, p.whyBackupRecovered)
		case event.Previous == Stop || event.Previous == Deleted:
			r.lead = append(r.lead, p.whyBackupStarted)
		case event.Previous == "" || event.Previous == Backup:
			r.lead = append(r.lead, p.whyBackupFirst)
		case event.failing():
			r.lead = append(r.lead, why(p.whyBackupFailing))
		case event.passing():
			r.lead = append(r.lead, p.whyBackupPassing)
		default:
			r.lead = append(r.lead, p.whyBackup)
		}
	case Fault:
		switch {
		case event.failing():
			r.lead = append(r.lead, why(p.whyFaultFailing))
		case event.passing():
			r.lead = append(r.lead, p.whyFaultPassing)
		default:
			r.lead = append(r.lead, p.whyFault)
		}
	case Stop:
		r.lead = append(r.lead, p.whyStop)
		if event.Previous == Master {
			r.lead = append(r.lead, p.whyStopMaster)
		}
	case Deleted:
		r.lead = append(r.lead, p.whyDeleted)
	case MasterRxLowerPri:
		r.lead = append(r.lead, p.whyClaimed)
	case BackupPriority, MasterPriority:
		if event.failing() && event.State == BackupPriority {
			r.lead = append(r.lead, why(p.whyPriorityFailing))
		} else {
			r.lead = append(r.lead, p.whyPriority)
		}
	}

	if event.holds(yes) && event.failing() {
		r.alerts = append(r.alerts, alert{why(p.whyMasterFailing), true})
	}
	if here := event.vipsThatAre(Present); len(here) > 0 && event.holds(no) {
		r.alerts = append(r.alerts, alert{fmt.Sprintf(p.alertLingering, p.join(here, maxAlerted), p.named(event.State)), true})
	}
	if missing := event.vipsThatAre(Absent); len(missing) > 0 && event.holds(yes) {
		r.alerts = append(r.alerts, alert{fmt.Sprintf(p.alertMissing, p.join(missing, maxAlerted)), false})
	}
	if !event.Known && !event.unread(SourceConfiguration) {
		format := p.alertInstance
		if event.Kind == Group {
			format = p.alertGroup
		}
		r.alerts = append(r.alerts, alert{fmt.Sprintf(format, orElse(event.Name, p.noName)), true})
	}
}

// facts are who, where, when and from what to what.
func (event Event) facts(p *phrases) []row {
	label := p.labelInstance
	if event.Kind == Group {
		label = p.labelGroup
	}
	rows := []row{{label: label, text: orElse(event.Name, p.noName)}}
	if len(event.Members) > 0 {
		rows = append(rows, row{label: p.labelMembers, text: p.join(event.Members, maxMembers)})
	}
	node := event.host(p)
	if event.RouterID != "" && event.RouterID != event.Host {
		node = fmt.Sprintf(p.routerID, node, event.RouterID)
	}
	rows = append(rows, row{label: p.labelNode, text: node})

	change, history := event.change(p)
	rows = append(rows, row{label: p.labelChange, text: change})
	if history != "" {
		rows = append(rows, row{text: history})
	}
	if event.Time.IsZero() {
		rows = append(rows, row{label: p.labelWhen, text: p.noTime})
	} else {
		local, utc := local(event.Time), event.Time.UTC().Format(dateTime)+" UTC"
		rows = append(rows, row{label: p.labelWhen, text: local})
		if local != utc {
			rows = append(rows, row{text: utc})
		}
	}

	var vrrp []string
	if event.Interface != "" {
		vrrp = append(vrrp, fmt.Sprintf(p.vrrpInterface, event.Interface))
	}
	if event.VirtualRouterID != 0 {
		vrrp = append(vrrp, fmt.Sprintf(p.vrrpID, event.VirtualRouterID))
	}
	// keepalived passes 0 for every group, which has no priority of its own.
	if event.Priority != nil && event.Kind != Group {
		vrrp = append(vrrp, fmt.Sprintf(p.vrrpPriority, *event.Priority))
	}
	if len(vrrp) > 0 {
		rows = append(rows, row{label: p.labelVRRP, text: strings.Join(vrrp, p.list)})
	}
	return rows
}

// change says from what to what, and how long the state before lasted.
func (event Event) change(p *phrases) (change, history string) {
	now := orElse(p.named(event.State), p.noState.word)
	previous := p.named(event.Previous)
	lasted, known := event.previousLasted()
	var since string
	if event.PreviousSince != nil && !event.PreviousSince.IsZero() {
		since = local(event.PreviousSince.In(event.Time.Location()))
	}

	if event.State.pseudo() && (event.Previous == "" || event.Previous.base() == event.State.base()) {
		change = fmt.Sprintf(p.stays, p.named(event.State.base()))
		if known && event.Previous == event.State.base() {
			history = fmt.Sprintf(p.stayedFor, p.duration(lasted), since)
		}
		return change, history
	}
	switch {
	case event.Previous == "":
		return fmt.Sprintf(p.changedFrom, now), p.fromUnknown
	case known:
		history = fmt.Sprintf(p.lasted, event.Previous, p.duration(lasted), since)
	case since != "" && !event.Time.IsZero():
		history = fmt.Sprintf(p.lastedBackward, event.Previous, since)
	default:
		history = fmt.Sprintf(p.lastedUnknown, event.Previous)
	}
	return fmt.Sprintf(p.changed, previous, now), history
}

// vipRows list the addresses and whether they are here. Where not all can be
// named, those that contradict the state come first.
func (event Event) vipRows(p *phrases) []row {
	if len(event.VIPs) == 0 {
		if event.Known {
			return []row{{text: p.vipNone}}
		}
		return []row{{text: p.notKnown}}
	}
	vips := event.VIPs
	if len(vips) > maxVIPs {
		vips = slices.Clone(vips)
		slices.SortStableFunc(vips, func(a, b VIP) int { return event.surprise(b) - event.surprise(a) })
	}
	var rows []row
	for _, vip := range vips[:min(len(vips), maxVIPs)] {
		rows = append(rows, event.vipRow(vip, p))
	}
	if more := len(vips) - maxVIPs; more > 0 {
		rows = append(rows, row{text: fmt.Sprintf(p.moreDown, more)})
	}
	return rows
}

// surprise is higher for an address that is not where the state has it.
func (event Event) surprise(vip VIP) int {
	switch {
	case vip.Presence == Present && event.holds(no), vip.Presence == Absent && event.holds(yes):
		return 2
	case vip.Presence != Present && vip.Presence != Absent:
		return 1
	default:
		return 0
	}
}

func (event Event) vipRow(vip VIP, p *phrases) row {
	label := orElse(vip.Address, p.unstated)
	if vip.Prefix > 0 {
		label = fmt.Sprintf("%s/%d", label, vip.Prefix)
	}
	if device := orElse(vip.Device, event.Interface); device != "" {
		label = fmt.Sprintf(p.vipDevice, label, device)
	}
	said, meant := p.vipNotKnown, plain
	switch {
	case vip.Presence == Present && event.holds(no):
		said, meant = fmt.Sprintf(p.vipLingering, orElse(vip.PresentOn, p.unstated)), bad
	case vip.Presence == Present && vip.PresentOn == "":
		said, meant = p.vipHere, good
	case vip.Presence == Present:
		said, meant = fmt.Sprintf(p.vipHereOn, vip.PresentOn), good
	case vip.Presence == Absent && event.holds(no):
		said = p.vipGone
	case vip.Presence == Absent:
		said, meant = p.vipMissing, caution
	}
	if event.Kind == Group && vip.Instance != "" {
		said += p.clauses + fmt.Sprintf(p.vipInstance, vip.Instance)
	}
	if vip.Excluded {
		said += p.clauses + p.vipExcluded
	}
	return row{label: label, text: said, tone: meant}
}

// checkRows tell the last verdict, and how old it was.
func (event Event) checkRows(p *phrases) []row {
	verdict := event.Verdict
	if verdict == nil && event.unread(SourceVerdict) {
		return []row{{text: p.notKnown}}
	}
	if verdict == nil {
		return []row{{text: p.checkNone}}
	}
	meant := plain
	switch verdict.Status {
	case "pass", "warn":
		meant = good
	case "fail":
		meant = bad
	}
	status := orElse(p.statuses[verdict.Status], orElse(verdict.Status, p.unstated))
	rows := []row{
		{label: p.labelCheck, text: orElse(verdict.Check, p.noName) + ": " + status, tone: meant},
		{label: p.labelReason, text: orElse(verdict.Reason, p.reasonNone)},
	}
	age := row{label: p.labelAge, text: p.ageUnknown}
	if !verdict.Time.IsZero() && !event.Time.IsZero() {
		switch before := event.Time.Sub(verdict.Time); {
		case before >= staleAfter:
			age.text, age.tone = fmt.Sprintf(p.ageStale, p.duration(before)), bad
			rows[0].tone = plain
		case before >= time.Second:
			age.text = fmt.Sprintf(p.ageBefore, p.duration(before))
		case before > -time.Second:
			age.text = p.ageNow
		default:
			age.text = fmt.Sprintf(p.ageAfter, p.duration(-before))
		}
	}
	return append(rows, age)
}

// haproxyRows name the backends by whether they can serve, the broken first.
func (event Event) haproxyRows(p *phrases) []row {
	haproxy := event.HAProxy
	switch {
	case haproxy == nil:
		return []row{{text: p.haproxyNone}}
	case haproxy.Error != "":
		return []row{{label: p.labelError, text: haproxy.Error, tone: bad}}
	case len(haproxy.Up)+len(haproxy.Down)+len(haproxy.Unknown) == 0:
		return []row{{text: p.haproxyEmpty}}
	}
	var rows []row
	for i, down := range haproxy.Down[:min(len(haproxy.Down), maxBackends)] {
		said := row{text: fmt.Sprintf(p.downReason, down.Name, orElse(down.Reason, p.reasonNone)), tone: bad}
		if i == 0 {
			said.label = fmt.Sprintf(p.labelDown, len(haproxy.Down))
		}
		rows = append(rows, said)
	}
	if more := len(haproxy.Down) - maxBackends; more > 0 {
		rows = append(rows, row{text: fmt.Sprintf(p.moreDown, more), tone: bad})
	}
	if len(haproxy.Unknown) > 0 {
		rows = append(rows, row{label: fmt.Sprintf(p.labelNotKnown, len(haproxy.Unknown)), text: p.join(haproxy.Unknown, maxBackends)})
	}
	if len(haproxy.Up) > 0 {
		rows = append(rows, row{label: fmt.Sprintf(p.labelUp, len(haproxy.Up)), text: p.join(haproxy.Up, maxBackends), tone: good})
	}
	return rows
}

// commands are what to look at next in this state. People paste them into a
// root shell, so that nothing from the event gets in that is not a plain word.
func (event Event) commands(p *phrases) []command {
	var commands []command
	devices := event.devices()
	addresses := command{"ip -br addr", p.nextAddresses}
	if len(devices) == 1 {
		addresses.line += " show dev " + devices[0]
	}
	commands = append(commands, addresses)

	var since string
	if year := event.Time.UTC().Year(); !event.Time.IsZero() && year > 1970 && year < 10000 {
		// In UTC, which journalctl reads the same on a node of any zone.
		since = event.Time.Add(-logLead).UTC().Format(` --since "2006-01-02 15:04:05 UTC"`)
	}
	commands = append(commands, command{"journalctl -u keepalived" + since, p.nextKeepalivedLog})

	check := command{purpose: p.nextCheck}
	switch {
	case event.Verdict == nil || event.Verdict.Check == "haproxy":
		check.line = "hacheck haproxy"
	case isCommand(event.Verdict.Command):
		check.line = event.Verdict.Command
	case isWord(event.Verdict.Check, 64):
		check.line = "hacheck check " + event.Verdict.Check
	}
	service := []command{check, {"systemctl status haproxy", p.nextHAProxy}}
	if check.line == "" {
		service = service[1:]
	}
	adverts := command{"tcpdump -c 10 -nni any 'ip proto 112 or ip6 proto 112'", p.nextAdverts}
	if isWord(event.Interface, maxDeviceName) {
		adverts.line = strings.Replace(adverts.line, "any", event.Interface, 1)
	}

	switch event.State {
	case Master:
		commands = append(commands, service...)
		commands = append(commands, command{"systemctl status keepalived haproxy", p.nextPeer})
	case Fault:
		commands = append(commands, service...)
		if !event.failing() {
			commands = append(commands, command{"ip -br link", p.nextLinks})
		}
		commands = append(commands, command{"ip -br addr", p.nextPeerAddresses})
	case Stop, Deleted:
		commands = append(commands, command{"systemctl status keepalived", p.nextKeepalived}, command{"ip -br addr", p.nextPeerAddresses})
	case MasterRxLowerPri:
		commands = append(commands, adverts, command{"ip -br addr", p.nextPeerAddresses}, command{"systemctl status keepalived haproxy", p.nextPeer})
	default:
		commands = append(commands, service...)
		if event.holds(no) {
			commands = append(commands, command{"ip -br addr", p.nextPeerAddresses})
		}
	}
	if !event.Known && !event.unread(SourceConfiguration) {
		commands = append(commands, command{"grep -rnE 'vrrp_(instance|sync_group)' /etc/keepalived/", p.nextConfiguration})
	}
	return commands
}

// maxDeviceName is IFNAMSIZ of linux/if.h without the NUL.
const maxDeviceName = 15

// devices are the interfaces the addresses are wanted on or were seen on.
func (event Event) devices() []string {
	var devices []string
	add := func(device string) {
		if isWord(device, maxDeviceName) && !slices.Contains(devices, device) {
			devices = append(devices, device)
		}
	}
	for _, vip := range event.VIPs {
		if vip.Presence == Present {
			add(vip.PresentOn)
		}
		add(orElse(vip.Device, event.Interface))
	}
	add(event.Interface)
	return devices
}

// isWord reports whether a shell takes text as one plain word that is no
// option.
func isWord(text string, limit int) bool {
	if text == "" || len(text) > limit || text[0] == '-' {
		return false
	}
	for i := range len(text) {
		c := text[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && !strings.ContainsRune("._:@-", rune(c)) {
			return false
		}
	}
	return true
}

// isCommand reports whether a shell takes text as it stands as one command: a
// path or a name with plain arguments.
func isCommand(text string) bool {
	const most = 120
	if text == "" || len(text) > most || text[0] == '-' {
		return false
	}
	for _, word := range strings.Split(text, " ") {
		if !isWord(strings.TrimLeft(strings.Map(plainInArguments, word), "-"), most) {
			return false
		}
	}
	return true
}

// plainInArguments turns the further characters that are plain within a
// command's arguments into one that is plain in a word.
func plainInArguments(c rune) rune {
	if strings.ContainsRune("/=%,+", c) {
		return '.'
	}
	return c
}

// dateTime is RFC 3339 with a blank for the T, to the millisecond, which is
// what the logs of keepalived and HAProxy are compared with.
const dateTime = "2006-01-02 15:04:05.000"

// local writes a time with its offset and, if it has one, its zone's name.
func local(t time.Time) string {
	zone, offset := t.Zone()
	if offset == 0 {
		return t.Format(dateTime) + " UTC"
	}
	text := t.Format(dateTime + " -07:00")
	// Zones without a name of their own are called by their offset.
	if zone = clean(zone, 10); zone != "" && zone[0] != '+' && zone[0] != '-' {
		text += " (" + zone + ")"
	}
	return text
}
