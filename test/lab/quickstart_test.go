//go:build lab

package lab

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"hacheck/notify"
)

// withoutHacheck is the keepalived.conf of a pair on which the quick start
// begins.
const withoutHacheck = `global_defs {
    router_id %s
    script_user root
    enable_script_security
}
vrrp_instance VI_1 {
    state BACKUP
    interface eth0
    virtual_router_id 51
    priority %d
    advert_int 1
    virtual_ipaddress {
        192.0.2.100/24
    }
}
`

// instruction is one fenced block of a page that somebody has to do something
// with.
type instruction struct {
	language string   // of the block
	file     string   // the file it is the content of, if any
	lines    []string // as they stand there
}

var fileNote = regexp.MustCompile(`^<!-- test: .*file=(\S+)`)

// instructions reads a page's blocks, section by section.
func instructions(page string) ([][]instruction, error) {
	data, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(page)))
	if err != nil {
		return nil, err
	}
	var sections [][]instruction
	var open *instruction
	var file string
	for line := range strings.Lines(string(data)) {
		line = strings.TrimRight(line, "\n")
		fence, isFence := strings.CutPrefix(line, "```")
		switch note := fileNote.FindStringSubmatch(line); {
		case isFence && open == nil:
			open = &instruction{language: fence, file: file}
			file = ""
		case isFence:
			if len(sections) == 0 {
				sections = append(sections, nil) // it stands before the first heading
			}
			last := &sections[len(sections)-1]
			*last = append(*last, *open)
			open = nil
		case open != nil:
			open.lines = append(open.lines, line)
		case note != nil:
			file = note[1]
		case strings.HasPrefix(line, "## "):
			sections = append(sections, nil)
		}
	}
	return sections, nil
}

// follow types a block on a node as it is written, in /root, and compares what
// a program says with what the page says it does: numbers may differ.
func (n *node) follow(ctx context.Context, t *testing.T, page string, i instruction) {
	t.Helper()
	text := strings.Join(i.lines, "\n") + "\n"
	typed := func(command string) string {
		done := n.run(ctx, "sh", "-c", "cd /root && "+command)
		if done.code != 0 {
			t.Errorf("%s: node %s: exit code %d of\n%s\n%s", page, n.name, done.code, command, done.text())
		}
		return done.text()
	}
	switch {
	case i.file != "":
		if err := n.write(i.file, n.adapted(text), 0o644); err != nil {
			t.Error(err)
		}
	case i.language == "sh" && strings.HasPrefix(text, "dnf "):
		// These nodes are Debian's.
	case i.language == "sh":
		typed("set -e\n" + text)
	case i.language == "console":
		var said string
		for _, line := range i.lines {
			if command, ok := strings.CutPrefix(line, "$ "); ok {
				said = typed(command)
				continue
			}
			if !saidLike(line).MatchString(said) {
				t.Errorf("%s: node %s says\n%s\nwant the line\n%s", page, n.name, said, line)
			}
		}
	default:
		t.Errorf("%s: nobody knows what to do with\n%s", page, text)
	}
}

// adapted are the lines that the page has an operator change on node b.
func (n *node) adapted(text string) string {
	if n.name == "b" {
		text = strings.NewReplacer("router_id lb-a", "router_id lb-b", "priority 110", "priority 100").Replace(text)
	}
	return text
}

// saidLike matches a line of a page: … is anything, and a number any other.
func saidLike(line string) *regexp.Regexp {
	pattern := regexp.QuoteMeta(line)
	pattern = strings.ReplaceAll(pattern, "…", ".*")
	pattern = regexp.MustCompile(`\d+`).ReplaceAllString(pattern, `\d+`)
	return regexp.MustCompile(`(?m)^` + pattern + `$`)
}

