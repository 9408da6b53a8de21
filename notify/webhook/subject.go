package webhook

import (
	"slices"

	"hacheck/notify"
)

// subject is an instance or a sync group, and what a notification tells of it.
type subject struct {
	events []notify.Event // in the order of their times; at least one
}

// subjects takes a notification apart.
func subjects(notification notify.Notification) []subject {
	var all []subject
	for _, last := range notification.Latest() {
		var of subject
		for _, event := range notification.Events() {
			if event.Kind == last.Kind && event.Name == last.Name {
				of.events = append(of.events, event)
			}
		}
		all = append(all, of)
	}
	return all
}

// last is how things stand.
func (s subject) last() notify.Event { return s.events[len(s.events)-1] }

// recovery is the last event that left FAULT, if there is one and the subject
// is not in FAULT again.
func (s subject) recovery() (notify.Event, bool) {
	if s.last().State == notify.Fault {
		return notify.Event{}, false
	}
	for _, event := range slices.Backward(s.events) {
		if left(event, notify.Fault) {
			return event, true
		}
	}
	return notify.Event{}, false
}

// left reports whether an event is the end of a state. The pseudo states are
// things that happen within one.
func left(event notify.Event, state notify.State) bool {
	switch event.State {
	case notify.MasterRxLowerPri, notify.MasterPriority, notify.BackupPriority:
		return false
	}
	return event.Previous == state && event.State != state
}

// news reports whether there is more to tell than that a FAULT is over.
func (s subject) news() bool {
	_, recovered := s.recovery()
	return !recovered || len(s.events) > 1
}

// level is how urgent an event is. In a summary the maintenance that made it
// less so is over.
func (t told) level(event notify.Event) notify.Level {
	if t.notification.Story == notify.Summary {
		event.Maintenance = nil
	}
	return notify.Severity(event)
}

// say says what there is to say of the subject: the whole message if that is of
// nothing else.
func (t told) say(s subject) notify.Message {
	if len(t.notification.Latest()) == 1 {
		return t.message
	}
	return t.alone(s.last())
}

// maxLink keeps a link, in bytes, within what the smallest receiver takes.
const maxLink = 500

// runbook is the link to the operator's instructions that the last event with
// one has; empty if there is none that can be followed.
func runbook(notification notify.Notification) string {
	for _, event := range slices.Backward(notification.Events()) {
		if link := event.RunbookURL; len(link) <= maxLink {
			if target, err := parseURL(link); err == nil {
				return target.String()
			}
		}
	}
	return ""
}
