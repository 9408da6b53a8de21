package notify

import "time"

// Story says why the events of a notification are told together.
type Story string

// The stories there are.
const (
	// Transition: one thing happened, or what belongs to it: the instances of
	// one failover, a sync group and its members.
	Transition Story = "transition"
	// Flapping: an instance keeps changing; it is held back until it settles.
	Flapping Story = "flapping"
	// Settled: a flapping instance has stopped; Earlier has what was held back.
	Settled Story = "settled"
	// Reminder: a FAULT that was told before still lasts.
	Reminder Story = "reminder"
	// Summary: what happened while a maintenance kept notifications back.
	Summary Story = "summary"
	// Test: a person asked whether the channel works; nothing happened.
	Test Story = "test"
)

// Notification is what one message tells: an event, or several that belong
// together. Its JSON form is that of its last event with the fields added that
// the others need; it is the body of the generic webhook.
type Notification struct {
	// Event is the last of the events. Its ID is the notification's.
	Event
	// Story is why the events stand together; empty means Transition.
	Story Story `json:"story,omitempty"`
	// Earlier are the events before it, in the order of their times.
	Earlier []Event `json:"earlier,omitempty"`
	// Count is how many transitions a flap has had so far, those told before
	// included, and Since when it began; set for Flapping and Settled.
	// For a Reminder, Since is when the FAULT began.
	Count int        `json:"count,omitempty"`
	Since *time.Time `json:"since,omitempty"`
}

// Events are all events in the order of their times.
func (n Notification) Events() []Event {
	return append(append(make([]Event, 0, len(n.Earlier)+1), n.Earlier...), n.Event)
}

// Latest are the last events of every instance and sync group the notification
// tells of, in the order of their times: how things stand now.
func (n Notification) Latest() []Event {
	type subject struct {
		kind Kind
		name string
	}
	events := n.Events()
	last := make(map[subject]int, len(events))
	for i, event := range events {
		last[subject{event.Kind, event.Name}] = i
	}
	latest := make([]Event, 0, len(last))
	for i, event := range events {
		if last[subject{event.Kind, event.Name}] == i {
			latest = append(latest, event)
		}
	}
	return latest
}

// Severity tells how urgent a notification is: the highest of its events' last
// severities (see Severity) by the last verdict, that is of how things stand
// now. A Test is info, a Flapping a warning at least. In a Summary a FAULT counts
// in full, though it came during the maintenance: that is over.
func (n Notification) Severity() Level {
	highest := Info
	switch n.story() {
	case Test:
		return Info
	case Flapping:
		highest = Warning
	}
	for _, event := range n.Latest() {
		if n.story() == Summary {
			event.Maintenance = nil
		}
		if n.Verdict != nil {
			event.Verdict = n.Verdict
		}
		switch level := Severity(event); {
		case level == Critical, level == Warning && highest == Info:
			highest = level
		}
	}
	return highest
}

// story is the notification's, Transition for one that is empty or not known.
func (n Notification) story() Story {
	switch n.Story {
	case Flapping, Settled, Reminder, Summary, Test:
		return n.Story
	default:
		return Transition
	}
}

// count is how many transitions it tells of, those told before included.
func (n Notification) count() int { return max(n.Count, len(n.Earlier)+1) }

// span is how long what it tells of has lasted, if that is known and the clock
// did not run backwards in between.
func (n Notification) span() (time.Duration, bool) {
	began := n.began()
	if began.IsZero() || n.Time.IsZero() || began.After(n.Time) {
		return 0, false
	}
	return n.Time.Sub(began), true
}

// began is when what it tells of began; zero if that is not known.
func (n Notification) began() time.Time {
	switch {
	case n.Since != nil:
		return *n.Since
	case len(n.Earlier) > 0:
		return n.Earlier[0].Time
	default:
		return n.Time
	}
}

// resolved reports whether the notification tells that a FAULT is over, of all
// it tells of, and how long the longest had lasted (0 if that is not known). A
// node whose keepalived stopped, whose check still fails or which holds an
// address that it should not has not recovered.
func (n Notification) resolved() (lasted time.Duration, ok bool) {
	if n.story() != Transition {
		return 0, false
	}
	events := n.Events()
	for _, last := range n.Latest() {
		if last.State != Master && last.State != Backup || last.failing() || last.holds(no) && len(last.vipsThatAre(Present)) > 0 {
			return 0, false
		}
		over := false
		for _, event := range events {
			if event.Kind == last.Kind && event.Name == last.Name && event.Previous == Fault && event.State != Fault {
				faulty, _ := event.previousLasted()
				lasted, over = max(lasted, faulty), true
			}
		}
		if !over {
			return 0, false
		}
	}
	return lasted, true
}

// Maintenance is a planned disturbance of this node.
type Maintenance struct {
	// Until is when it ends by itself.
	Until  time.Time `json:"until"`
	Reason string    `json:"reason,omitempty"`
	// Mute is set if notifications are kept back until it is over.
	Mute bool `json:"mute,omitempty"`
}

// Style is how a channel words what it tells.
type Style struct {
	Language Language
	// Template is the operator's own wording; nil for the built-in one.
	Template *Template
}

// Render says a notification in the style. It never fails: where the template
// does, the message is the built-in one and says so.
func (s Style) Render(notification Notification) Message {
	if s.Template == nil {
		return Render(notification, s.Language)
	}
	return s.Template.render(notification, s.Language)
}

// Title says a notification in one line: in the words of the template's
// subject if it has one, and else as Title does.
func (s Style) Title(notification Notification) string {
	if s.Template == nil || s.Template.subject == nil {
		return Title(notification, s.Language)
	}
	return s.Template.title(notification, s.Language)
}
