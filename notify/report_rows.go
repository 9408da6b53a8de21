package notify

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// facts are who, where, when and, unless it is empty, from what to what.
func (event Event) facts(change, history string, p *phrases) []row {
	label := p.labelInstance
	if event.Kind == Group {
		label = p.labelGroup
	}
	rows := []row{{label: label, text: orElse(event.Name, p.noName)}}
	if len(event.Members) > 0 {
		rows = append(rows, row{label: p.labelMembers, text: p.join(event.Members, maxMembers)})
	}
	rows = append(rows, event.nodeRow(p))
	if change != "" {
		rows = append(rows, row{label: p.labelChange, text: change})
	}
	if history != "" {
		rows = append(rows, row{text: history})
	}
	rows = append(rows, event.whenRows(p)...)
	if vrrp := event.vrrp(p); vrrp != "" {
		rows = append(rows, row{label: p.labelVRRP, text: vrrp})
	}
	return rows
}

// nodeRow is where.
func (event Event) nodeRow(p *phrases) row {
	node := event.host(p)
	if event.RouterID != "" && event.RouterID != event.Host {
		node = fmt.Sprintf(p.routerID, node, event.RouterID)
	}
	return row{label: p.labelNode, text: node}
}

// whenRows are the time on this node's clock and, if that differs, in UTC.
func (event Event) whenRows(p *phrases) []row {
	if event.Time.IsZero() {
		return []row{{label: p.labelWhen, text: p.noTime}}
	}
	local, utc := local(event.Time), event.Time.UTC().Format(dateTime)+" UTC"
	rows := []row{{label: p.labelWhen, text: local}}
	if local != utc {
		rows = append(rows, row{text: utc})
	}
	return rows
}

// vrrp are an instance's interface, number and priority.
func (event Event) vrrp(p *phrases) string {
	var vrrp []string
	if event.Interface != "" {
		vrrp = append(vrrp, fmt.Sprintf(p.vrrpInterface, event.Interface))
	}
	if event.VirtualRouterID != 0 {
		vrrp = append(vrrp, fmt.Sprintf(p.vrrpID, event.VirtualRouterID))
	}
	// keepalived passes 0 for every group, which has no priority of its own.
	if event.Priority != nil && event.Kind != Group {
		vrrp = append(vrrp, fmt.Sprintf(p.vrrpPriority, *event.Priority))
	}
	return strings.Join(vrrp, p.list)
}

// change says from what to what, and how long the state before lasted.
func (event Event) change(p *phrases) (change, history string) {
	now := orElse(p.named(event.State), p.noState.word)
	previous := p.named(event.Previous)
	lasted, known := event.previousLasted()
	var since string
	if event.PreviousSince != nil && !event.PreviousSince.IsZero() {
		since = local(event.PreviousSince.In(event.Time.Location()))
	}

	if event.State.pseudo() && (event.Previous == "" || event.Previous.base() == event.State.base()) {
		change = fmt.Sprintf(p.stays, p.named(event.State.base()))
		if known && event.Previous == event.State.base() {
			history = fmt.Sprintf(p.stayedFor, p.duration(lasted), since)
		}
		return change, history
	}
	switch {
	case event.Previous == "":
		return fmt.Sprintf(p.changedFrom, now), p.fromUnknown
	case known:
		history = fmt.Sprintf(p.lasted, event.Previous, p.duration(lasted), since)
	case since != "" && !event.Time.IsZero():
		history = fmt.Sprintf(p.lastedBackward, event.Previous, since)
	default:
		history = fmt.Sprintf(p.lastedUnknown, event.Previous)
	}
	return fmt.Sprintf(p.changed, previous, now), history
}

// vipRows list the addresses, with the instances that own them if asked to, and
// whether they are here. Where not all can be named, those that contradict the
// state come first.
func (event Event) vipRows(owners bool, p *phrases) []row {
	if len(event.VIPs) == 0 {
		if event.Known {
			return []row{{text: p.vipNone}}
		}
		return []row{{text: p.notKnown}}
	}
	vips := event.VIPs
	if len(vips) > maxVIPs {
		vips = slices.Clone(vips)
		slices.SortStableFunc(vips, func(a, b VIP) int { return event.surprise(b) - event.surprise(a) })
	}
	var rows []row
	for _, vip := range vips[:min(len(vips), maxVIPs)] {
		rows = append(rows, event.vipRow(vip, owners, p))
	}
	if more := len(vips) - maxVIPs; more > 0 {
		rows = append(rows, row{text: fmt.Sprintf(p.moreDown, more)})
	}
	return rows
}

