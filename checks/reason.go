package checks

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxReason is the longest reason in bytes. It fits a syslog line and the
// first line of a mail, and a peer cannot fill a log with one answer.
const maxReason = 1000

// oneLine makes text that may come from a peer safe as a Reason: control
// characters, line breaks, bidirectional overrides and bytes that are no UTF-8
// are written as Go escapes, and what is longer than maxReason is cut and
// marked with "…".
func oneLine(text string) string { return oneLineMax(text, maxReason) }

// oneLineMax is oneLine with a limit in bytes, for a part of a reason.
func oneLineMax(text string, limit int) string {
	if len(text) <= limit && isPlain(text) {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		piece := text[i : i+size]
		switch {
		case r == utf8.RuneError && size == 1:
			piece = `\x` + hexByte(text[i])
		case !isShown(r):
			quoted := strconv.QuoteRuneToASCII(r)
			piece = quoted[1 : len(quoted)-1]
		}
		if b.Len()+len(piece) > limit {
			b.WriteString("…")
			break
		}
		b.WriteString(piece)
		i += size
	}
	return b.String()
}

// isPlain reports whether text is already safe. Reasons nearly always are.
func isPlain(text string) bool {
	for i := 0; i < len(text); i++ {
		if text[i] < ' ' || text[i] > '~' {
			return utf8.ValidString(text) && strings.IndexFunc(text, func(r rune) bool { return !isShown(r) }) < 0
		}
	}
	return true
}

// isShown reports whether a terminal and a mail show r as itself. Format
// characters (Cf) are refused because they can reorder or hide text.
func isShown(r rune) bool { return unicode.IsPrint(r) }

func hexByte(c byte) string {
	const digits = "0123456789abcdef"
	return string([]byte{digits[c>>4], digits[c&15]})
}
