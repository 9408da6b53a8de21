package notify

import "fmt"

// facts are who, where and when, and what the story adds.
func (n Notification) facts(sides []side, p *phrases) []row {
	words := p.stories
	whole := sides[0].whole
	var rows []row
	switch {
	case n.story() == Test && n.Name == "", len(sides) > 1, sides[0].plural():
		rows = append([]row{n.nodeRow(p)}, n.whenRows(p)...)
	case n.story() == Test:
		rows = whole.facts("", "", p)
	case n.story() == Reminder:
		rows = whole.facts(n.stays(p))
	default:
		change, history := whole.change(p)
		rows = whole.facts(change, history, p)
	}
	switch n.story() {
	case Flapping, Settled, Summary:
		rows = append(rows, row{label: words.labelCount, text: n.countWithin(p)})
		if began := n.began(); !began.IsZero() && n.count() > 1 {
			rows = append(rows, row{label: words.labelBegan, text: local(began.In(n.Time.Location()))})
		}
	}
	if plan := n.lastMaintenance(); plan != nil {
		said := fmt.Sprintf(words.maintenanceUntil, minute(plan.Until, n.Time, p))
		if plan.Reason != "" {
			said = fmt.Sprintf(words.maintenanceFor, minute(plan.Until, n.Time, p), plan.Reason)
		}
		rows = append(rows, row{label: words.labelMaintenance, text: said})
	}
	return rows
}

// countWithin says how many transitions there were, and in what time.
func (n Notification) countWithin(p *phrases) string {
	if span, ok := n.span(); ok && n.count() > 1 {
		return fmt.Sprintf(p.stories.countWithin, n.count(), p.duration(span))
	}
	return fmt.Sprint(n.count())
}

// stays says for how long a reminder's state has lasted.
func (n Notification) stays(p *phrases) (change, history string, _ *phrases) {
	change = fmt.Sprintf(p.stays, orElse(p.named(n.State), p.noState.word))
	if lasted, ok := n.span(); ok && n.Since != nil {
		history = fmt.Sprintf(p.stayedFor, p.duration(lasted), local(n.Since.In(n.Time.Location())))
	}
	return change, history, p
}

// standingRows tell of every instance and sync group from what to what it went.
// Where the message is about one, they tell of its members only.
func standingRows(sides []side, p *phrases) []row {
	var events []Event
	for _, s := range sides {
		if len(sides) > 1 || s.plural() {
			events = append(events, s.leads...)
		}
		for _, event := range s.all {
			if !s.leading(event) {
				events = append(events, event)
			}
		}
	}
	var rows []row
	for _, event := range events[:min(len(events), maxStanding)] {
		change, history := event.change(p)
		rows = append(rows, row{label: event.who(p), text: change, tone: urgency(Severity(event))})
		if history != "" {
			rows = append(rows, row{text: history})
		}
		if vrrp := event.vrrp(p); vrrp != "" {
			rows = append(rows, row{text: vrrp})
		}
	}
	if more := len(events) - maxStanding; more > 0 {
		rows = append(rows, row{text: fmt.Sprintf(p.moreDown, more)})
	}
	return rows
}

// leading reports whether an event is one of the leads.
func (s side) leading(event Event) bool {
	for _, lead := range s.leads {
		if lead.Kind == event.Kind && lead.Name == event.Name {
			return true
		}
	}
	return false
}

// courseHeading names the zone of the times below it.
func (n Notification) courseHeading(p *phrases) string {
	return fmt.Sprintf(p.stories.headingCourse, zone(n.Time))
}

// courseRows list the transitions with their times where an instance had more
// than one, the last of them if there were many.
func (n Notification) courseRows(p *phrases) []row {
	events, latest := n.Events(), n.Latest()
	switch n.story() {
	case Flapping, Settled, Summary:
	default:
		if len(events) == len(latest) || n.story() == Test {
			return nil
		}
	}
	shown := lastEvents(events, maxCourse)
	layout := "15:04:05.000"
	for _, event := range shown {
		if !event.Time.IsZero() && !sameDay(event.Time, n.Time) {
			layout = dateTime
		}
	}
	var rows []row
	if left := n.count() - len(shown); left > 0 {
		rows = append(rows, row{text: fmt.Sprintf(p.stories.leftOut, left)})
	}
	for _, event := range shown {
		at := p.noTime
		if !event.Time.IsZero() {
			at = event.Time.In(n.Time.Location()).Format(layout)
		}
		change, _ := event.change(p)
		if len(latest) > 1 {
			change = event.who(p) + " " + change
		}
		said := row{label: at, text: change}
		if event.State == Fault {
			said.tone = bad
		}
		rows = append(rows, said)
	}
	return rows
}
