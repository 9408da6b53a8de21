// Package manual writes hacheck's man pages from what the program itself is made
// of: the commands and their flags, and the settings of the configuration file.
package manual

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"hacheck/config"
)

// Page is one man page in man(7)'s language.
type Page struct {
	// File is its name with the section, as in "hacheck-deliver.1".
	File string
	Text []byte
}

// Commands gives a page for the root command and for each command below it. The
// date stands at the foot of the pages; a zero one is left out.
func Commands(root *cobra.Command, date time.Time) []Page {
	root.InitDefaultCompletionCmd()
	var pages []Page
	var visit func(*cobra.Command)
	visit = func(command *cobra.Command) {
		if command.Hidden || command.Name() == "help" {
			return
		}
		pages = append(pages, commandPage(command, date))
		for _, child := range command.Commands() {
			visit(child)
		}
	}
	visit(root)
	return pages
}

func commandPage(command *cobra.Command, date time.Time) Page {
	root := command.Root()
	name := pageName(command)
	w := newPage(name, "1", date)
	w.section("NAME")
	w.line(roff(name) + ` \- ` + roff(command.Short))
	w.section("SYNOPSIS")
	w.line(".B " + roff(command.UseLine()))
	description, exit, coded := strings.Cut(long(command), "Exit codes:\n")
	w.section("DESCRIPTION")
	w.prose(description)
	if command.HasAvailableLocalFlags() {
		w.section("OPTIONS")
		w.options(command.LocalNonPersistentFlags())
		w.options(command.PersistentFlags())
	}
	if command != root {
		w.line(".PP")
		w.line(`The options of every command are in \fBhacheck\fR(1).`)
	}
	if children := available(command); len(children) > 0 {
		w.section("COMMANDS")
		for _, child := range children {
			w.item(`\fB`+roff(pageName(child))+`\fR(1)`, roff(child.Short)+".")
		}
	}
	if command.Example != "" {
		w.section("EXAMPLES")
		w.verbatim(command.Example)
	}
	if coded {
		w.section("EXIT STATUS")
		for line := range strings.Lines(exit) {
			code, meaning, _ := strings.Cut(strings.TrimSpace(line), "  ")
			w.item(`\fB`+roff(code)+`\fR`, roff(strings.TrimSpace(meaning)))
		}
	}
	if command == root {
		w.section("FILES")
		for _, file := range [...][2]string{
			{config.DefaultPath, "The configuration; it may be absent. See \\fBhacheck.yaml\\fR(5)."},
			{config.DefaultStateDir, "Events that wait for delivery, and those that were given up."},
			{config.DefaultRunDir, "The last verdict of every check."},
		} {
			w.item(`\fI`+roff(file[0])+`\fR`, file[1])
		}
	}
	w.section("SEE ALSO")
	var also []string
	if command != root {
		also = append(also, "hacheck(1)")
	}
	if parent := command.Parent(); parent != nil && parent != root {
		also = append(also, pageName(parent)+"(1)")
	}
	w.seeAlso(append(also, "hacheck.yaml(5)", "keepalived.conf(5)", "haproxy(1)"))
	return w.page(name + ".1")
}

// pageName is the command's name as its page has it: "hacheck-config-check".
func pageName(command *cobra.Command) string {
	return strings.ReplaceAll(command.CommandPath(), " ", "-")
}

// long is the command's long description, or the short one as a sentence.
func long(command *cobra.Command) string {
	if command.Long != "" {
		return command.Long
	}
	return command.Short + "."
}

func available(command *cobra.Command) []*cobra.Command {
	var children []*cobra.Command
	for _, child := range command.Commands() {
		if !child.Hidden && child.Name() != "help" {
			children = append(children, child)
		}
	}
	return children
}

// Configuration gives the page of hacheck.yaml.
func Configuration(sections []config.Section, date time.Time) Page {
	w := newPage("hacheck.yaml", "5", date)
	w.section("NAME")
	w.line(`hacheck.yaml \- configuration of hacheck`)
	w.section("SYNOPSIS")
	w.line(`.I ` + roff(config.DefaultPath))
	w.section("DESCRIPTION")
	w.prose(`The file and everything in it is optional; without it the defaults below are in force. It is YAML. Durations carry a unit: 900ms, 1.5s, 2h30m. An unknown key is a mistake.

The file is read anew by every run. 'hacheck config check' reports every mistake with its line and column, 'hacheck config show' prints what is in force.

Passwords, keys and URLs with a token are in files of their own, which the settings ending in _file name, or in systemd credentials.`)
	for _, section := range sections {
		w.section(strings.ToUpper(sectionTitle(section)))
		if section.Doc != "" {
			w.line(roff(sentence(section.Doc)))
		}
		for _, setting := range section.Settings {
			w.item(`\fB`+roff(setting.Key)+`\fR: `+`\fI`+roff(kindOf(setting))+`\fR`, roff(describe(setting)))
		}
	}
	w.section("FILES")
	w.item(`\fI/usr/share/doc/hacheck/examples\fR`, "Configurations of keepalived that use hacheck.")
	w.section("SEE ALSO")
	w.seeAlso([]string{"hacheck(1)", "hacheck-config-check(1)", "keepalived.conf(5)", "systemd.exec(5)"})
	return w.page("hacheck.yaml.5")
}

