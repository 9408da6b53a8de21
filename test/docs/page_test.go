package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

// page is a Markdown file.
type page struct {
	// path is relative to the top of the repository.
	path     string
	headings []string
	links    []link
	blocks   []block
	// rows are the lines of its tables, by cells.
	rows []row
}

type link struct {
	line   int
	target string
}

type row struct {
	line  int
	cells []string
}

// block is a fenced block of code, or an indented one, which has no language.
type block struct {
	line int
	lang string
	text string
	// notes are the words of an HTML comment "test: …" right before it, as in
	// <!-- test: exit=1 state=backends-dead -->.
	notes map[string]string
}

var (
	linkPattern = regexp.MustCompile(`\[[^\]]*\]\(([^)\s]+)\)`)
	notePattern = regexp.MustCompile(`^<!-- test: (.*) -->$`)
)

// readPage reads as much of Markdown as the documentation uses.
func readPage(t *testing.T, top, path string) *page {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(top, path))
	if err != nil {
		t.Fatal(err)
	}
	p := &page{path: path}
	lines := strings.Split(string(content), "\n")
	notes := map[string]string{}
	for i := 0; i < len(lines); i++ {
		line := strings.TrimRight(lines[i], " ")
		switch trimmed := strings.TrimSpace(line); {
		case strings.HasPrefix(trimmed, "```"):
			indent := line[:strings.Index(line, "```")]
			code := block{line: i + 1, lang: strings.TrimPrefix(trimmed, "```"), notes: notes}
			notes = map[string]string{}
			var text []string
			for i++; i < len(lines) && strings.TrimSpace(lines[i]) != "```"; i++ {
				text = append(text, strings.TrimPrefix(lines[i], indent))
			}
			if i == len(lines) {
				t.Fatalf("%s:%d: the block has no end", path, code.line)
			}
			code.text = strings.Join(text, "\n") + "\n"
			p.blocks = append(p.blocks, code)
		case strings.HasPrefix(line, "    ") && (i == 0 || strings.TrimSpace(lines[i-1]) == ""):
			code := block{line: i + 1, notes: map[string]string{}}
			for ; i < len(lines) && (strings.HasPrefix(lines[i], "    ") || strings.TrimSpace(lines[i]) == ""); i++ {
				code.text += strings.TrimPrefix(lines[i], "    ") + "\n"
			}
			i--
			p.blocks = append(p.blocks, code)
		case notePattern.MatchString(trimmed):
			for _, note := range strings.Fields(notePattern.FindStringSubmatch(trimmed)[1]) {
				key, value, _ := strings.Cut(note, "=")
				notes[key] = value
			}
		default:
			if strings.HasPrefix(line, "#") {
				p.headings = append(p.headings, strings.TrimSpace(strings.TrimLeft(line, "#")))
			}
			if strings.HasPrefix(line, "|") {
				cells := splitRow(line)
				p.rows = append(p.rows, row{i + 1, cells})
			}
			for _, found := range linkPattern.FindAllStringSubmatch(line, -1) {
				p.links = append(p.links, link{i + 1, found[1]})
			}
		}
	}
	return p
}

// splitRow gives the cells of a line of a table; a bar within one is escaped.
func splitRow(line string) []string {
	const bar = "\x00"
	line = strings.Trim(strings.TrimSpace(strings.ReplaceAll(line, `\|`, bar)), "|")
	cells := strings.Split(line, "|")
	for i, cell := range cells {
		cells[i] = strings.TrimSpace(strings.ReplaceAll(cell, bar, "|"))
	}
	return cells
}

// table gives the rows below the header with that first cell.
func (p *page) table(t *testing.T, header string) []row {
	t.Helper()
	for i, found := range p.rows {
		if found.cells[0] != header {
			continue
		}
		var rows []row
		for next := i + 2; next < len(p.rows) && p.rows[next].line == p.rows[next-1].line+1; next++ {
			rows = append(rows, p.rows[next])
		}
		return rows
	}
	t.Fatalf("%s has no table that begins with %q", p.path, header)
	return nil
}

// anchors are the fragments the page's headings have on GitHub.
func (p *page) anchors() map[string]bool {
	anchors := map[string]bool{}
	for _, heading := range p.headings {
		var anchor strings.Builder
		for _, r := range strings.ToLower(heading) {
			switch {
			case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
				anchor.WriteRune(r)
			case r == ' ':
				anchor.WriteRune('-')
			}
		}
		anchors[anchor.String()] = true
	}
	return anchors
}

// pages gives every Markdown file people read.
func pages(t *testing.T) []*page {
	t.Helper()
	top := repository(t)
	var found []*page
	err := filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		switch name := entry.Name(); {
		case entry.IsDir() && (strings.HasPrefix(name, ".") || name == "testdata" || name == "dist" || name == "build"):
			return filepath.SkipDir
		case strings.HasSuffix(name, ".md") && name != "CHANGELOG.md":
			relative, err := filepath.Rel(top, path)
			if err != nil {
				return err
			}
			found = append(found, readPage(t, top, relative))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func itoa(n int) string { return strconv.Itoa(n) }

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(repository(t), path))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func exists(t *testing.T, path string) bool {
	t.Helper()
	_, err := os.Stat(filepath.Join(repository(t), path))
	return err == nil
}
