package notify

import (
	"strings"
	"testing"
)

func TestParseTemplate(t *testing.T) {
	for _, test := range []struct {
		name                string
		subject, text, html string
		problem             string
	}{
		{"every part", "{{.Subject}}", "{{.Text}}", "{{.HTML}}", ""},
		{"everything there is", "",
			`{{.Language}} {{.Story}} {{.Severity}} {{.Title}} {{.Event.ID}} {{.Host}} {{.Kind}} {{.Name}} {{.State}} {{.Previous}}
{{with .Verdict}}{{.Check}} {{.Status}} {{.Reason}} {{local .Time}}{{end}}{{with .HAProxy}}{{join .Up ", "}}{{range .Down}}{{.Name}}{{end}}{{end}}
{{with .Maintenance}}{{local .Until}} {{.Reason}}{{end}}{{with .RunbookURL}}{{.}}{{end}}{{with .Priority}}{{.}}{{end}}
{{range .Latest}}{{.Name}} {{named .State}} {{join (addresses .) ","}}{{range .VIPs}}{{.Address}}/{{.Prefix}} {{.Presence}}{{end}}{{end}}
{{range .Events}}{{utc .Time}} {{local .PreviousSince}}{{end}}{{join .Names " "}} {{join .Addresses " "}} {{.Count}} {{local .Since}}
{{.Resolved}} {{duration .Lasted}} {{upper .State}} {{lower .Name}} {{printf "%-10s|" .Name}} {{date "15:04" .Time}} {{.Time | date "2 Jan"}}`, "", ""},
		{"nothing", "", "", "", "it is empty: give it a subject, a text or an html"},
		{"a wrong field", "", "VIP report\n\nnode {{.Hots}}\n", "",
			`text:3:7: executing "text" at <.Hots>: can't evaluate field Hots in type notify.TemplateData (tried on a transition)`},
		{"a wrong field of a list", "", "", "<p>\n{{range .Latest}}{{.Adress}}{{end}}",
			`html:2:19: executing "html" at <.Adress>: can't evaluate field Adress in type notify.Event (tried on a transition)`},
		{"a field that only some stories come to", "", `{{if eq .Story "settled"}}{{.Nope}}{{end}}{{.Text}}`, "",
			`text:1:28: executing "text" at <.Nope>: can't evaluate field Nope in type notify.TemplateData (tried on a notification of the story settled)`},
		{"what may be missing", "", "{{.Verdict.Reason}}", "",
			`text:1:10: executing "text" at <.Verdict.Reason>: nil pointer evaluating *notify.Verdict.Reason; ` +
				`not every event has it: put it between {{with …}} and {{end}} (tried on a transition of which little is known)`},
		{"a wrong function", "{{env \"HOME\"}}", "", "", `subject:1: function "env" not defined`},
		{"not closed", "", "a\n{{if .Resolved}}\n", "", `text:3: unexpected EOF`},
		{"a subject that may be empty", "{{if .Resolved}}over{{end}}", "", "", "subject: says nothing (tried on a transition)"},
		{"a loop", "", "{{range 1000000000}}{{end}}", "",
			`text:1:8: executing "text" at <1000000000>: it is too much: it takes more than 200000 steps, where 256 bytes of text count as one; does a loop in it come to no end?`},
		{"a template that calls itself", "", `{{define "x"}}{{template "x" .}}{{end}}{{template "x" .}}`, "", "it is nested more than 10000 times; does a template in it call itself without end?"},
		{"doubling", "", `{{$s := "x"}}{{range 100}}{{$s = print $s $s}}{{end}}{{$s}}`, "", "a text of more than 131072 bytes"},
		{"too long", "", strings.Repeat("x", 70<<10), "", "text: has 71680 bytes, at most 65536 are read"},
		{"not a time", "", "{{local .Name}}", "", "string is not a time"},
		{"a method", "", `{{.Time.Format "15:04"}}`, "",
			`text:1:7: executing "text" at <.Time.Format>: can't evaluate field Format in type time.Time; methods are not called (tried on a transition)`},
	} {
		t.Run(test.name, func(t *testing.T) {
			template, err := ParseTemplate(test.subject, test.text, test.html)
			switch {
			case test.problem == "" && (err != nil || template == nil):
				t.Errorf("error %v", err)
			case test.problem != "" && (err == nil || !strings.Contains(err.Error(), test.problem)):
				t.Errorf("error %v instead of %s", err, test.problem)
			}
		})
	}
}

