package webhook

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode"
	"unicode/utf8"
)

// encode writes a body. Unlike json.Marshal it leaves <, > and & as they are:
// no receiver puts a body into a page, and a person may read it in a preview.
func encode(value any) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// onePost makes the only post of what most receivers get.
func onePost(body any) ([]post, error) {
	encoded, err := encode(body)
	return []post{{body: encoded}}, err
}

// cutMark tells that the end of a text is missing.
const cutMark = "…"

// The measures that vendors limit texts by. Each is that of one character, of
// which a text is the sum.
type measure func(rune) int

// octets counts the bytes of UTF-8.
func octets(r rune) int { return len(string(r)) }

// characters counts what Unicode calls so.
func characters(rune) int { return 1 }

// units counts those of UTF-16. Services that do not say what they call a
// character mean these or fewer.
func units(r rune) int {
	if r > 0xffff {
		return 2
	}
	return 1
}

// jsonOctets counts the bytes within a JSON string, as encode writes it.
func jsonOctets(r rune) int {
	switch {
	case r == '"', r == '\\', r == '\n', r == '\r', r == '\t', r == '\b', r == '\f':
		return 2
	case r < ' ', r == '\u2028', r == '\u2029':
		return 6
	}
	return octets(r)
}

// cut shortens a text to a limit, behind a whole character and with a mark.
// Messages have the most important first.
func cut(text string, limit int, size measure) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	mark := total(cutMark, size)
	used, end := 0, 0 // end is behind what still leaves room for the mark
	for i, r := range text {
		if used += size(r); used > limit {
			return strings.TrimRightFunc(text[:end], unicode.IsSpace) + cutMark
		}
		if used+mark <= limit {
			end = i + utf8.RuneLen(r)
		}
	}
	return text
}

// total is the size of a text.
func total(text string, size measure) int {
	sum := 0
	for _, r := range text {
		sum += size(r)
	}
	return sum
}

// fenced puts a text between the fences of a block of code, in which nothing
// else has a meaning, if it is within limit with them.
func fenced(text string, limit int, size measure) string {
	const fence = "```"
	text = strings.ReplaceAll(strings.TrimRight(text, "\n"), fence, "'''")
	around := total(fence+"\n\n"+fence, size)
	return fence + "\n" + cut(text, limit-around, size) + "\n" + fence
}

// indented replaces the blanks at the beginning of a line by ones that are
// shown there, too.
func indented(line string) string {
	rest := strings.TrimLeft(line, " ")
	return strings.Repeat(indent, len(line)-len(rest)) + rest
}

const indent = "\u00a0"

// unmarked makes a text safe in the dialects of Markdown that know no way to
// escape, as those of DingTalk and WeCom do: what could begin a link, a mention
// or a format is replaced by its full-width sibling, which a reader takes for
// the same. Blanks at the beginning of a line and its bullets are kept from
// being taken for blocks. "VI_1" stays as it is: within a word '_' means
// nothing.
func unmarked(text string) string {
	var b strings.Builder
	text = strings.TrimRight(strings.ToValidUTF8(text, "\uFFFD"), "\n")
	for i, line := range strings.Split(text, "\n") {
		if i > 0 {
			b.WriteByte('\n')
		}
		if begins(line) {
			b.WriteString(indent)
		}
		line = indented(line)
		var last rune
		for j, r := range line {
			b.WriteRune(fullWidth(last, r, line[j+utf8.RuneLen(r):]))
			last = r
		}
	}
	return b.String()
}

// begins reports whether Markdown could take a line for the beginning of a
// heading, a quotation, a list, a rule or the underline of a heading.
func begins(line string) bool {
	if line == "" {
		return false
	}
	if strings.ContainsRune("#>-+=", rune(line[0])) {
		return true
	}
	behind := strings.TrimLeft(line, "0123456789")
	return len(behind) < len(line) && behind != "" && (behind[0] == '.' || behind[0] == ')')
}

// fullWidth replaces a character that has a meaning in Markdown before rest. A
// bracket has one only where a target can follow it: "[FAULT]" stays.
func fullWidth(last, r rune, rest string) rune {
	word := func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }
	switch r {
	case '<', '>', '*', '`', '~', '\\', '@':
	case ']':
		if target := strings.TrimLeft(rest, " "); target == "" || !strings.ContainsRune("([:", rune(target[0])) {
			return r
		}
	case '_':
		if next, _ := utf8.DecodeRuneInString(rest); word(last) && word(next) {
			return r
		}
	case '&':
		if !strings.HasPrefix(rest, "#") {
			return r
		}
	default:
		return r
	}
	return r - '!' + '！'
}
