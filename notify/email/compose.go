package email

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/wneessen/go-mail"

	"hacheck/notify"
)

// maxHeader bounds what an event can put into one header, in characters, so
// that no line passes the 998 of RFC 5322, section 2.1.1.
const maxHeader = 300

// compose writes the mail of an event. Two attempts for one event give the
// same Message-ID, Date and text: a mailbox that sees both can tell.
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
	letter.Subject(headerText(text.Subject))
	letter.SetDateWithValue(event.Time)
	letter.SetMessageIDWithValue(id + "@" + token(event.Host))
	// Every mail of one instance answers the same root, which was never
	// sent: mail programs then show them as one thread.
	root := thread(event)
	letter.SetGenHeader(mail.HeaderInReplyTo, root)
	letter.SetGenHeader(mail.HeaderReferences, root)
	// RFC 3834: keeps vacation programs silent.
	letter.SetGenHeader("Auto-Submitted", "auto-generated")
	letter.SetGenHeader("X-Hacheck-Event", id)
	letter.SetGenHeader("X-Hacheck-Host", headerText(event.Host))
	letter.SetGenHeader("X-Hacheck-Name", headerText(event.Name))
	letter.SetGenHeader("X-Hacheck-State", headerText(string(event.State)))
	if notification.Severity() == notify.Critical {
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
		if unprintable(r) && r != '\n' && r != '\t' {
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