func mustParse(t testing.TB, subject, text, html string) *Template {
	t.Helper()
	template, err := ParseTemplate(subject, text, html)
	if err != nil {
		t.Fatal(err)
	}
	return template
}

func TestTemplateRenders(t *testing.T) {
	notification := stories()["failover-two-instances"]
	built := Render(notification, SimplifiedChinese)
	style := Style{Language: SimplifiedChinese, Template: mustParse(t,
		"⚠️ {{upper .Severity}}\r\n {{join .Names \"+\"}} @ {{.Host}}",
		"Dear team,\n\n\t{{len .Latest}} instances, {{duration .Lasted}}\x07\n{{.Text}}", "")}
	message := style.Render(notification)
	if want := "⚠️ INFO VI_1+VI_2 @ lb-a"; message.Subject != want || style.Title(notification) != want {
		t.Errorf("the subject is %q, the title %q", message.Subject, style.Title(notification))
	}
	if want := "Dear team,\n\n 2 instances, 41 天 3 小时\uFFFD\n" + built.Text; message.Text != want {
		t.Errorf("the text is\n%s", message.Text)
	}
	if message.HTML != "" {
		t.Errorf("there is HTML beside a text of its own: %s", message.HTML)
	}

	onlySubject := Style{Template: mustParse(t, strings.Repeat("very ", 50)+"long", "", "")}
	message, built = onlySubject.Render(notification), Render(notification, English)
	if message.Text != built.Text || message.HTML != built.HTML {
		t.Error("a template of the subject changes the rest")
	}
	checkLine(t, "subject", message.Subject, subjectLimit)
	checkLine(t, "title", onlySubject.Title(notification), titleLimit)
	if (Style{Template: mustParse(t, "", "{{.Text}}", "")}).Title(notification) != Title(notification, English) {
		t.Error("a template without a subject changes the title")
	}
	if (Style{}).Render(notification) != built {
		t.Error("the zero style is not the built-in one")
	}
}

func TestTemplateEscapes(t *testing.T) {
	event := example(Fault)
	event.Name = `<b onclick="x">'&`
	event.RunbookURL = "https://wiki.example.com/?a=b&c=d"
	style := Style{Template: mustParse(t, "", "",
		`<h1 title="{{.Name}}">{{.Name}} {{.Name | html}} {{printf "%s" .Name}}</h1>{{$n := .Name}}{{if $n}}<i>{{$n}}</i>{{end}}`+
			`{{range .Names}}<u>{{.}}</u>{{end}}{{define "x"}}<s>{{.}}</s>{{end}}{{template "x" .Name}}<a href="{{.RunbookURL}}">x</a>{{.HTML}}`)}
	page := style.Render(Notification{Event: event}).HTML
	escaped := "&lt;b onclick=&#34;x&#34;&gt;&#39;&amp;"
	for _, want := range []string{
		`<h1 title="` + escaped + `">` + escaped + " " + escaped + " " + escaped + "</h1>",
		"<i>" + escaped + "</i>", "<u>" + escaped + "</u>", "<s>" + escaped + "</s>",
		`<a href="https://wiki.example.com/?a=b&amp;c=d">`,
		`<td bgcolor="#cf222e"`, "<!DOCTYPE html>\n<html lang=\"en\">", "</body></html>",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("does not hold %s:\n%s", want, page[:min(len(page), 1500)])
		}
	}
	if strings.Contains(page, "<b onclick") {
		t.Error("markup of the event got in")
	}
	whole := Style{Template: mustParse(t, "", "", "\n<html><body>{{.HTML}}</body></html>")}
	if page := whole.Render(Notification{Event: event}).HTML; strings.Count(page, "<body") != 1 {
		t.Errorf("a whole document was put into another: %s", page[:200])
	}
	for link, kept := range map[string]bool{"javascript:alert(1)": false, "https://wiki.example.com/x": true} {
		event.RunbookURL = link
		if page := style.Render(Notification{Event: event}).HTML; strings.Contains(page, link) != kept {
			t.Errorf("%s as a link in the page: %v", link, !kept)
		}
	}
}

