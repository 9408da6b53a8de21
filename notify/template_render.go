package notify

import (
	"fmt"
	"strings"
	"unicode"
)

// render says a notification in the words of the template. Where it fails, the
// message is the built-in one, with a note that says so.
func (t *Template) render(notification Notification, lang Language) Message {
	n, words := notification.cleaned(), lang.phrases()
	report := newReport(n, lang.tag(), &words)
	built := report.message(&words)
	said, err := t.execute(templateData(n, lang, built, newTitle(n, &words), Markup(report.body(&words))))
	if err != nil {
		report.alerts = append(report.alerts, alert{fmt.Sprintf(words.stories.templateFailed, err), false})
		return report.message(&words)
	}
	message := built
	if said.subject != "" {
		message.Subject = line(said.subject, subjectLimit)
	}
	if said.text != "" {
		message.Text, message.HTML = lines(said.text), ""
	}
	if said.html != "" {
		message.HTML = lines(said.html)
		if !isDocument(said.html) {
			message.HTML = htmlPage(message.Subject, lang.tag(), message.HTML)
		}
	}
	return message
}

// title says a notification in the words of the template's subject.
func (t *Template) title(notification Notification, lang Language) string {
	n, words := notification.cleaned(), lang.phrases()
	title := newTitle(n, &words)
	report := newReport(n, lang.tag(), &words)
	said, err := t.subject.execute(templateData(n, lang, report.message(&words), title, Markup(report.body(&words))))
	if err != nil {
		return title
	}
	return line(said, titleLimit)
}

// isDocument reports whether HTML is a whole document.
func isDocument(text string) bool {
	const enough = 200
	text = strings.TrimSpace(text)
	start := strings.ToLower(text[:min(len(text), enough)])
	return strings.HasPrefix(start, "<!doctype") || strings.HasPrefix(start, "<html")
}

// line makes one bounded line of what a template gave: the words of the
// template may hold what clean would take out, as the parts of an emoji.
func line(text string, limit int) string {
	return clip(strings.Join(strings.Fields(lines(text)), " "), limit)
}

// lines takes the control characters out of what a template gave, other than
// line breaks, and ends the last line.
func lines(text string) string {
	text = strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\r\n", "\n")
	text = strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return r
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsControl(r):
			return unicode.ReplacementChar
		}
		return r
	}, text)
	return strings.TrimRight(text, "\n ") + "\n"
}
