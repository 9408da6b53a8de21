package notify

import (
	"errors"
	"fmt"
	"strings"
	"text/template"
	"text/template/parse"
	"time"
)

// How much a template may hold and give.
const (
	// templateLimit bounds the source of each part, in bytes.
	templateLimit = 64 << 10
	// outputLimit bounds what a part gives, and each text made on the way, in
	// bytes.
	outputLimit = 128 << 10
	// writeLimit is how often a part may write. Every turn of a loop and every
	// call of a template counts as one, so that none can go on for ever: text/template
	// knows no deadline.
	writeLimit = 20_000
)

// Template is an operator's own wording of a channel's messages. It is safe
// for concurrent use. Its data is a TemplateData.
type Template struct {
	subject, text, html *template.Template
}

// Markup is text that is HTML already, which an html template writes as it is.
type Markup string

// ParseTemplate reads the three parts of a template (text/template); an empty
// part leaves the built-in one in place, except that messages with a text of
// their own and without an html have no HTML part. The subject also makes the
// title for chats. What an html part writes is escaped, as text and within
// quoted attributes; unless it begins with "<!DOCTYPE" or "<html" it becomes
// the body of a document with the built-in styles.
//
// Beside the built-in functions of text/template there are:
//
//	join LIST SEPARATOR    the texts of a list in one
//	upper TEXT, lower TEXT
//	duration DURATION      "41 d 3 h", in the message's language
//	local TIME, utc TIME   "2026-01-14 03:14:07.123 +08:00 (CST)"
//	addresses EVENT        the event's virtual addresses
//	named STATE            keepalived's word with its translation
//
// Every part is tried on examples of every story, with and without what may be
// missing; the error names the part, the line and the column in it. None of
// the functions reads a file or the environment.
func ParseTemplate(subject, text, html string) (*Template, error) {
	if subject == "" && text == "" && html == "" {
		return nil, errors.New("it is empty: give it a subject, a text or an html")
	}
	t := new(Template)
	for _, part := range []struct {
		name, source string
		into         **template.Template
	}{{"subject", subject, &t.subject}, {"text", text, &t.text}, {"html", html, &t.html}} {
		if part.source == "" {
			continue
		}
		parsed, err := parsePart(part.name, part.source)
		if err != nil {
			return nil, err
		}
		*part.into = parsed
	}
	for _, sample := range templateSamples() {
		if _, err := t.execute(sample.data); err != nil {
			return nil, fmt.Errorf("%w (tried on %s)", err, sample.name)
		}
	}
	return t, nil
}

func parsePart(name, source string) (*template.Template, error) {
	if len(source) > templateLimit {
		return nil, fmt.Errorf("%s: has %d bytes, at most %d are read", name, len(source), templateLimit)
	}
	parsed, err := template.New(name).Funcs(functions(English)).Parse(source)
	if err != nil {
		return nil, templateError(err)
	}
	for _, one := range parsed.Templates() {
		if one.Tree != nil && one.Root != nil {
			guard(one.Root, name == "html")
			paced(one.Root)
		}
	}
	return parsed, nil
}

// templateError says in which part, line and column, without the prefix of the
// package that found it.
func templateError(err error) error {
	text := clean(strings.TrimPrefix(err.Error(), "template: "), noteLimit)
	if strings.Contains(text, "nil pointer evaluating") {
		text += "; not every event has it: put it between {{with …}} and {{end}}"
	}
	return errors.New(text)
}

// guard makes every turn of a loop write, if only nothing, and, where it is
// asked to, every value go through html.
func guard(list *parse.ListNode, escape bool) {
	if list == nil {
		return
	}
	for _, node := range list.Nodes {
		switch node := node.(type) {
		case *parse.ActionNode:
			if escape && len(node.Pipe.Decl) == 0 {
				node.Pipe.Cmds = append(node.Pipe.Cmds, &parse.CommandNode{
					NodeType: parse.NodeCommand, Pos: node.Pos,
					Args: []parse.Node{parse.NewIdentifier("html").SetPos(node.Pos)},
				})
			}
		case *parse.IfNode:
			guard(node.List, escape)
			guard(node.ElseList, escape)
		case *parse.WithNode:
			guard(node.List, escape)
			guard(node.ElseList, escape)
		case *parse.RangeNode:
			guard(node.List, escape)
			guard(node.ElseList, escape)
			paced(node.List)
		}
	}
}

