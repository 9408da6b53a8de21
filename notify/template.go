package notify

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"hacheck/notify/template"
)

// How much a template may hold, do and give.
const (
	// templateLimit bounds the source of each part, in bytes.
	templateLimit = 64 << 10
	// stepLimit bounds what a part may do: ten times what telling every field of
	// 200 events takes, and some tenths of a second for a loop without an end.
	stepLimit = 200_000
	// outputLimit bounds what a part gives, and each text made on the way, in
	// bytes.
	outputLimit = 128 << 10
)

// Template is an operator's own wording of a channel's messages. It is safe
// for concurrent use. Its data is a TemplateData.
type Template struct {
	subject, text, html *part
}

// part is the template of one part of a message.
type part struct {
	name     string
	template *template.Template
}

// Markup is text that is HTML already, which an html template writes as it is.
type Markup = template.Markup

// ParseTemplate reads the three parts of a template (in the language of
// text/template); an empty part leaves the built-in one in place, except that
// messages with a text of their own and without an html have no HTML part. The
// subject also makes the title for chats. What an html part writes is escaped,
// as text and within quoted attributes; unless it begins with "<!DOCTYPE" or
// "<html" it becomes the body of a document with the built-in styles.
//
// Beside the built-in functions of text/template, of which js and call are not
// there, there are:
//
//	join LIST SEPARATOR    the texts of a list in one
//	upper TEXT, lower TEXT
//	duration DURATION      "41 d 3 h", in the message's language
//	local TIME, utc TIME   "2026-01-14 03:14:07.123 +08:00 (CST)"
//	date LAYOUT TIME       as Go's time layouts write it: "15:04", "2 Jan 2006"
//	addresses EVENT        the event's virtual addresses
//	named STATE            keepalived's word with its translation
//
// No method is called: what is {{.Time.Format "15:04"}} elsewhere is
// {{date "15:04" .Time}} here.
//
// Every part is tried on examples of every story, with and without what may be
// missing; the error names the part, the line and the column in it. None of
// the functions reads a file or the environment.
func ParseTemplate(subject, text, html string) (*Template, error) {
	if subject == "" && text == "" && html == "" {
		return nil, errors.New("it is empty: give it a subject, a text or an html")
	}
	t := new(Template)
	for _, read := range []struct {
		name, source string
		into         **part
	}{{"subject", subject, &t.subject}, {"text", text, &t.text}, {"html", html, &t.html}} {
		if read.source == "" {
			continue
		}
		parsed, err := parsePart(read.name, read.source)
		if err != nil {
			return nil, err
		}
		*read.into = parsed
	}
	for _, sample := range templateSamples() {
		if _, err := t.execute(sample.data); err != nil {
			return nil, fmt.Errorf("%w (tried on %s)", err, sample.name)
		}
	}
	return t, nil
}

func parsePart(name, source string) (*part, error) {
	if len(source) > templateLimit {
		return nil, fmt.Errorf("%s: has %d bytes, at most %d are read", name, len(source), templateLimit)
	}
	parsed, err := template.Parse(name, source, functions(English))
	if err != nil {
		return nil, templateError(err)
	}
	return &part{name, parsed}, nil
}

// templateError is an error of a template as one line of what can be shown.
func templateError(err error) error {
	text := OneLine(err.Error(), noteLimit)
	if errors.Is(err, template.ErrNilPointer) {
		text += "; not every event has it: put it between {{with …}} and {{end}}"
	}
	return errors.New(text)
}

// output is what the parts of a template gave; empty for parts it has not.
type output struct{ subject, text, html string }

// execute runs every part there is.
func (t *Template) execute(data TemplateData) (output, error) {
	var out output
	for _, run := range []struct {
		part *part
		into *string
	}{{t.subject, &out.subject}, {t.text, &out.text}, {t.html, &out.html}} {
		if run.part == nil {
			continue
		}
		said, err := run.part.execute(data)
		if err != nil {
			return output{}, err
		}
		*run.into = said
	}
	return out, nil
}

// execute runs one part, with functions that speak the language of the data.
func (p *part) execute(data TemplateData) (string, error) {
	said, err := p.template.Execute(data, template.Rules{
		Functions:  functions(data.Language),
		EscapeHTML: p.name == "html",
		Steps:      stepLimit,
		Output:     outputLimit,
	})
	if err != nil {
		return "", templateError(err)
	}
	if strings.TrimSpace(said) == "" {
		return "", fmt.Errorf("%s: says nothing", p.name)
	}
	return said, nil
}

// functions are what templates may call beside the built-in functions.
func functions(language Language) template.Functions {
	words := language.phrases()
	return template.Functions{
		"join":     strings.Join,
		"upper":    func(text any) string { return strings.ToUpper(fmt.Sprint(text)) },
		"lower":    func(text any) string { return strings.ToLower(fmt.Sprint(text)) },
		"duration": func(d time.Duration) string { return words.duration(max(d, 0)) },
		"local":    func(t any) (string, error) { return timeText(t, words.noTime, local) },
		"utc": func(t any) (string, error) {
			return timeText(t, words.noTime, func(t time.Time) string { return local(t.UTC()) })
		},
		"date": func(layout string, t any) (string, error) {
			return timeText(t, words.noTime, func(t time.Time) string { return t.Format(layout) })
		},
		"addresses": func(event Event) []string { return addresses(event) },
		"named":     func(state State) string { return words.named(state) },
	}
}

// timeText writes a time that may be missing.
func timeText(t any, missing string, write func(time.Time) string) (string, error) {
	switch t := t.(type) {
	case time.Time:
		if !t.IsZero() {
			return write(t), nil
		}
	case *time.Time:
		if t != nil && !t.IsZero() {
			return write(*t), nil
		}
	default:
		return "", fmt.Errorf("%T is not a time", t)
	}
	return missing, nil
}

// addresses lists an event's virtual addresses, each once.
func addresses(event Event) []string {
	var all []string
	seen := make(map[string]bool, len(event.VIPs))
	for _, vip := range event.VIPs {
		if !seen[vip.Address] {
			seen[vip.Address] = true
			all = append(all, vip.Address)
		}
	}
	return all
}
