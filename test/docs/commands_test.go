package docs

import (
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"hacheck/notify/journal"
)

// notTyped are the programs that cannot run here, why, and what is looked at
// instead of the answer.
var notTyped = map[string]struct {
	reason string
	check  func(t *testing.T, words []string) error
}{
	"apt": {"packages are installed in the tests of the packages", packageNames},
	"dnf": {"packages are installed in the tests of the packages", packageNames},
	"systemctl": {"no systemd runs here", func(t *testing.T, words []string) error {
		for _, word := range words[1:] {
			name, _, _ := strings.Cut(word, ".")
			switch {
			case strings.HasPrefix(word, "-"), name == "keepalived", name == "haproxy",
				word == "status", word == "reload", word == "restart", word == "start", word == "edit", word == "enable", word == "daemon-reload":
			default:
				if !exists(t, "packaging/systemd/"+word) {
					return fmt.Errorf("the package has no unit %s", word)
				}
			}
		}
		return nil
	}},
	"journalctl": {"no journald runs here", func(_ *testing.T, words []string) error {
		for i, word := range words {
			if word == "-t" && (i+1 == len(words) || words[i+1] != journal.Identifier) {
				return fmt.Errorf("entries are under %s", journal.Identifier)
			}
		}
		return nil
	}},
	"ansible-playbook": {"there are no hosts; the playbook's syntax is checked where it is shown", nil},
	"tcpdump":          {"no VRRP is spoken here", nil},
	"arping":           {"no other node is here", nil},
	"ausearch":         {"SELinux is not on here", nil},
	"restorecon":       {"SELinux is not on here", nil},
	"make":             {"these are the targets of the repository", makeTarget},
	"go":               {"it is how the tests themselves are run", nil},
}

// packageNames checks that a pattern of a file fits what the release build makes.
func packageNames(_ *testing.T, words []string) error {
	for _, word := range words {
		if !strings.HasPrefix(word, "./") {
			continue
		}
		fits := false
		for _, name := range []string{"hacheck_1.0.0-1_amd64.deb", "hacheck_1.0.0-1_arm64.deb", "hacheck-1.0.0-1.x86_64.rpm"} {
			matched, err := path.Match(strings.TrimPrefix(word, "./"), name)
			if err != nil {
				return err
			}
			fits = fits || matched
		}
		if !fits {
			return fmt.Errorf("%s fits no package", word)
		}
	}
	return nil
}

func makeTarget(t *testing.T, words []string) error {
	makefile := read(t, "Makefile")
	for _, word := range words[1:] {
		if !strings.Contains(word, "=") && !strings.Contains(makefile, "\n"+word+":") {
			return fmt.Errorf("the Makefile has no target %s", word)
		}
	}
	return nil
}

// session is a command line with what it is shown to print.
type session struct {
	line    int
	command string
	output  []string
	shown   bool // whether output is part of the page
}

// sessions gives the command lines of a block.
func (b block) sessions() []session {
	var all []session
	lines := strings.Split(strings.TrimRight(b.text, "\n"), "\n")
	for i := 0; i < len(lines); i++ {
		line, at := lines[i], b.line+i+1
		if b.lang == "console" {
			command, ok := strings.CutPrefix(line, "$ ")
			if !ok {
				if len(all) > 0 {
					all[len(all)-1].output = append(all[len(all)-1].output, line)
				}
				continue
			}
			line = command
		}
		for strings.HasSuffix(line, `\`) && i+1 < len(lines) {
			i++
			line += "\n" + lines[i]
		}
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			all = append(all, session{line: at, command: line, shown: b.lang == "console"})
		}
	}
	return all
}

// TestCommands types every command of every page, in the order of the page, and
// compares what it prints where the page shows that.
func TestCommands(t *testing.T) {
	typed := 0
	for _, p := range pages(t) {
		t.Run(p.path, func(t *testing.T) {
			if !p.hasCommands() {
				return
			}
			n := newNode(t)
			for _, b := range p.blocks {
				if path := b.notes["file"]; strings.HasPrefix(path, "/") {
					write(t, path, b.text)
				}
				if state := b.notes["state"]; state != "" {
					n.setState(t, state)
				}
				switch b.lang {
				case "sh", "console":
					for _, s := range b.sessions() {
						typed += n.try(t, p, b, s)
					}
				case "": // indented: the README's way
					for _, s := range b.sessions() {
						if strings.HasPrefix(s.command, "hacheck ") {
							typed += n.tryUsage(t, p, s)
						}
					}
				}
			}
		})
	}
	if typed < 90 {
		t.Errorf("only %d commands were typed", typed)
	}
}

func (p *page) hasCommands() bool {
	for _, b := range p.blocks {
		if b.lang == "sh" || b.lang == "console" || b.lang == "" {
			return true
		}
	}
	return false
}

// try types one command, if it can be typed here.
func (n *node) try(t *testing.T, p *page, b block, s session) int {
	t.Helper()
	words := strings.Fields(commentPattern.ReplaceAllString(s.command, ""))
	if instead, ok := notTyped[words[0]]; ok {
		if instead.check != nil {
			if err := instead.check(t, words); err != nil {
				t.Errorf("%s:%d: %s: %v", p.path, s.line, s.command, err)
			}
		}
		return 0
	}
	want := 0
	if text := b.notes["exit"]; text != "" {
		var err error
		if want, err = strconv.Atoi(text); err != nil {
			t.Fatalf("%s:%d: %v", p.path, b.line, err)
		}
	}
	output, code := n.typed(t, s.command)
	if code != want {
		t.Errorf("%s:%d: %s: exit code %d instead of %d:\n%s", p.path, s.line, s.command, code, want, output)
	}
	if s.shown && !pattern(s.output).MatchString(strings.TrimRight(output, "\n")) {
		t.Errorf("%s:%d: %s prints\n%s\ninstead of\n%s", p.path, s.line, s.command, output, strings.Join(s.output, "\n"))
	}
	return 1
}

// tryUsage types a command of which only the usage is known to be right.
func (n *node) tryUsage(t *testing.T, p *page, s session) int {
	t.Helper()
	if output, code := n.typed(t, s.command); code == 2 {
		t.Errorf("%s:%d: %s is wrong usage:\n%s", p.path, s.line, s.command, output)
	}
	return 1
}

// pattern makes a pattern of what a page shows: … stands for anything within a
// line, and on a line of its own for any lines.
func pattern(lines []string) *regexp.Regexp {
	text := regexp.QuoteMeta(strings.TrimRight(strings.Join(lines, "\n"), "\n"))
	text = regexp.MustCompile(`(?m)^…$`).ReplaceAllString(text, "(?s:.*)")
	return regexp.MustCompile(`\A` + strings.ReplaceAll(text, "…", ".*") + `\z`)
}
