package email

import (
	"encoding/base64"
	"fmt"
	"strings"
)

// maxLine is how long a header's line with an encoded word may be (RFC 2047,
// section 2), and maxWord how long such a word, in characters.
const (
	maxLine = 76
	maxWord = 75
)

// unstructured writes the value of a header of free text, folded: go-mail
// leaves the first line of a header empty whose first word is long, and every
// encoded word is.
func unstructured(name, text string) string {
	used := len(name) + len(": ")
	if ascii(text) && !strings.Contains(text, "=?") {
		var out strings.Builder
		for i, word := range strings.Fields(text) {
			switch {
			case i == 0:
			case used+1+len(word) > maxLine:
				out.WriteString("\r\n ")
				used = 1
			default:
				out.WriteByte(' ')
				used++
			}
			out.WriteString(word)
			used += len(word)
		}
		return out.String()
	}
	encode := quoted
	if mostlyWide(text) {
		encode = based
	}
	var lines []string
	var chunk []rune
	for _, r := range text {
		if longer := len(encode(string(append(chunk, r)))); len(chunk) > 0 && (longer > maxWord || used+longer > maxLine) {
			lines = append(lines, encode(string(chunk)))
			chunk, used = nil, 1
		}
		chunk = append(chunk, r)
	}
	if len(chunk) > 0 {
		lines = append(lines, encode(string(chunk)))
	}
	return strings.Join(lines, "\r\n ")
}

// ascii reports whether text has no other characters.
func ascii(text string) bool {
	for i := range len(text) {
		if text[i] >= 0x80 {
			return false
		}
	}
	return true
}

// based is an encoded word in base64.
func based(text string) string {
	return "=?UTF-8?B?" + base64.StdEncoding.EncodeToString([]byte(text)) + "?="
}

// quoted is an encoded word in which most of ASCII can be read.
func quoted(text string) string {
	var out strings.Builder
	out.WriteString("=?UTF-8?Q?")
	for i := range len(text) {
		switch c := text[i]; {
		case c == ' ':
			out.WriteByte('_')
		case c > ' ' && c <= '~' && c != '=' && c != '?' && c != '_':
			out.WriteByte(c)
		default:
			fmt.Fprintf(&out, "=%02X", c)
		}
	}
	return out.String() + "?="
}
