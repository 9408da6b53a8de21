package notify

import (
	"fmt"
	"slices"
	"time"
)

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
