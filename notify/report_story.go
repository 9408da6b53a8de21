package notify

import (
	"fmt"
	"slices"
)

// Colours of badges that stand for no state.
const (
	badgeUnstable = "#bc4c00"
	badgeOver     = "#1a7f37"
	badgeQuiet    = "#57606a"
)

// badge is what the message begins with, and the colour of its ground.
func (n Notification) badge(sides []side, p *phrases) (text, colour string) {
	words := p.stories
	states, colour := statesOf(sides, p), badgeColour(sides[0].whole.State)
	switch n.story() {
	case Test:
		return words.tagTest, badgeQuiet
	case Summary:
		if n.Severity() == Critical {
			return words.tagSummary + " · " + states, colour
		}
		return words.tagSummary, badgeQuiet
	case Flapping:
		return words.tagFlapping + " · " + states, badgeUnstable
	case Settled:
		return words.tagSettled + " · " + states, colour
	}
	if _, ok := n.resolved(); ok {
		return words.tagResolved + " · " + states, badgeOver
	}
	if n.Maintenance != nil {
		return words.tagPlanned + " · " + states, badgeQuiet
	}
	return states, colour
}

// tell puts the story into sentences: the headline, what leads to the rows, and
// what does not fit together.
func (r *report) tell(n Notification, sides []side, p *phrases) {
	words := p.stories
	who, host := whoOfAll(sides, p), n.host(p)
	several := len(sides) > 1 || sides[0].plural()
	explained := sides[:min(len(sides), maxSides)]
	switch n.story() {
	case Test:
		r.headline = fmt.Sprintf(words.headlineTest, host)
		r.lead = append(r.lead, words.testWorks)
		if n.Name != "" {
			r.lead = append(r.lead, words.testFacts)
		}
		return
	case Summary:
		r.headline = fmt.Sprintf(words.headlineSummary, host, p.transitions(n.count()))
		r.lead = append(r.lead, fmt.Sprintf(words.summaryStanding, standingOfAll(sides, p)))
		if plan := n.lastMaintenance(); plan != nil && plan.Reason != "" {
			r.lead = append(r.lead, fmt.Sprintf(words.summaryReason, plan.Reason))
		} else {
			r.lead = append(r.lead, words.summaryNone)
		}
		explained = slices.DeleteFunc(slices.Clone(explained), func(s side) bool { return s.whole.State != Fault })
	case Flapping:
		format := words.headlineFlapping
		if several {
			format = words.headlineFlappings
		}
		r.headline = fmt.Sprintf(format, who, host, p.within(n), standing(sides, p))
		r.lead = append(r.lead, words.heldBack, words.flappingCause)
		explained = nil
	case Settled:
		r.headline = fmt.Sprintf(words.headlineSettled, standingOfAll(sides, p), host, p.within(n))
	default:
		r.headline = headline(sides, host, p)
		if lasted, ok := n.resolved(); ok {
			r.lead = append(r.lead, words.resolved)
			if lasted > 0 {
				r.lead[0] = fmt.Sprintf(words.resolvedAfter, p.duration(lasted))
			}
		}
		if lasted, ok := n.span(); ok && n.story() == Reminder && n.Since != nil {
			format := words.headlineReminder
			if several {
				format = words.headlineReminders
			}
			r.headline = fmt.Sprintf(format, who, host, p.duration(lasted))
			r.lead = append(r.lead, fmt.Sprintf(words.reminderSince, local(n.Since.In(n.Time.Location()))))
		}
	}
	if plan := n.Maintenance; plan != nil && n.story() != Summary {
		said := fmt.Sprintf(words.plannedUntil, minute(plan.Until, n.Time, p))
		if plan.Reason != "" {
			said = fmt.Sprintf(words.plannedFor, minute(plan.Until, n.Time, p), plan.Reason)
		}
		r.alerts = append(r.alerts, alert{said, false})
	}
	for _, s := range explained {
		if len(sides) > 1 {
			r.lead = append(r.lead, headline([]side{s}, host, p))
		}
		r.explain(s, p)
	}
	if n.story() == Settled {
		r.lead = append(r.lead, words.settledTold)
	}
	for _, s := range sides[:min(len(sides), maxSides)] {
		r.warn(s.whole, p)
	}
}

// headline says what happened once.
func headline(sides []side, host string, p *phrases) string {
	if len(sides) > 1 {
		return fmt.Sprintf(p.stories.headlineMixed, host, standingOfAll(sides, p))
	}
	event, who := sides[0].whole, sides[0].who(p, maxNamed)
	known := p.states[event.State].headline != ""
	switch {
	case sides[0].plural() && known:
		return fmt.Sprintf(p.stories.headlines[event.State], who, host)
	case sides[0].plural():
		return fmt.Sprintf(p.stories.headlineOther, who, host)
	case known || event.State == "":
		return fmt.Sprintf(p.state(event.State).headline, who, host)
	default:
		return fmt.Sprintf(p.otherState.headline, who, host, event.State)
	}
}

// lastMaintenance is the last that an event belongs to; nil if none does.
func (n Notification) lastMaintenance() *Maintenance {
	events := n.Events()
	for i := len(events) - 1; i >= 0; i-- {
		if events[i].Maintenance != nil {
			return events[i].Maintenance
		}
	}
	return nil
}

// transitions says how many there were.
func (p *phrases) transitions(count int) string {
	if count == 1 {
		return fmt.Sprintf(p.stories.one, count)
	}
	return fmt.Sprintf(p.stories.many, count)
}

// within says how many transitions there were, and in what time.
func (p *phrases) within(n Notification) string {
	times := p.transitions(n.count())
	if span, ok := n.span(); ok && n.count() > 1 {
		return fmt.Sprintf(p.stories.within, times, p.duration(span))
	}
	return times
}