// A template that fails for an event loses no message.
func TestTemplateFails(t *testing.T) {
	notification := stories()["flapping"]
	for _, test := range []struct {
		name, text, problem string
	}{
		{"an index", `{{if eq .Name "VI_1"}}{{index .Names 7}}{{end}}x`, "index out of range"},
		{"a loop", `{{if eq .Name "VI_1"}}{{range 1000000000}}{{end}}{{end}}x`, "it takes more than 200000 steps"},
		{"too much", `{{range .Events}}{{printf "%50000s" .Name}}{{end}}`, "it gives more than 131072 bytes"},
		{"nothing", `{{if ne .Name "VI_1"}}x{{else}}{{" "}}{{end}}`, "says nothing"},
	} {
		t.Run(test.name, func(t *testing.T) {
			template, err := ParseTemplate("{{.Subject}}", test.text, "")
			if err != nil {
				// What fails on the examples too is as good a template that fails.
				part, parseError := parsePart("text", test.text)
				if parseError != nil {
					t.Fatal(parseError)
				}
				template = &Template{text: part}
			}
			for _, language := range languages {
				style := Style{Language: language, Template: template}
				message, built := style.Render(notification), Render(notification, language)
				checkMessage(t, message, style.Title(notification))
				if message.Subject != built.Subject || len(message.Text) <= len(built.Text) {
					t.Errorf("not the built-in message: %s\n%s", message.Subject, message.Text)
				}
				words := strings.Join(strings.Fields(message.Text), " ")
				if !strings.Contains(words, test.problem) || !strings.Contains(message.HTML, test.problem) {
					t.Errorf("does not say %q:\n%s", test.problem, message.Text)
				}
			}
		})
	}
}

// A check that reads a configuration with templates pays for this at each start.
func BenchmarkParseTemplate(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseTemplate("[{{.State}}] {{join .Names \", \"}} on {{.Host}}", "{{.Text}}\n{{range .Events}}{{local .Time}} {{.State}}\n{{end}}", ""); err != nil {
			b.Fatal(err)
		}
	}
}

// FuzzParseTemplate gives any source: reading and trying it must end, without
// a panic and within the limits.
func FuzzParseTemplate(f *testing.F) {
	f.Add("{{.Subject}}", "{{.Text}}{{range .Events}}{{.Name}}{{end}}", "<p>{{.HTML}}</p>")
	f.Add("{{with .Verdict}}{{.Reason}}{{else}}x{{end}}", "{{define \"x\"}}{{template \"x\"}}{{end}}{{template \"x\"}}", "{{$x := .Name}}{{range $i, $e := .Latest}}{{break}}{{end}}{{$x}}")
	f.Add("", "{{range 9223372036854775807}}{{range 9223372036854775807}}{{end}}{{end}}", "{{/* c */}}{{- .Name -}}{{block \"b\" .}}{{.}}{{end}}")
	f.Add("{{call .Name}}", "{{slice .Name 1 2}}{{index .VIPs 0}}{{len .}}{{date \"15:04\" .Time}}", "{{if and .Resolved (not .Count)}}{{print nil}}{{end}}{{printf \"%*d\" 99999 1}}x")
	notification := stories()["states-differ"]
	f.Fuzz(func(t *testing.T, subject, text, html string) {
		template, err := ParseTemplate(subject, text, html)
		if err != nil {
			return
		}
		style := Style{Template: template}
		message := style.Render(notification)
		title := style.Title(notification)
		for _, line := range []string{message.Subject, title} {
			if line == "" || runes(line) > titleLimit || strings.ContainsAny(line, "\n\r\x00") {
				t.Errorf("%q", line)
			}
		}
		if len(message.Text) > 2*outputLimit || len(message.HTML) > 2*outputLimit {
			t.Errorf("%d bytes of text, %d of HTML", len(message.Text), len(message.HTML))
		}
	})
}
