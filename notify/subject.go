package notify

import (
	"fmt"
	"strings"
)

// newSubject puts first what a phone shows: what it is about, who, where, the
// addresses, then the state before and, as far as there is room, why.
func newSubject(n Notification, sides []side, p *phrases) string {
	words := p.stories
	first := sides[0].whole
	who, host := clip(whoOfAll(sides, p), 40), clip(n.host(p), 30)
	line := subjectLine{event: addressed(sides), reason: subjectReason(first, p)}
	switch n.story() {
	case Test:
		return clip("["+words.tagTest+"] "+fmt.Sprintf(words.subjectTest, host), subjectLimit)
	case Summary:
		if n.Severity() == Critical {
			line.head = "[" + orElse(string(first.State), "?") + "] "
		}
		line.head += "[" + words.tagSummary + "] " + fmt.Sprintf(words.subjectSummary, host, p.transitions(n.count()), standingOfAll(sides, p))
		return clip(line.head, subjectLimit)
	case Flapping:
		line.head = "[" + words.tagFlapping + "] " + fmt.Sprintf(words.subjectFlapping, who, host, p.within(n), standing(sides, p))
	case Settled:
		line.head = "[" + words.tagSettled + ": " + tags(sides) + "] " + fmt.Sprintf(words.subjectSettled, who, host)
		line.tail = fmt.Sprintf(words.subjectSettledAfter, p.within(n))
	case Reminder:
		line.head = "[" + tags(sides) + "] " + fmt.Sprintf(p.state(first.State).subject, who, host)
		if lasted, ok := n.span(); ok && n.Since != nil {
			line.head = "[" + tags(sides) + "] " + fmt.Sprintf(words.subjectReminder, who, host, p.duration(lasted))
		}
	default:
		line.transition(n, sides, who, host, p)
	}
	if plan := n.Maintenance; plan != nil {
		line.head = "[" + words.tagPlanned + "] " + line.head
		until := clock(plan.Until, n.Time)
		line.reason = fmt.Sprintf(words.subjectUntil, until)
		if plan.Reason != "" {
			line.reason = fmt.Sprintf(words.subjectFor, until, plan.Reason)
		}
	}
	return line.text(p)
}

// transition words what happened once.
func (l *subjectLine) transition(n Notification, sides []side, who, host string, p *phrases) {
	words := p.stories
	if lasted, ok := n.resolved(); ok {
		l.head = "[" + words.tagResolved + "] " + fmt.Sprintf(words.subjectResolved, who, host, standing(sides, p))
		if lasted > 0 {
			l.tail = fmt.Sprintf(words.subjectLasted, p.duration(lasted))
		}
		return
	}
	if len(sides) > 1 {
		var standing []string
		for _, s := range sides[:min(len(sides), maxSides)] {
			standing = append(standing, "["+orElse(string(s.whole.State), "?")+"] "+s.who(p, maxNamed))
		}
		l.head = fmt.Sprintf(words.subjectMixed, clip(strings.Join(standing, p.clauses), 60), host)
		return
	}
	event := sides[0].whole
	l.head = "[" + tags(sides) + "] " + fmt.Sprintf(p.state(event.State).subject, who, host)
	switch {
	case event.State == MasterRxLowerPri:
		l.tail = p.subjectClaimed
	case event.State == MasterPriority || event.State == BackupPriority:
		if event.Priority != nil && !sides[0].plural() {
			l.tail = fmt.Sprintf(p.subjectPriority, *event.Priority)
		}
	case sides[0].was != "" && sides[0].was != event.State:
		l.tail = fmt.Sprintf(p.subjectFrom, sides[0].was)
	}
	if event.holds(no) && len(event.vipsThatAre(Present)) > 0 {
		l.tail += p.subjectLingering
	}
}

// tags are keepalived's words for the states of the sides.
func tags(sides []side) string {
	names := make([]string, 0, maxSides)
	for _, s := range sides[:min(len(sides), maxSides)] {
		names = append(names, orElse(string(s.whole.State), "?"))
	}
	return strings.Join(names, ", ")
}

// addressed is the first side's event with the addresses of all sides.
func addressed(sides []side) Event {
	event := sides[0].whole
	for _, s := range sides[1:] {
		event.VIPs = append(event.VIPs[:len(event.VIPs):len(event.VIPs)], s.whole.VIPs...)
		event.Known = event.Known && s.whole.Known
	}
	event.VIPs = spread(event.VIPs)
	return event
}

// subjectReason is why the node cannot serve, if that is known.
func subjectReason(event Event, p *phrases) string {
	if event.failing() && event.Verdict.Reason != "" {
		return fmt.Sprintf(p.subjectReason, "", event.Verdict.Reason)
	}
	return ""
}

// subjectLine is a subject in its parts.
type subjectLine struct {
	head   string
	event  Event // whose addresses are named
	tail   string
	reason string
}

// text fits the parts into the limit.
func (l subjectLine) text(p *phrases) string {
	room := subjectLimit - runes(fmt.Sprintf(p.subjectReason, l.head, "")) - runes(l.tail) - runes(l.reason)
	line := fmt.Sprintf(p.subjectReason, l.head, l.event.subjectVIPs(p, room)) + l.tail
	// A reason of which only a few letters fit would tell nothing.
	const worthwhile = 15
	if runes(line)+min(runes(l.reason), worthwhile) <= subjectLimit {
		line += l.reason
	}
	return clip(line, subjectLimit)
}

// subjectVIPs names two addresses, or one if that is what fits into the room,
// and how many more there are.
func (event Event) subjectVIPs(p *phrases, room int) string {
	all := addresses(event)
	if len(all) == 0 {
		if event.Known {
			return p.subjectNoVIP
		}
		return p.subjectUnknown
	}
	var text string
	for named := min(2, len(all)); named > 0; named-- {
		text = strings.Join(all[:named], p.list)
		if more := len(all) - named; more > 0 {
			text += fmt.Sprintf(" +%d", more)
		}
		if runes(text) <= room {
			break
		}
	}
	return text
}