func sectionTitle(section config.Section) string {
	title := section.Path
	if title == "" {
		title = "top level"
	}
	if section.Type != "" {
		title += " of type " + section.Type
	}
	return title
}

func kindOf(setting config.Setting) string {
	kind := setting.Type
	if setting.Range != "" {
		kind += ", " + setting.Range
	}
	if len(setting.Choices) > 0 {
		kind += ": " + strings.Join(setting.Choices, ", ")
	}
	return kind
}

func describe(setting config.Setting) string {
	text := sentence(setting.Doc)
	if setting.Default != "" {
		text += " Default: " + setting.Default + "."
	}
	if setting.Secret {
		text += " It may hold a secret and is never shown."
	}
	return text
}

// sentence begins a few words with a capital, unless they begin with the name of
// a file, and ends them with a full stop.
func sentence(words string) string {
	if words == "" {
		return ""
	}
	words = strings.TrimSuffix(words, ".") + "."
	if first, _, _ := strings.Cut(words, " "); strings.Contains(strings.TrimSuffix(first, "."), ".") {
		return words
	}
	return strings.ToUpper(words[:1]) + words[1:]
}

// writer writes one page.
type writer struct{ out bytes.Buffer }

func newPage(name, section string, date time.Time) *writer {
	w := &writer{}
	day := ""
	if !date.IsZero() {
		day = date.UTC().Format(time.DateOnly)
	}
	w.line(fmt.Sprintf(`.TH "%s" "%s" "%s" "hacheck" "hacheck manual"`, roff(strings.ToUpper(name)), section, day))
	// Commands are long words: neither broken nor spread over the line.
	w.line(".nh")
	w.line(".ad l")
	return w
}

func (w *writer) page(file string) Page { return Page{File: file, Text: w.out.Bytes()} }

func (w *writer) line(text string) {
	w.out.WriteString(text)
	w.out.WriteByte('\n')
}

func (w *writer) section(title string) { w.line(`.SH "` + roff(title) + `"`) }

// item is a term with its explanation.
func (w *writer) item(term, text string) {
	w.line(".TP")
	w.line(term)
	w.line(text)
}

// prose writes paragraphs; one that is indented stands as it is.
func (w *writer) prose(text string) {
	for paragraph := range strings.SplitSeq(strings.Trim(text, "\n"), "\n\n") {
		paragraph = strings.Trim(paragraph, "\n")
		if paragraph == "" {
			continue
		}
		head, shown, both := strings.Cut(paragraph, ":\n  ")
		switch {
		case strings.HasPrefix(paragraph, "  "):
			w.verbatim(paragraph)
		case both:
			w.line(".PP")
			w.line(roff(head + ":"))
			w.verbatim("  " + shown)
		default:
			w.line(".PP")
			for line := range strings.Lines(paragraph) {
				w.line(roff(strings.TrimSpace(line)))
			}
		}
	}
}

// verbatim writes lines as they are, less the indentation they share.
func (w *writer) verbatim(text string) {
	lines := strings.Split(strings.Trim(text, "\n"), "\n")
	indent := -1
	for _, line := range lines {
		if words := strings.TrimLeft(line, " "); words != "" && (indent < 0 || len(line)-len(words) < indent) {
			indent = len(line) - len(words)
		}
	}
	w.line(".PP")
	w.line(".RS 4")
	w.line(".nf")
	for _, line := range lines {
		w.line(roff(line[min(max(indent, 0), len(line)):]))
	}
	w.line(".fi")
	w.line(".RE")
}

func (w *writer) options(flags *pflag.FlagSet) {
	flags.VisitAll(func(flag *pflag.Flag) {
		if flag.Hidden || flag.Name == "help" {
			return
		}
		value, usage := pflag.UnquoteUsage(flag)
		term := `\fB` + roff("--"+flag.Name) + `\fR`
		if flag.Shorthand != "" {
			term = `\fB` + roff("-"+flag.Shorthand) + `\fR, ` + term
		}
		if value != "" {
			term += ` \fI` + roff(value) + `\fR`
		}
		switch flag.DefValue {
		case "", "0", "0s", "false", "[]":
		default:
			usage += " (default " + flag.DefValue + ")"
		}
		w.item(term, roff(usage))
	})
}

func (w *writer) seeAlso(pages []string) {
	for i, page := range pages {
		name, section, _ := strings.Cut(page, "(")
		end := ","
		if i == len(pages)-1 {
			end = ""
		}
		w.line(".BR " + roff(name) + " (" + section + end)
	}
}

// roff makes text that man(7) shows as it stands: an unescaped hyphen becomes a
// typographic one, which cannot be pasted into a shell, and a line that begins
// with a dot or a quote is a request.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, `"`, `\(dq`, "'", `\(aq`).Replace(text)
	if strings.HasPrefix(text, ".") {
		text = `\&` + text
	}
	return text
}
