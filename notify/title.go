package notify

import (
	"fmt"
	"strings"
)

// newTitle words a cleaned notification in one line.
func newTitle(n Notification, p *phrases) string {
	words := p.stories
	host := n.host(p) + ": "
	sides := n.sides()
	var what string
	switch n.story() {
	case Test:
		return clip(host+words.titleTest, titleLimit)
	case Summary:
		what = fmt.Sprintf(words.titleSummary, p.transitions(n.count()), standingOfAll(sides, p))
		return clip(host+what, titleLimit)
	case Flapping:
		what = fmt.Sprintf(words.titleFlapping, whoOfAll(sides, p), p.within(n), standing(sides, p))
	case Settled:
		what = fmt.Sprintf(words.titleSettled, whoOfAll(sides, p), standing(sides, p), p.within(n))
	case Reminder:
		what = whoOfAll(sides, p) + " " + fmt.Sprintf(p.stays, standing(sides, p))
		if lasted, ok := n.span(); ok && n.Since != nil {
			what = fmt.Sprintf(words.titleReminder, whoOfAll(sides, p), p.duration(lasted))
		}
	default:
		var changes []string
		for _, s := range sides[:min(len(sides), maxSides)] {
			changes = append(changes, s.who(p, maxNamed)+" "+n.titleChange(s, p))
		}
		what = strings.Join(changes, "; ")
		if _, ok := n.resolved(); ok {
			what = fmt.Sprintf(words.titleResolved, what)
		}
	}
	if n.Maintenance != nil {
		what = fmt.Sprintf(words.titlePlanned, what)
	}
	parts := []string{host + what}
	for _, s := range sides[:min(len(sides), maxSides)] {
		parts = append(parts, s.whole.titleVIPs(p)...)
	}
	if verdict := n.Verdict; verdict != nil && n.fresh() {
		parts = append(parts, fmt.Sprintf(p.titleCheck, verdict.Check, verdict.Status, orElse(verdict.Reason, p.reasonNone)))
	}
	return clip(strings.Join(parts, "; "), titleLimit)
}

// titleChange says from what to what a side went, and after how long. An
// instance that went through several states is said with all of them.
func (n Notification) titleChange(s side, p *phrases) string {
	event := s.whole
	change := orElse(string(event.State), p.noState.word)
	if s.plural() {
		if s.was != "" && s.was != event.State && !event.State.pseudo() {
			change = fmt.Sprintf(p.changed, s.was, change)
			if lasted := s.lasted(p); lasted != "" {
				change = fmt.Sprintf(p.titleAfter, change, lasted)
			}
		}
		return change
	}
	var course []Event
	for _, earlier := range n.Events() {
		if earlier.Kind == event.Kind && earlier.Name == event.Name {
			course = append(course, earlier)
		}
	}
	const most = 4
	course = course[max(0, len(course)-most):]
	first := course[0]
	if first.Previous == "" || first.Previous == first.State || first.State.pseudo() {
		if len(course) == 1 {
			return change
		}
		change = orElse(string(first.State), p.noState.word)
	} else {
		change = fmt.Sprintf(p.changed, first.Previous, orElse(string(first.State), p.noState.word))
	}
	for _, next := range course[1:] {
		change = fmt.Sprintf(p.changed, change, orElse(string(next.State), p.noState.word))
	}
	if lasted, ok := first.previousLasted(); ok && first.Previous != "" && first.Previous != first.State && !first.State.pseudo() {
		change = fmt.Sprintf(p.titleAfter, change, p.duration(lasted))
	}
	return change
}

// lasted says for how long the state before had lasted, if that was as long
// for all leads.
func (s side) lasted(p *phrases) string {
	var text string
	for i, event := range s.leads {
		lasted, ok := event.previousLasted()
		if !ok || i > 0 && p.duration(lasted) != text || event.Previous != s.was {
			return ""
		}
		text = p.duration(lasted)
	}
	return text
}

// titleVIPs say which addresses are here and which are not.
func (event Event) titleVIPs(p *phrases) []string {
	var parts []string
	event.VIPs = spread(event.VIPs)
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
	return parts
}