// paced puts an empty text before a list: it writes nothing, but it writes.
func paced(list *parse.ListNode) {
	list.Nodes = append([]parse.Node{&parse.TextNode{NodeType: parse.NodeText, Pos: list.Pos}}, list.Nodes...)
}

// errLimit is a template's that came to one of the limits.
var errLimit = errors.New("it is too much")

// bounded takes what a template writes, as long as that is within the limits.
type bounded struct {
	strings.Builder
	writes int
}

func (b *bounded) Write(data []byte) (int, error) {
	if b.writes++; b.writes > writeLimit {
		return 0, fmt.Errorf("%w: it writes more than %d times; does a loop or a template in it come to no end?", errLimit, writeLimit)
	}
	if b.Len()+len(data) > outputLimit {
		return 0, fmt.Errorf("%w: it gives more than %d bytes", errLimit, outputLimit)
	}
	return b.Builder.Write(data)
}

// output is what the parts of a template gave; empty for parts it has not.
type output struct{ subject, text, html string }

// execute runs every part there is. The templates are copied because their
// functions speak the language of the data.
func (t *Template) execute(data TemplateData) (output, error) {
	var out output
	for _, part := range []struct {
		template *template.Template
		into     *string
	}{{t.subject, &out.subject}, {t.text, &out.text}, {t.html, &out.html}} {
		if part.template == nil {
			continue
		}
		said, err := run(part.template, data)
		if err != nil {
			return output{}, err
		}
		*part.into = said
	}
	return out, nil
}

// run executes one part.
func run(part *template.Template, data TemplateData) (string, error) {
	mine, err := part.Clone()
	if err != nil {
		return "", templateError(err)
	}
	var out bounded
	if err := mine.Funcs(functions(data.Language)).Execute(&out, data); errors.Is(err, errLimit) {
		return "", fmt.Errorf("%s: %w", part.Name(), err)
	} else if err != nil {
		return "", templateError(err)
	}
	if strings.TrimSpace(out.String()) == "" {
		return "", fmt.Errorf("%s: says nothing", part.Name())
	}
	return out.String(), nil
}

// functions are what templates may call. Those of text/template that make text
// are replaced by ones that make at most outputLimit bytes.
func functions(language Language) template.FuncMap {
	words := language.phrases()
	return template.FuncMap{
		"print":    func(values ...any) (string, error) { return atMost(fmt.Sprint(values...)) },
		"println":  func(values ...any) (string, error) { return atMost(fmt.Sprintln(values...)) },
		"printf":   func(format string, values ...any) (string, error) { return atMost(fmt.Sprintf(format, values...)) },
		"js":       func(values ...any) (string, error) { return atMost(template.JSEscaper(values...)) },
		"urlquery": func(values ...any) (string, error) { return atMost(template.URLQueryEscaper(values...)) },
		"html": func(values ...any) (Markup, error) {
			if len(values) == 1 {
				if markup, ok := values[0].(Markup); ok {
					return markup, nil
				}
			}
			escaped, err := atMost(template.HTMLEscaper(values...))
			return Markup(escaped), err
		},
		"join":     func(list []string, separator string) (string, error) { return atMost(strings.Join(list, separator)) },
		"upper":    func(text any) string { return strings.ToUpper(fmt.Sprint(text)) },
		"lower":    func(text any) string { return strings.ToLower(fmt.Sprint(text)) },
		"duration": func(d time.Duration) string { return words.duration(max(d, 0)) },
		"local":    func(t any) (string, error) { return timeText(t, words.noTime, local) },
		"utc": func(t any) (string, error) {
			return timeText(t, words.noTime, func(t time.Time) string { return local(t.UTC()) })
		},
		"addresses": func(event Event) []string { return addresses(event) },
		"named":     func(state State) string { return words.named(state) },
	}
}

func atMost(text string) (string, error) {
	if len(text) > outputLimit {
		return "", fmt.Errorf("a text of more than %d bytes", outputLimit)
	}
	return text, nil
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
