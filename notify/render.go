package notify

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// How many characters of each kind of text a message takes over.
const (
	nameLimit   = 64
	stateLimit  = 32
	reasonLimit = 400
	// noteLimit is for sentences that may hold a path and a system error.
	noteLimit = 400
)

// cleaned is a copy of the event in which every text is bounded and harmless,
// so that nothing below has to think of it. keepalived.conf, HAProxy's answers
// and the peers behind them are where such texts come from.
func (event Event) cleaned() Event {
	event.ID = OneLine(event.ID, nameLimit)
	event.Host = OneLine(event.Host, nameLimit)
	event.RouterID = OneLine(event.RouterID, nameLimit)
	event.Kind = Kind(OneLine(string(event.Kind), stateLimit))
	event.Name = OneLine(event.Name, nameLimit)
	event.State = State(OneLine(string(event.State), stateLimit))
	event.Previous = State(OneLine(string(event.Previous), stateLimit))
	event.Interface = OneLine(event.Interface, stateLimit)
	event.Members = cleanAll(event.Members, nameLimit)
	event.Notes = cleanAll(event.Notes, noteLimit)
	event.RunbookURL = event.runbook()
	if event.Maintenance != nil {
		plan := *event.Maintenance
		plan.Reason = OneLine(plan.Reason, reasonLimit)
		event.Maintenance = &plan
	}
	event.VIPs = slices.Clone(event.VIPs)
	for i, vip := range event.VIPs {
		vip.Address = OneLine(vip.Address, nameLimit)
		vip.Device = OneLine(vip.Device, stateLimit)
		vip.PresentOn = OneLine(vip.PresentOn, stateLimit)
		vip.Instance = OneLine(vip.Instance, nameLimit)
		event.VIPs[i] = vip
	}
	if event.Verdict != nil {
		verdict := *event.Verdict
		verdict.Check = OneLine(verdict.Check, nameLimit)
		verdict.Status = OneLine(verdict.Status, stateLimit)
		verdict.Reason = OneLine(verdict.Reason, reasonLimit)
		event.Verdict = &verdict
	}
	if event.HAProxy != nil {
		haproxy := *event.HAProxy
		haproxy.Error = OneLine(haproxy.Error, reasonLimit)
		haproxy.Up = cleanAll(haproxy.Up, nameLimit)
		haproxy.Unknown = cleanAll(haproxy.Unknown, nameLimit)
		haproxy.Down = slices.Clone(haproxy.Down)
		for i, down := range haproxy.Down {
			haproxy.Down[i] = BackendDown{Name: OneLine(down.Name, nameLimit), Reason: OneLine(down.Reason, reasonLimit)}
		}
		event.HAProxy = &haproxy
	}
	return event
}

// cleaned is a copy of the notification with all its events cleaned.
func (n Notification) cleaned() Notification {
	n.Event = n.Event.cleaned()
	n.Earlier = slices.Clone(n.Earlier)
	for i, event := range n.Earlier {
		n.Earlier[i] = event.cleaned()
	}
	return n
}

func cleanAll(texts []string, limit int) []string {
	cleaned := make([]string, len(texts))
	for i, text := range texts {
		cleaned[i] = OneLine(text, limit)
	}
	return cleaned
}

// OneLine makes one line of at most limit characters of a text that others have
// written, and may be shown to people: runs of white space, line breaks among
// them, become one blank; what cannot be seen (control and format characters,
// bidirectional overrides, fillers, invalid UTF-8) becomes U+FFFD, so that it
// can be; and of marks piled on one letter two are kept.
func OneLine(text string, limit int) string {
	cleaned := make([]rune, 0, min(len(text), limit+1))
	marks, blank := 0, false
	for _, r := range text {
		if len(cleaned) > limit {
			break
		}
		if unicode.IsSpace(r) {
			blank = len(cleaned) > 0
			continue
		}
		if !unicode.IsPrint(r) || unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) || r == blankBraille {
			r = unicode.ReplacementChar
		}
		if unicode.Is(unicode.M, r) {
			if marks++; marks > 2 {
				continue
			}
		} else {
			marks = 0
		}
		if blank {
			cleaned, blank = append(cleaned, ' '), false
		}
		cleaned = append(cleaned, r)
	}
	return clip(string(cleaned), limit)
}

// blankBraille is a symbol to Unicode, and nothing to the eye.
const blankBraille = '\u2800'

// clip cuts text to at most limit characters; an ellipsis tells that it did.
func clip(text string, limit int) string {
	count := 0
	cut := 0
	for i := range text {
		if count++; count == limit {
			cut = i
		}
		if count > limit {
			return strings.TrimRight(text[:cut], " ") + "…"
		}
	}
	return text
}

// runes counts characters.
func runes(text string) int { return utf8.RuneCountInString(text) }

// cells is how many columns a character takes on a terminal: two for East
// Asian wide ones, none for combining marks (Unicode UAX #11, abridged to what
// is common).
func cells(r rune) int {
	switch {
	case r < 0x300:
		return 1
	case unicode.Is(unicode.M, r):
		return 0
	case r >= 0x1100 && r <= 0x115F, r >= 0x2E80 && r <= 0xA4CF, r >= 0xAC00 && r <= 0xD7A3,
		r >= 0xF900 && r <= 0xFAFF, r >= 0xFE30 && r <= 0xFE6F, r >= 0xFF00 && r <= 0xFF60,
		r >= 0xFFE0 && r <= 0xFFE6, r >= 0x1F300 && r <= 0x1FAFF, r >= 0x20000 && r <= 0x3FFFD:
		return 2
	default:
		return 1
	}
}

// columns is how many columns a text takes.
func columns(text string) int {
	total := 0
	for _, r := range text {
		total += cells(r)
	}
	return total
}

// Punctuation that must not begin or end a line.
const (
	closing = "，。、：；！？）」”》…"
	opening = "（「“《"
)

// wrap breaks text into lines of at most width columns: at blanks, between
// wide characters, and within a word only if it is wider than a line.
func wrap(text string, width int) []string {
	var lines []string
	var line strings.Builder
	used := 0
	flush := func() {
		lines = append(lines, line.String())
		line.Reset()
		used = 0
	}
	for _, unit := range breakable(text) {
		need := columns(unit.text)
		if unit.blank && used > 0 {
			need++
		}
		if used > 0 && used+need > width {
			flush()
		}
		if unit.blank && used > 0 {
			line.WriteByte(' ')
			used++
		}
		for _, r := range unit.text {
			if used+cells(r) > width {
				flush()
			}
			line.WriteRune(r)
			used += cells(r)
		}
	}
	if used > 0 || len(lines) == 0 {
		flush()
	}
	return lines
}

// unit is a piece of text no line breaks in, and whether a blank precedes it.
type unit struct {
	text  string
	blank bool
}

// breakable cuts text where a line may break.
func breakable(text string) []unit {
	var units []unit
	for word := range strings.FieldsSeq(text) {
		start, blank := 0, true
		var last rune
		for i, r := range word {
			between := i > 0 && (cells(r) == 2 || cells(last) == 2)
			if between && !strings.ContainsRune(closing, r) && !strings.ContainsRune(opening, last) {
				units = append(units, unit{word[start:i], blank})
				start, blank = i, false
			}
			if cells(r) > 0 {
				last = r
			}
		}
		units = append(units, unit{word[start:], blank})
	}
	return units
}
