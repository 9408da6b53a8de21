package docs

import (
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Every relative link leads to a file and, where it names one, to a heading.
// What is elsewhere is looked at for its form only.
func TestLinks(t *testing.T) {
	top := repository(t)
	all := pages(t)
	byPath := map[string]*page{}
	for _, p := range all {
		byPath[p.path] = p
	}
	seen := 0
	for _, p := range all {
		for _, l := range p.links {
			seen++
			target, err := url.Parse(l.target)
			switch {
			case err != nil:
				t.Errorf("%s:%d: %q is no link: %v", p.path, l.line, l.target, err)
				continue
			case target.Scheme != "":
				if target.Scheme != "https" || target.Host == "" {
					t.Errorf("%s:%d: %q does not begin with https://", p.path, l.line, l.target)
				}
				continue
			}
			path := p.path
			if target.Path != "" {
				path = filepath.Join(filepath.Dir(p.path), target.Path)
			}
			if _, err := os.Stat(filepath.Join(top, path)); err != nil {
				t.Errorf("%s:%d: %q leads nowhere: %v", p.path, l.line, l.target, err)
				continue
			}
			if target.Fragment == "" {
				continue
			}
			if led, ok := byPath[path]; !ok || !led.anchors()[target.Fragment] {
				t.Errorf("%s:%d: %s has no heading #%s", p.path, l.line, path, target.Fragment)
			}
		}
	}
	if seen < 40 {
		t.Errorf("only %d links were found", seen)
	}
}

// The Chinese pages are the English ones: the same files with as many headings,
// the same commands and the same configurations. Comments may be translated.
func TestChinesePagesMatch(t *testing.T) {
	byPath := map[string]*page{}
	for _, p := range pages(t) {
		if strings.HasPrefix(p.path, "docs/") {
			byPath[p.path] = p
		}
	}
	if len(byPath) < 20 {
		t.Errorf("only %d pages were found", len(byPath))
	}
	for path, p := range byPath {
		name, chinese := strings.CutPrefix(path, "docs/zh-CN/")
		other := filepath.Join("docs/zh-CN", strings.TrimPrefix(path, "docs/"))
		if chinese {
			other = "docs/" + name
		}
		same, ok := byPath[other]
		if !ok {
			t.Errorf("%s has no counterpart %s", path, other)
			continue
		}
		if chinese {
			continue
		}
		if len(p.headings) != len(same.headings) {
			t.Errorf("%s has %d headings, %s has %d", path, len(p.headings), other, len(same.headings))
		}
		mine, theirs := codeOf(p), codeOf(same)
		if !slices.Equal(mine, theirs) {
			t.Errorf("the code in %s and %s differs:\n%q\n%q", path, other, mine, theirs)
		}
	}
}

var commentPattern = regexp.MustCompile(`(?m)(^|\s)#.*$`)

// codeOf gives a page's blocks without comments; what a drawing says may differ.
func codeOf(p *page) []string {
	var code []string
	for _, b := range p.blocks {
		if b.lang == "text" || b.lang == "mermaid" {
			continue
		}
		text := strings.Join(strings.Fields(commentPattern.ReplaceAllString(b.text, "")), " ")
		text = strings.ReplaceAll(text, "language: zh-CN", "language: en")
		code = append(code, b.lang+": "+text)
	}
	return code
}
