package notify

import "strings"

const (
	// textWidth is what plain text keeps to, as RFC 5322, section 2.1.1 asks.
	textWidth = 78
	// labelWidth is the widest column of labels; a longer one has a line of
	// its own.
	labelWidth = 34
)

// text lays the report out as plain text.
func (r report) text(p *phrases) string {
	var b strings.Builder
	hang(&b, "", "", "["+r.badge+"] "+r.headline)
	for _, sentence := range r.lead {
		b.WriteByte('\n')
		hang(&b, "", "", sentence)
	}
	for _, alert := range r.alerts {
		b.WriteByte('\n')
		if alert.loud {
			hang(&b, "!! ", "   ", alert.text)
		} else {
			hang(&b, "*  ", "   ", alert.text)
		}
	}
	b.WriteByte('\n')
	table(&b, "", r.facts)
	for _, section := range r.sections {
		b.WriteByte('\n')
		hang(&b, "", "", section.heading)
		table(&b, "  ", section.rows)
	}
	if len(r.commands) > 0 {
		b.WriteByte('\n')
		hang(&b, "", "", p.headingNext)
	}
	for _, command := range r.commands {
		b.WriteString("  " + command.line + "\n")
		hang(&b, "      # ", "      # ", command.purpose)
	}
	b.WriteByte('\n')
	table(&b, "", []row{{label: p.labelSeverity, text: p.levels[r.level]}, {label: p.labelEventID, text: r.id}})
	return b.String()
}

// table writes rows with their texts aligned behind the labels. A row that
// tells something bad is marked, so that it is seen without colours.
func table(b *strings.Builder, indent string, rows []row) {
	width := 0
	for _, row := range rows {
		if w := columns(row.label); w <= labelWidth {
			width = max(width, w)
		}
	}
	gap := ""
	if width > 0 {
		gap = strings.Repeat(" ", width+2)
	}
	for _, row := range rows {
		text := row.text
		if row.tone == bad {
			text = "! " + text
		}
		label := columns(row.label)
		switch {
		case label == 0 && width == 0:
			hang(b, indent+"- ", indent+"  ", text)
		case label > labelWidth:
			hang(b, indent, indent, row.label)
			hang(b, indent+"    ", indent+"    ", text)
		default:
			first := row.label + gap[min(label, len(gap)):]
			hang(b, indent+first, indent+gap, text)
		}
	}
}

// hang writes a wrapped text, the first line after one prefix and the others
// after another.
func hang(b *strings.Builder, first, next, text string) {
	for i, line := range wrap(text, textWidth-columns(next)) {
		prefix := next
		if i == 0 {
			prefix = first
		}
		b.WriteString(strings.TrimRight(prefix+line, " ") + "\n")
	}
}
