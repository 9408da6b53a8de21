package notify

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Message is an event as it is said to people, in one language.
type Message struct {
	// Subject is one line of at most 120 characters, the most important first.
	// It never holds a line break, a control or an invisible character.
	Subject string
	// Text is the plain form: UTF-8, lines ended by "\n" and at most 78 columns
	// wide, except commands, which are kept whole to be copied.
	Text string
	// HTML is a whole document that says the same. It refers to nothing
	// outside itself and takes its colours from the reader's light or dark mode.
	HTML string
}

// Level is how urgent an event is.
type Level string

// The levels, in rising order.
const (
	// Info: news, nothing to do at once.
	Info Level = "info"
	// Warning: someone should look, in working hours at the latest.
	Warning Level = "warning"
	// Critical: this node cannot serve, or clients may already notice.
	Critical Level = "critical"
)

const (
	// subjectLimit keeps a subject, in characters, within what mail clients
	// show and what stays below the 998 octets of an RFC 5322 line when encoded.
	subjectLimit = 120
	// titleLimit bounds the line for chats and the journal, in characters.
	titleLimit = 200
	// staleAfter is the age at the event from which a verdict no longer
	// explains it: checks run every few seconds, so one that is a minute old
	// comes from a check that no longer runs.
	staleAfter = time.Minute
)

// Severity tells how urgent an event is. A FAULT is critical, and so is a
// MASTER whose own check fails. Leaving MASTER is a warning, taking over and
// recovering are news. What does not fit together is a warning at least: an
// address that is here although the state says it should not be, a name that
// keepalived.conf does not have, a state hacheck does not know.
func Severity(event Event) Level {
	switch {
	case event.State == Fault, event.holds(yes) && event.failing():
		return Critical
	case !event.Known, event.holds(no) && len(event.vipsThatAre(Present)) > 0:
		return Warning
	}
	switch event.State {
	case Master, MasterPriority, BackupPriority:
		return Info
	case Backup:
		switch event.Previous {
		case Fault, Stop, Deleted, Backup:
			if !event.failing() {
				return Info
			}
		}
	}
	return Warning
}

// Render says a notification in a language. It never fails: whatever the event
// holds, names and reasons are bounded, cleaned of control and invisible
// characters and escaped, and what is missing is said to be.
func Render(notification Notification, lang Language) Message {
	event := notification.Event.cleaned()
	words := lang.phrases()
	report := newReport(event, lang.tag(), &words)
	return Message{
		Subject: report.subject,
		Text:    report.text(&words),
		HTML:    report.html(&words),
	}
}

// Title says a notification in one line of at most 200 characters, for chats and the
// journal: "lb-a: VI_1 BACKUP → MASTER after 41 d 3 h; 192.0.2.100 here; …".
// It holds no line break, control or invisible character.
func Title(notification Notification, lang Language) string {
	event := notification.Event.cleaned()
	words := lang.phrases()
	return title(event, &words)
}

func title(event Event, p *phrases) string {
	change := string(event.State)
	if change == "" {
		change = p.noState.word
	}
	if event.Previous != "" && event.Previous != event.State && !event.State.pseudo() {
		change = fmt.Sprintf(p.changed, event.Previous, change)
		if lasted, ok := event.previousLasted(); ok {
			change = fmt.Sprintf(p.titleAfter, change, p.duration(lasted))
		}
	}
	parts := []string{event.host(p) + ": " + event.who(p) + " " + change}
	for _, group := range []struct {
		presence Presence
		words    string
	}{{Present, p.vipHere}, {Absent, p.vipMissing}, {PresenceUnknown, p.vipNotKnown}} {
		addresses := event.vipsThatAre(group.presence)
		if len(addresses) == 0 {
			continue
		}
		said := group.words
		switch {
		case group.presence == Present && event.holds(no):
			said = p.titleLingering
		case group.presence == Absent && event.holds(no):
			said = p.titleGone
		}
		parts = append(parts, p.join(addresses, 2)+" "+said)
	}
	if verdict := event.Verdict; verdict != nil && event.fresh() {
		parts = append(parts, fmt.Sprintf(p.titleCheck, verdict.Check, verdict.Status, orElse(verdict.Reason, p.reasonNone)))
	}
	return clip(strings.Join(parts, "; "), titleLimit)
}

