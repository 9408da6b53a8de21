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

// Severity is the highest of the events' last severities; see Severity.
func (n Notification) Severity() Level {
	highest := Info
	for _, event := range n.Latest() {
		switch level := Severity(event); {
		case level == Critical, level == Warning && highest == Info:
			highest = level
		}
	}
	return highest
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
}

// Render says a notification in the style.
func (s Style) Render(notification Notification) Message { return Render(notification, s.Language) }

// Title says a notification in one line, see Title.
func (s Style) Title(notification Notification) string { return Title(notification, s.Language) }
