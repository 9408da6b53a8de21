package checks

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestOneLine(t *testing.T) {
	for text, want := range map[string]string{
		"":                           "",
		"plain text: 1/2 (é, 主)":     "plain text: 1/2 (é, 主)",
		"a\nb\r\nc\td\x00":           `a\nb\r\nc\td\x00`,
		"\x1b[31mred\x1b[0m":         `\x1b[31mred\x1b[0m`,
		"bad \xff\xfe utf-8":         `bad \xff\xfe utf-8`,
		"\u202eright to left\u2028x": `\u202eright to left\u2028x`,
		"\u0085":                     `\u0085`,
		strings.Repeat("x", 1000):    strings.Repeat("x", 1000),
		strings.Repeat("x", 1001):    strings.Repeat("x", 1000) + "…",
		strings.Repeat("主", 400):     strings.Repeat("主", 333) + "…",
	} {
		if got := oneLine(text); got != want {
			t.Errorf("oneLine(%q) = %q, want %q", text, got, want)
		}
	}
}

func FuzzOneLine(f *testing.F) {
	for _, seed := range []string{"plain", "a\nb", "\xff", "\u202e", "主", "\x1b]0;x\a"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		line := oneLine(text)
		if !utf8.ValidString(line) || strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("%q gives %q", text, line)
		}
		if len(line) > maxReason+len("…") {
			t.Errorf("%q gives %d bytes", text, len(line))
		}
		if again := oneLine(line); len(line) <= maxReason && again != line {
			t.Errorf("%q gives %q, and that %q", text, line, again)
		}
	})
}