// subject puts first what a phone shows: the state, who, where, the addresses,
// then the state before and, as far as there is room, why the check fails.
func subject(event Event, p *phrases) string {
	who, host := event.who(p), event.host(p)
	head := "[" + orElse(string(event.State), "?") + "] " + fmt.Sprintf(p.state(event.State).subject, clip(who, 40), clip(host, 30))

	var tail strings.Builder
	switch {
	case event.State == MasterRxLowerPri:
		tail.WriteString(p.subjectClaimed)
	case event.State == MasterPriority || event.State == BackupPriority:
		if event.Priority != nil {
			tail.WriteString(fmt.Sprintf(p.subjectPriority, *event.Priority))
		}
	case event.Previous != "" && event.Previous != event.State:
		tail.WriteString(fmt.Sprintf(p.subjectFrom, event.Previous))
	}
	if event.holds(no) && len(event.vipsThatAre(Present)) > 0 {
		tail.WriteString(p.subjectLingering)
	}

	var reason string
	if event.failing() && event.Verdict.Reason != "" {
		reason = fmt.Sprintf(p.subjectReason, "", event.Verdict.Reason)
	}
	room := subjectLimit - runes(fmt.Sprintf(p.subjectReason, head, "")) - runes(tail.String()) - runes(reason)
	line := fmt.Sprintf(p.subjectReason, head, event.subjectVIPs(p, room)) + tail.String()
	// A reason of which only a few letters fit would tell nothing.
	const worthwhile = 15
	if runes(line)+min(runes(reason), worthwhile) <= subjectLimit {
		line += reason
	}
	return clip(line, subjectLimit)
}

// subjectVIPs names two addresses, or one if that is what fits into the room,
// and how many more there are.
func (event Event) subjectVIPs(p *phrases, room int) string {
	if len(event.VIPs) == 0 {
		if event.Known {
			return p.subjectNoVIP
		}
		return p.subjectUnknown
	}
	var text string
	for named := min(2, len(event.VIPs)); named > 0; named-- {
		var names []string
		for _, vip := range event.VIPs[:named] {
			names = append(names, vip.Address)
		}
		text = strings.Join(names, p.list)
		if more := len(event.VIPs) - named; more > 0 {
			text += fmt.Sprintf(" +%d", more)
		}
		if runes(text) <= room {
			break
		}
	}
	return text
}

// who is the instance, or the group said to be one.
func (event Event) who(p *phrases) string {
	name := orElse(event.Name, p.noName)
	if event.Kind == Group {
		return fmt.Sprintf(p.group, name)
	}
	return name
}

// host is this node's name.
func (event Event) host(p *phrases) string { return orElse(event.Host, p.noHost) }

// answer is whether a state is one that holds the addresses.
type answer int

const (
	maybe answer = iota
	yes
	no
)

// holds reports whether the addresses belong on this node in the event's
// state as asked; for a state nobody knows only "maybe" is true.
func (event Event) holds(asked answer) bool {
	switch event.State {
	case Master, MasterRxLowerPri, MasterPriority:
		return asked == yes
	case Backup, Fault, Stop, Deleted, BackupPriority:
		return asked == no
	default:
		return asked == maybe
	}
}

// pseudo reports whether keepalived tells something that happened within a
// state, rather than a change of it.
func (s State) pseudo() bool {
	return s == MasterRxLowerPri || s == MasterPriority || s == BackupPriority
}

// base is the state that a pseudo state happens in.
func (s State) base() State {
	switch s {
	case MasterRxLowerPri, MasterPriority:
		return Master
	case BackupPriority:
		return Backup
	default:
		return s
	}
}

// vipsThatAre lists the addresses of one presence, in the order configured.
func (event Event) vipsThatAre(presence Presence) []string {
	var addresses []string
	for _, vip := range event.VIPs {
		seen := vip.Presence
		if seen != Present && seen != Absent {
			seen = PresenceUnknown
		}
		if seen == presence && !slices.Contains(addresses, vip.Address) {
			addresses = append(addresses, vip.Address)
		}
	}
	return addresses
}

// previousLasted is how long the state before lasted, if that is known and the
// clock did not run backwards in between.
func (event Event) previousLasted() (time.Duration, bool) {
	if event.PreviousSince == nil || event.PreviousSince.IsZero() || event.Time.IsZero() || event.PreviousSince.After(event.Time) {
		return 0, false
	}
	return event.Time.Sub(*event.PreviousSince), true
}

// fresh reports whether the last verdict is near enough to the event to tell
// something about it.
func (event Event) fresh() bool {
	if event.Verdict == nil || event.Verdict.Time.IsZero() || event.Time.IsZero() {
		return false
	}
	return event.Time.Sub(event.Verdict.Time).Abs() < staleAfter
}

// unread reports whether a source could not be read.
func (event Event) unread(source Source) bool { return slices.Contains(event.Unread, source) }

// failing reports whether a fresh verdict says that this node cannot serve.
func (event Event) failing() bool { return event.fresh() && event.Verdict.Status == "fail" }

// passing reports whether a fresh verdict says that this node can serve.
func (event Event) passing() bool {
	return event.fresh() && (event.Verdict.Status == "pass" || event.Verdict.Status == "warn")
}

// orElse is text, or other in place of an empty one.
func orElse(text, other string) string {
	if text == "" {
		return other
	}
	return text
}
