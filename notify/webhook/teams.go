package webhook

import (
	"encoding/json"
	"net/http"
	"strings"

	"hacheck/notify"
)

// teamsText is what fits, as JSON, into Teams' 28 KB a message with all that
// is around it: each line of the text is an object of its own.
const teamsText = 12_000

// teamsLines is how many lines of a text a card takes over.
const teamsLines = 100

// teamsMessage is the body for a workflow of Teams: an adaptive card.
type teamsMessage struct {
	Type        string            `json:"type"`
	Attachments []teamsAttachment `json:"attachments"`
}

type teamsAttachment struct {
	ContentType string    `json:"contentType"`
	Content     teamsCard `json:"content"`
}

type teamsCard struct {
	Schema  string        `json:"$schema"`
	Type    string        `json:"type"`
	Version string        `json:"version"`
	MSTeams teamsWidth    `json:"msteams"`
	Body    []teamsBlock  `json:"body"`
	Actions []teamsAction `json:"actions,omitempty"`
}

type teamsWidth struct {
	Width string `json:"width"`
}

// teamsBlock is a RichTextBlock: unlike those of a TextBlock, its texts are
// shown as they are, without Markdown.
type teamsBlock struct {
	Type    string     `json:"type"`
	Spacing string     `json:"spacing,omitempty"`
	Inlines []teamsRun `json:"inlines"`
}

type teamsRun struct {
	Type     string `json:"type"`
	Text     string `json:"text"`
	Size     string `json:"size,omitempty"`
	Weight   string `json:"weight,omitempty"`
	Color    string `json:"color,omitempty"`
	FontType string `json:"fontType,omitempty"`
}

type teamsAction struct {
	Type  string `json:"type"`
	Title string `json:"title"`
	URL   string `json:"url"`
}

func teamsPosts(t told) ([]post, error) {
	body := []teamsBlock{{Type: "RichTextBlock", Inlines: []teamsRun{{
		Type: "TextRun", Text: cut(t.message.Subject, 300, characters),
		Size: "medium", Weight: "bolder", Color: teamsColor(t.notification.Severity()),
	}}}}
	lines := strings.Split(strings.TrimRight(t.message.Text, "\n"), "\n")
	if len(lines) > teamsLines {
		lines = append(lines[:teamsLines:teamsLines], cutMark)
	}
	for i, line := range lines {
		lines[i] = indented(line)
	}
	gap := "medium"
	for line := range strings.SplitSeq(cut(strings.Join(lines, "\n"), teamsText, jsonOctets), "\n") {
		if line == "" {
			gap = "small"
			continue
		}
		body = append(body, teamsBlock{Type: "RichTextBlock", Spacing: gap, Inlines: []teamsRun{{
			Type: "TextRun", Text: line, FontType: "monospace",
		}}})
		gap = "none"
	}
	card := teamsCard{
		Schema: "http://adaptivecards.io/schemas/adaptive-card.json", Type: "AdaptiveCard", Version: "1.4",
		MSTeams: teamsWidth{Width: "Full"}, Body: body,
	}
	if link := runbook(t.notification); link != "" {
		card.Actions = []teamsAction{{Type: "Action.OpenUrl", Title: "Runbook", URL: link}}
	}
	return onePost(teamsMessage{Type: "message", Attachments: []teamsAttachment{{
		ContentType: "application/vnd.microsoft.card.adaptive", Content: card,
	}}})
}

func teamsColor(level notify.Level) string {
	switch level {
	case notify.Critical:
		return "attention"
	case notify.Warning:
		return "warning"
	default:
		return "good"
	}
}

// teamsAnswer is how the machinery behind a workflow reports an error.
type teamsAnswer struct {
	Error struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

func teamsAnswered(status int, body []byte) answer {
	text := strings.TrimSpace(string(body))
	var got teamsAnswer
	switch {
	case status == http.StatusAccepted, good(status) && text == "1": // a workflow, a connector
		return answer{verdict: accepted}
	case strings.HasPrefix(text, "Webhook message delivery failed"):
		// A connector reports with 200 what the endpoint behind it said.
		return answer{verdict: later, said: text}
	case json.Unmarshal(body, &got) == nil && got.Error.Code != "":
		return answer{said: got.Error.Code + ": " + got.Error.Message}
	}
	return answer{}
}