// followQuickStart does what the page says, on the backup node first, and lets
// the pair fail over as it says and by a killed HAProxy.
func (l *lab) followQuickStart(ctx context.Context, t *testing.T, c *configuration, deb, page string) {
	sections, err := instructions(page)
	if err != nil {
		t.Fatal(err)
	}
	if len(sections) != 5 {
		t.Fatalf("%s has %d sections, want 4 for each node and one for the pair", page, len(sections))
	}
	for i, n := range []*node{l.a, l.b} {
		if err := n.take(deb, "/root/"+filepath.Base(deb)); err != nil {
			t.Fatal(err)
		}
		if err := n.write("/etc/keepalived/keepalived.conf", fmt.Sprintf(withoutHacheck, "lb-"+n.name, 110-10*i), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := n.script(ctx, "systemctl start keepalived"); err != nil {
			t.Fatal(err)
		}
	}
	vips := c.vips()
	atA := func() bool { return l.a.vips.count(vips) == len(vips) && l.b.vips.count(vips) == 0 }
	if err := waitFor(ctx, 15*time.Second, "the VIP on node a", atA); err != nil {
		t.Fatal(err)
	}
	mark := time.Now()
	for _, n := range []*node{l.b, l.a} {
		for _, section := range sections[:4] {
			for _, i := range section {
				n.follow(ctx, t, page, i)
			}
		}
	}
	if t.Failed() {
		return
	}
	if err := l.unmoved(ctx, c, mark, 5*time.Second); err != nil {
		t.Error(err)
	}
	l.step(ctx, t, c, "fail over as "+page+" says", func(t *testing.T, row *row) {
		mark := time.Now()
		for i, instruction := range sections[4] {
			l.a.follow(ctx, t, page, instruction)
			if i == 0 {
				if err := l.atB(ctx, c, mark, c.detection()+c.failover(), row); err != nil {
					t.Fatal(err)
				}
				row.mails = l.told(ctx, t, c, mark, []transition{
					{node: l.a, state: notify.Fault, times: 1, status: "FAIL"},
					{node: l.b, state: notify.Master, times: 1, status: "PASS"},
				}, nil)
			}
		}
		if err := waitFor(ctx, 15*time.Second, "the VIP to return to node a", atA); err != nil {
			t.Error(err)
		}
	})
	l.step(ctx, t, c, "haproxy killed after "+page, func(t *testing.T, row *row) {
		mark := time.Now()
		if err := l.a.script(ctx, killHAProxy); err != nil {
			t.Fatal(err)
		}
		if err := l.atB(ctx, c, mark, c.detection()+c.failover(), row); err != nil {
			t.Fatal(err)
		}
		for _, n := range l.nodes() {
			err := waitFor(ctx, time.Minute, "a mail of node "+n.name+" about it", func() bool {
				for _, mail := range l.receivers.mailsSince(mark) {
					if mail.peer == n.address && strings.Contains(mail.text, vips[0].String()) {
						row.mails++
						row.note = mail.subject
						return true
					}
				}
				return false
			})
			if err != nil {
				t.Error(err)
			}
		}
		if err := l.a.script(ctx, startHAProxy); err != nil {
			t.Error(err)
		}
	})
}

// looks are the commands of the pages that only look, at things which only a
// booted node has: test/docs types the others.
var looks = regexp.MustCompile(`^(?:\$ )?((?:journalctl|systemctl (?:status|cat|show|list-\S+)) .*)$`)

// typeLooks types them, from every page of a language, on node a.
func (l *lab) typeLooks(ctx context.Context, t *testing.T, folder string) {
	t.Helper()
	pages, err := filepath.Glob(filepath.Join("..", "..", filepath.FromSlash(folder), "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	typed := 0
	for _, path := range pages {
		page := folder + "/" + filepath.Base(path)
		sections, err := instructions(page)
		if err != nil {
			t.Error(err)
		}
		for _, section := range sections {
			for _, i := range section {
				for _, line := range i.lines {
					command := looks.FindStringSubmatch(line)
					if command == nil || i.language != "sh" && i.language != "console" {
						continue
					}
					typed++
					if done := l.a.run(ctx, "sh", "-c", command[1]); done.code != 0 || done.stdout == "" {
						t.Errorf("%s: node a: exit code %d of %q: %s", page, done.code, command[1], done.text())
					}
				}
			}
		}
	}
	if typed < 4 {
		t.Errorf("%s has only %d commands that look at a booted node", folder, typed)
	}
}
