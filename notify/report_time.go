package notify

import "time"

// dateTime is RFC 3339 with a blank for the T, to the millisecond, which is
// what the logs of keepalived and HAProxy are compared with.
const dateTime = "2006-01-02 15:04:05.000"

// local writes a time with its offset and, if it has one, its zone's name.
func local(t time.Time) string { return t.Format(dateTime) + " " + zone(t) }

// minute writes a time that someone has set, in the zone of another.
func minute(t, there time.Time, p *phrases) string {
	if t.IsZero() {
		return p.noTime
	}
	t = t.In(there.Location())
	return t.Format("2006-01-02 15:04") + " " + zone(t)
}

// clock writes a time as short as one can that lives near another.
func clock(t, near time.Time) string {
	t = t.In(near.Location())
	if sameDay(t, near) {
		return t.Format("15:04")
	}
	return t.Format("2006-01-02 15:04")
}

// sameDay reports whether two times, in the zone of the second, have one date.
func sameDay(t, there time.Time) bool {
	year, month, day := t.In(there.Location()).Date()
	otherYear, otherMonth, otherDay := there.Date()
	return year == otherYear && month == otherMonth && day == otherDay
}

// zone writes the offset of a time and, if it has one, its zone's name.
func zone(t time.Time) string {
	name, offset := t.Zone()
	if offset == 0 {
		return "UTC"
	}
	text := t.Format("-07:00")
	// Zones without a name of their own are called by their offset.
	if name = OneLine(name, 10); name != "" && name[0] != '+' && name[0] != '-' {
		text += " (" + name + ")"
	}
	return text
}
