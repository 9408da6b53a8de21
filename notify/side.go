package notify

import (
	"slices"
	"strings"
)

// maxSides bounds the states a message tells apart.
const maxSides = 4

// side is those instances and sync groups of a notification that stand in one
// state.
type side struct {
	// leads are their last events: the groups, and the instances that are
	// not members of one of these groups.
	leads []Event
	// all are the leads and the members.
	all []Event
	// whole is them told as one: the first lead with the addresses of all.
	whole Event
	// was is the state that all of them came from; empty if not known or not
	// the same.
	was State
}

// sides puts what a cleaned notification tells together by state: first the
// state that is most urgent.
func (n Notification) sides() []side {
	var sides []side
	latest := n.Latest()
	for _, event := range latest {
		at := slices.IndexFunc(sides, func(s side) bool { return s.all[0].State == event.State })
		if at < 0 {
			at = len(sides)
			sides = append(sides, side{})
		}
		sides[at].all = append(sides[at].all, event)
	}
	first := n.firstEvents()
	for i := range sides {
		sides[i].gather(first)
	}
	owned := map[string]State{}
	for _, event := range latest {
		if event.Kind != Group {
			owned[event.Name] = event.State
		}
	}
	for i := range sides {
		sides[i].disown(owned)
		// The last look at the check holds for all: the message must not say
		// that it fails and that it passes.
		if n.Verdict != nil {
			sides[i].whole.Verdict = n.Verdict
		}
	}
	slices.SortStableFunc(sides, func(a, b side) int { return urgencyOf(b) - urgencyOf(a) })
	return sides
}

// subjectKey is what tells instances and sync groups apart.
type subjectKey struct {
	kind Kind
	name string
}

// firstEvents are the first events of every instance and sync group.
func (n Notification) firstEvents() map[subjectKey]Event {
	first := map[subjectKey]Event{}
	for _, event := range n.Events() {
		if _, seen := first[subjectKey{event.Kind, event.Name}]; !seen {
			first[subjectKey{event.Kind, event.Name}] = event
		}
	}
	return first
}

// gather finds the leads and what there is to say of all in one.
func (s *side) gather(first map[subjectKey]Event) {
	members := map[string]bool{}
	for _, event := range s.all {
		if event.Kind == Group {
			for _, member := range event.Members {
				members[member] = true
			}
		}
	}
	for _, event := range s.all {
		if event.Kind == Group || !members[event.Name] {
			s.leads = append(s.leads, event)
		}
	}
	slices.SortStableFunc(s.leads, func(a, b Event) int {
		if a.Kind != b.Kind && (a.Kind == Group || b.Kind == Group) {
			if a.Kind == Group {
				return -1
			}
			return 1
		}
		return strings.Compare(a.Name, b.Name)
	})

	s.whole = s.leads[0]
	s.was = first[subjectKey{s.whole.Kind, s.whole.Name}].Previous
	for _, event := range s.leads[1:] {
		if first[subjectKey{event.Kind, event.Name}].Previous != s.was {
			s.was = ""
		}
		s.whole.Known = s.whole.Known && event.Known
	}
	if len(s.all) == 1 {
		return
	}
	s.whole.VIPs = nil
	at := map[VIP]int{}
	for _, event := range append(slices.Clone(s.leads), s.all...) {
		for _, vip := range event.VIPs {
			key := VIP{Address: vip.Address, Instance: vip.Instance}
			i, seen := at[key]
			if !seen {
				at[key] = len(s.whole.VIPs)
				s.whole.VIPs = append(s.whole.VIPs, vip)
				continue
			}
			// The events are in the order of their times: the later look counts.
			s.whole.VIPs[i].Presence, s.whole.VIPs[i].PresentOn = vip.Presence, vip.PresentOn
		}
	}
	last := s.all[len(s.all)-1]
	s.whole.Time, s.whole.Verdict, s.whole.HAProxy = last.Time, last.Verdict, last.HAProxy
}

// disown takes those addresses out of a group's side that belong to a member
// which stands in another state by its own event: that tells of them.
func (s *side) disown(owned map[string]State) {
	s.whole.VIPs = slices.DeleteFunc(slices.Clone(s.whole.VIPs), func(vip VIP) bool {
		state, tells := owned[vip.Instance]
		return tells && s.whole.Kind == Group && state != s.whole.State
	})
}

// spread orders addresses so that each instance's first ones come before any
// instance's second one: of two instances with two addresses each, the first
// two named are then one of each.
func spread(vips []VIP) []VIP {
	turn := make(map[string]int, 2)
	turns := make([]int, len(vips))
	last := 0
	for i, vip := range vips {
		turns[i] = turn[vip.Instance]
		turn[vip.Instance]++
		last = max(last, turns[i])
	}
	if len(turn) < 2 || last == 0 {
		return vips
	}
	order := make([]int, len(vips))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return turns[a] - turns[b] })
	ordered := make([]VIP, len(vips))
	for i, from := range order {
		ordered[i] = vips[from]
	}
	return ordered
}

// urgencyOf orders sides: what is an alarm comes before what is news, and
// holding the addresses before standing by.
func urgencyOf(s side) int {
	order := 0
	for _, event := range s.all {
		switch Severity(event) {
		case Critical:
			order = max(order, 4)
		case Warning:
			order = max(order, 2)
		}
	}
	if s.whole.holds(yes) {
		order++
	}
	return order
}

// plural reports whether a sentence about the side has several subjects.
func (s side) plural() bool { return len(s.leads) > 1 }

// who names the instances and groups of the side.
func (s side) who(p *phrases, limit int) string {
	names := make([]string, len(s.leads))
	for i, event := range s.leads {
		names[i] = event.who(p)
	}
	return p.join(names, limit)
}

// states names the states of all sides, as badges do.
func statesOf(sides []side, p *phrases) string {
	names := make([]string, len(sides))
	for i, s := range sides {
		names[i] = orElse(p.named(s.whole.State), p.noState.word)
	}
	return p.join(names, maxSides)
}

// standing says who stands in which state: "MASTER", or, where there are
// several, "VI_1 FAULT; VI_2 MASTER".
func standing(sides []side, p *phrases) string {
	if len(sides) == 1 {
		return orElse(string(sides[0].whole.State), p.noState.word)
	}
	return standingOfAll(sides, p)
}

// standingOfAll says it with the names, even of one.
func standingOfAll(sides []side, p *phrases) string {
	texts := make([]string, 0, maxSides)
	for _, s := range sides[:min(len(sides), maxSides)] {
		texts = append(texts, s.who(p, maxNamed)+" "+orElse(string(s.whole.State), p.noState.word))
	}
	return strings.Join(texts, p.clauses)
}

// whoOfAll names the instances and groups of all sides.
func whoOfAll(sides []side, p *phrases) string {
	var names []string
	for _, s := range sides {
		for _, event := range s.leads {
			names = append(names, event.who(p))
		}
	}
	return p.join(names, maxNamed)
}

// maxNamed bounds the names of instances within a sentence.
const maxNamed = 4