// surprise is higher for an address that is not where the state has it.
func (event Event) surprise(vip VIP) int {
	switch {
	case vip.Presence == Present && event.holds(no), vip.Presence == Absent && event.holds(yes):
		return 2
	case vip.Presence != Present && vip.Presence != Absent:
		return 1
	default:
		return 0
	}
}

func (event Event) vipRow(vip VIP, owners bool, p *phrases) row {
	label := orElse(vip.Address, p.unstated)
	if vip.Prefix > 0 {
		label = fmt.Sprintf("%s/%d", label, vip.Prefix)
	}
	if device := orElse(vip.Device, event.Interface); device != "" {
		label = fmt.Sprintf(p.vipDevice, label, device)
	}
	said, meant := p.vipNotKnown, plain
	switch {
	case vip.Presence == Present && event.holds(no):
		said, meant = fmt.Sprintf(p.vipLingering, orElse(vip.PresentOn, p.unstated)), bad
	case vip.Presence == Present && vip.PresentOn == "":
		said, meant = p.vipHere, good
	case vip.Presence == Present:
		said, meant = fmt.Sprintf(p.vipHereOn, vip.PresentOn), good
	case vip.Presence == Absent && event.holds(no):
		said = p.vipGone
	case vip.Presence == Absent:
		said, meant = p.vipMissing, caution
	}
	if owners && vip.Instance != "" {
		said += p.clauses + fmt.Sprintf(p.vipInstance, vip.Instance)
	}
	if vip.Excluded {
		said += p.clauses + p.vipExcluded
	}
	return row{label: label, text: said, tone: meant}
}

// checkRows tell the last verdict, and how old it was.
func (event Event) checkRows(p *phrases) []row {
	verdict := event.Verdict
	if verdict == nil && event.unread(SourceVerdict) {
		return []row{{text: p.notKnown}}
	}
	if verdict == nil {
		return []row{{text: p.checkNone}}
	}
	meant := plain
	switch verdict.Status {
	case "pass", "warn":
		meant = good
	case "fail":
		meant = bad
	}
	status := orElse(p.statuses[verdict.Status], orElse(verdict.Status, p.unstated))
	rows := []row{
		{label: p.labelCheck, text: orElse(verdict.Check, p.noName) + ": " + status, tone: meant},
		{label: p.labelReason, text: orElse(verdict.Reason, p.reasonNone)},
	}
	age := row{label: p.labelAge, text: p.ageUnknown}
	if !verdict.Time.IsZero() && !event.Time.IsZero() {
		switch before := event.Time.Sub(verdict.Time); {
		case before >= staleAfter:
			age.text, age.tone = fmt.Sprintf(p.ageStale, p.duration(before)), bad
			rows[0].tone = plain
		case before >= time.Second:
			age.text = fmt.Sprintf(p.ageBefore, p.duration(before))
		case before > -time.Second:
			age.text = p.ageNow
		default:
			age.text = fmt.Sprintf(p.ageAfter, p.duration(-before))
		}
	}
	return append(rows, age)
}

// haproxyRows name the backends by whether they can serve, the broken first.
func (event Event) haproxyRows(p *phrases) []row {
	haproxy := event.HAProxy
	switch {
	case haproxy == nil:
		return []row{{text: p.haproxyNone}}
	case haproxy.Error != "":
		return []row{{label: p.labelError, text: haproxy.Error, tone: bad}}
	case len(haproxy.Up)+len(haproxy.Down)+len(haproxy.Unknown) == 0:
		return []row{{text: p.haproxyEmpty}}
	}
	var rows []row
	for i, down := range haproxy.Down[:min(len(haproxy.Down), maxBackends)] {
		said := row{text: fmt.Sprintf(p.downReason, down.Name, orElse(down.Reason, p.reasonNone)), tone: bad}
		if i == 0 {
			said.label = fmt.Sprintf(p.labelDown, len(haproxy.Down))
		}
		rows = append(rows, said)
	}
	if more := len(haproxy.Down) - maxBackends; more > 0 {
		rows = append(rows, row{text: fmt.Sprintf(p.moreDown, more), tone: bad})
	}
	if len(haproxy.Unknown) > 0 {
		rows = append(rows, row{label: fmt.Sprintf(p.labelNotKnown, len(haproxy.Unknown)), text: p.join(haproxy.Unknown, maxBackends)})
	}
	if len(haproxy.Up) > 0 {
		rows = append(rows, row{label: fmt.Sprintf(p.labelUp, len(haproxy.Up)), text: p.join(haproxy.Up, maxBackends), tone: good})
	}
	return rows
}
