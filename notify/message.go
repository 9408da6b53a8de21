package notify

import "time"

// Message is a notification as it is said to people, in one language. What is
// said here of invisible characters and widths holds for the built-in wording:
// the words of a template are the operator's.
type Message struct {
	// Subject is one line of at most 120 characters, the most important first.
	// It never holds a line break, a control or an invisible character.
	Subject string
	// Text is the plain form: UTF-8, lines ended by "\n" and at most 78 columns
	// wide, except commands, which are kept whole to be copied.
	Text string
	// HTML is a whole document that says the same. It needs nothing outside
	// itself and takes its colours from the reader's light or dark mode. It is
	// empty where a template words the text and not the HTML.
	HTML string
}

// Level is how urgent an event is.
type Level string

// The levels, in rising order.
const (
	// Info: news, nothing to do at once.
	Info Level = "info"
	// Warning: someone should look, in working hours at the latest.
	Warning Level = "warning"
	// Critical: this node cannot serve, or clients may already notice.
	Critical Level = "critical"
)

const (
	// subjectLimit keeps a subject, in characters, within what mail clients
	// show and what stays below the 998 octets of an RFC 5322 line when encoded.
	subjectLimit = 120
	// titleLimit bounds the line for chats and the journal, in characters.
	titleLimit = 200
	// staleAfter is the age at the event from which a verdict no longer
	// explains it: checks run every few seconds, so one that is a minute old
	// comes from a check that no longer runs.
	staleAfter = time.Minute
)

// Render says a notification in a language. It never fails: whatever the events
// hold, names and reasons are bounded, cleaned of control and invisible
// characters and escaped, and what is missing is said to be.
func Render(notification Notification, lang Language) Message {
	words := lang.phrases()
	return newReport(notification.cleaned(), lang.tag(), &words).message(&words)
}

// message lays the report out.
func (r report) message(p *phrases) Message {
	return Message{Subject: r.subject, Text: r.text(p), HTML: r.html(p)}
}

// Title says a notification in one line of at most 200 characters, for chats and the
// journal: "lb-a: VI_1 BACKUP → MASTER after 41 d 3 h; 192.0.2.100 here; …".
// It holds no line break, control or invisible character.
func Title(notification Notification, lang Language) string {
	words := lang.phrases()
	return newTitle(notification.cleaned(), &words)
}
