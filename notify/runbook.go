package notify

import "net/url"

// runbookLimit bounds a link, in bytes.
const runbookLimit = 1000

// runbook is the link to the operator's own instructions, fit for text and
// for an attribute: an http or https URL without a password, in ASCII. Whatever
// else stands in its place is left out, and the link is empty.
func (event Event) runbook() string {
	if len(event.RunbookURL) > runbookLimit {
		return ""
	}
	link, err := url.Parse(event.RunbookURL)
	if err != nil || link.Scheme != "http" && link.Scheme != "https" || link.Hostname() == "" || link.User != nil {
		return ""
	}
	text := link.String()
	for i := range len(text) {
		if text[i] <= ' ' || text[i] > '~' {
			return ""
		}
	}
	if len(text) > runbookLimit {
		return ""
	}
	return text
}
