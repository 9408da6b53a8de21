package keepalived

import (
	"errors"
	"strings"
)

// blanks separate words, as in keepalived's lib/parser.c.
const blanks = " \t\f\n\r\v"

// errQuote is returned for a quote that is never closed.
var errQuote = errors.New("a quote is not closed")

// errEscape is returned for a backslash with nothing behind it.
var errEscape = errors.New("nothing follows the last backslash")

// appendWords splits a line on blanks; "…" is one word without its quotes. A
// quote also ends a word, so ab"cd" is two. After an unclosed quote the words
// before it are returned with errQuote, which is what keepalived goes on with.
func appendWords(words []string, line string) ([]string, error) {
	for {
		line = strings.TrimLeft(line, blanks)
		if line == "" {
			return words, nil
		}
		if line[0] == '"' {
			end := strings.IndexByte(line[1:], '"')
			if end < 0 {
				return words, errQuote
			}
			words = append(words, line[1:1+end])
			line = line[end+2:]
			continue
		}
		end := strings.IndexAny(line, blanks+`"`)
		if end < 0 {
			end = len(line)
		}
		words = append(words, line[:end])
		line = line[end:]
	}
}

// commandWords splits the text of a script or notify line, where keepalived
// also takes '…' and backslash escapes, and joins what touches: a'b c'd is one
// word.
func commandWords(text string) ([]string, error) {
	var words []string
	var word strings.Builder
	for {
		text = strings.TrimLeft(text, blanks)
		if text == "" {
			return words, nil
		}
		word.Reset()
		quote := byte(0)
	scan:
		for {
			if text == "" {
				if quote != 0 {
					return nil, errQuote
				}
				break
			}
			char := text[0]
			switch {
			case char == '\\':
				escaped, rest, err := unescape(text[1:])
				if err != nil {
					return nil, err
				}
				word.WriteByte(escaped)
				text = rest
				continue
			case quote != 0 && char == quote:
				quote = 0
			case quote == 0 && (char == '"' || char == '\''):
				quote = char
			case quote == 0 && strings.IndexByte(blanks, char) >= 0:
				break scan
			default:
				word.WriteByte(char)
			}
			text = text[1:]
		}
		words = append(words, word.String())
	}
}

// unescape decodes what follows a backslash: \xHH, \cX, up to three octal
// digits, \a \b \E \f \n \r \t \v, and any other character as itself.
func unescape(text string) (char byte, rest string, err error) {
	if text == "" {
		return 0, "", errEscape
	}
	char, rest = text[0], text[1:]
	switch {
	case char == 'x' && rest != "" && hexDigit(rest[0]) >= 0:
		char = 0
		// 2.2.7 takes all hexadecimal digits, later versions two.
		for n := 0; n < 2 && rest != "" && hexDigit(rest[0]) >= 0; n++ {
			char = char<<4 | byte(hexDigit(rest[0]))
			rest = rest[1:]
		}
		return char, rest, nil
	case char == 'c' && rest != "":
		return rest[0] & 0x1f, rest[1:], nil
	case char >= '0' && char <= '7':
		char -= '0'
		for n := 0; n < 2 && rest != "" && rest[0] >= '0' && rest[0] <= '7'; n++ {
			char = char<<3 + rest[0] - '0'
			rest = rest[1:]
		}
		return char, rest, nil
	}
	switch char {
	case 'a':
		char = '\a'
	case 'b':
		char = '\b'
	case 'E':
		char = 0x1b
	case 'f':
		char = '\f'
	case 'n':
		char = '\n'
	case 'r':
		char = '\r'
	case 't':
		char = '\t'
	case 'v':
		char = '\v'
	}
	return char, rest, nil
}

func hexDigit(char byte) int {
	switch {
	case char >= '0' && char <= '9':
		return int(char - '0')
	case char >= 'a' && char <= 'f':
		return int(char-'a') + 10
	case char >= 'A' && char <= 'F':
		return int(char-'A') + 10
	}
	return -1
}

// uncomment removes blanks at both ends and a comment, which begins at a # or
// ! outside double quotes that no backslash precedes; that backslash is
// removed. A backslash at the end of the line stays, as the mark of a
// definition that goes on, even behind a comment (so in 2.2.7).
func uncomment(line string) (text string, unclosed bool) {
	line = strings.TrimLeft(line, " \t")
	if !strings.ContainsAny(line, `!#"\`) {
		return strings.TrimRight(line, " \t"), false
	}
	quoted, continued := false, false
	comment := -1 // length of the text kept before the comment
	var kept strings.Builder
	start := 0 // of what has not been copied to kept
	for i := 0; i < len(line); i++ {
		switch line[i] {
		case '"':
			if comment < 0 {
				quoted = !quoted
			}
		case '\\':
			if i+1 == len(line) {
				continued = true
				line = line[:i]
				continue
			}
			if !quoted && (line[i+1] == '#' || line[i+1] == '!') {
				kept.WriteString(line[start:i])
				start = i + 1
			}
			i++
		case '#', '!':
			if !quoted && comment < 0 {
				comment = kept.Len() + i - start
			}
		}
	}
	text = line
	if kept.Len() > 0 || start > 0 {
		kept.WriteString(line[start:])
		text = kept.String()
	}
	if comment >= 0 {
		text = text[:comment]
	}
	text = strings.TrimRight(text, " \t")
	if continued {
		text += `\`
	}
	return text, quoted
}
