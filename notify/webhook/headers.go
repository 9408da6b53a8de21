package webhook

import (
	"fmt"
	"net/http"
	"strings"
)

// parseHeaders reads the lines of a headers file. Empty lines and lines that
// begin with '#' do not count. The names are in their canonical form. Its errors
// do not repeat a value.
func parseHeaders(text string) (map[string]string, error) {
	headers := make(map[string]string)
	number := 0
	for line := range strings.SplitSeq(text, "\n") {
		number++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, found := strings.Cut(line, ":")
		if !found {
			return nil, fmt.Errorf("line %d: is not of the form Name: value", number)
		}
		if !validName(name) {
			return nil, fmt.Errorf("line %d: does not begin with a header name", number)
		}
		value = strings.TrimSpace(value)
		if err := checkHeader(name, value); err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		canonical := http.CanonicalHeaderKey(name)
		if _, twice := headers[canonical]; twice {
			return nil, fmt.Errorf("line %d: %s stands there a second time", number, canonical)
		}
		headers[canonical] = value
	}
	return headers, nil
}
