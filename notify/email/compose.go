package email

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/wneessen/go-mail"

	"hacheck/notify"
)

// maxHeader bounds what an event can put into one header, in characters, so
// that no line passes the 998 of RFC 5322, section 2.1.1.
const maxHeader = 300

// compose writes the mail of a notification. Two attempts for one give the same
// Message-ID, Date and text: a mailbox that sees both can tell.
func (n *Notifier) compose(notification notify.Notification) ([]byte, error) {
	event := notification.Event
	text := n.cfg.Style.Render(notification)
	encoding := mail.EncodingQP
	if mostlyWide(text.Text) {
		encoding = mail.EncodingB64
	}
	id := token(event.ID)
	letter := mail.NewMsg(
		mail.WithCharset(mail.CharsetUTF8),
		mail.WithEncoding(encoding),
		mail.WithBoundary("hacheck-"+id),
		mail.WithNoDefaultUserAgent(),
	)
	letter.FromMailAddress(n.from)
	letter.ToMailAddress(n.shown...)
	letter.SetGenHeaderPreformatted(mail.HeaderSubject, unstructured("Subject", headerText(text.Subject)))
	letter.SetDateWithValue(event.Time)
	letter.SetMessageIDWithValue(id + "@" + token(event.Host))
	told := subjects(notification)
	roots := threads(told)
	letter.SetGenHeader(mail.HeaderInReplyTo, roots[0])
	letter.SetGenHeader(mail.HeaderReferences, strings.Join(roots, " "))
	// RFC 3834: keeps vacation programs silent.
	letter.SetGenHeader("Auto-Submitted", "auto-generated")
	letter.SetGenHeader("X-Hacheck-Event", id)
	letter.SetGenHeader("X-Hacheck-Host", headerText(event.Host))
	letter.SetGenHeader("X-Hacheck-Name", headerText(list(told, func(event notify.Event) string { return event.Name })))
	letter.SetGenHeader("X-Hacheck-State", headerText(list(told, func(event notify.Event) string { return string(event.State) })))
	letter.SetGenHeader("X-Hacheck-Story", headerText(story(notification)))
	severity := notification.Severity()
	letter.SetGenHeader("X-Hacheck-Severity", string(severity))
	if severity == notify.Critical {
		letter.SetImportance(mail.ImportanceHigh)
	}
	letter.SetBodyString(mail.TypeTextPlain, cleanBody(text.Text))
	if text.HTML != "" {
		letter.AddAlternativeString(mail.TypeTextHTML, cleanBody(text.HTML))
	}
	var out bytes.Buffer
	if _, err := letter.WriteTo(&out); err != nil {
		return nil, fmt.Errorf("write the mail of event %s: %w", id, err)
	}
	return out.Bytes(), nil
}

// subjects are the last events of the instances and sync groups that a
// notification tells of, in an order that does not depend on which of them
// changed first: instances by their names, then groups.
func subjects(notification notify.Notification) []notify.Event {
	told := notification.Latest()
	slices.SortStableFunc(told, func(a, b notify.Event) int {
		return cmp.Or(strings.Compare(string(b.Kind), string(a.Kind)), strings.Compare(a.Name, b.Name))
	})
	return told
}

// maxThreads bounds how many threads one mail is a part of.
const maxThreads = 30

// threads names the threads a mail belongs to. Every mail of one instance
// answers the same root, which was never sent: mail programs then show them as
// one thread, and a mail of several instances joins theirs (RFC 5322, section
// 3.6.4).
func threads(told []notify.Event) []string {
	var roots []string
	for _, event := range told[:min(len(told), maxThreads)] {
		roots = append(roots, thread(event))
	}
	return slices.Compact(roots)
}

// list writes one fact of each subject, each value once.
func list(told []notify.Event, fact func(notify.Event) string) string {
	var values []string
	for _, event := range told {
		if value := fact(event); !slices.Contains(values, value) {
			values = append(values, value)
		}
	}
	return strings.Join(values, ", ")
}

// story is why the events of a notification are told together.
func story(notification notify.Notification) string {
	if notification.Story == "" {
		return string(notify.Transition)
	}
	return string(notification.Story)
}

// thread names the thread of an instance or group. The VIPs are part of it,
// so that both nodes of a pair share one thread and two pairs that both call
// their instance VI_1 do not; without VIPs the host stands in for them.
func thread(event notify.Event) string {
	var vips []string
	for _, vip := range event.VIPs {
		vips = append(vips, vip.Address)
	}
	slices.Sort(vips)
	if len(vips) == 0 {
		vips = []string{event.Host}
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q", event.Kind, event.Name, vips))
	return "<thread-" + hex.EncodeToString(sum[:8]) + "@hacheck>"
}

// token reduces text to what a Message-ID and a MIME boundary may hold.
func token(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '.':
			return r
		}
		return '-'
	}, text)
	// 60 because a boundary has at most 70 characters (RFC 2046, 5.1.1).
	text = strings.Trim(text[:min(len(text), 60)], ".")
	if text == "" {
		return "unknown"
	}
	return text
}

// headerText makes one line of at most maxHeader characters of text.
func headerText(text string) string {
	line := []rune(oneLine(text))
	if len(line) > maxHeader {
		line = append(line[:maxHeader-1], '…')
	}
	return string(line)
}

// oneLine makes valid UTF-8 without control characters of text, with single
// blanks between its words.
func oneLine(text string) string {
	text = strings.Map(func(r rune) rune {
		if unprintable(r) || r >= 0x80 && r < 0xa0 || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
	return strings.Join(strings.Fields(text), " ")
}

// cleanBody makes valid UTF-8 of text, without control characters other than
// the line break and the tab.
func cleanBody(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
}

// mostlyWide reports whether base64 is shorter than quoted-printable.
func mostlyWide(text string) bool {
	wide := 0
	for i := range len(text) {
		if text[i] >= 0x80 {
			wide++
		}
	}
	return wide*6 > len(text)
}
