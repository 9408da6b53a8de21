package webhook

import (
	"slices"
	"strings"
)

// What Slack takes, in characters: of the text that is shown where blocks are
// not, of a header and of a section.
const (
	slackFallback = 3000
	slackHeader   = 150
	slackSection  = 3000
)

// slackMessage is the body for an incoming webhook.
type slackMessage struct {
	Text   string       `json:"text"`
	Blocks []slackBlock `json:"blocks"`
}

type slackBlock struct {
	Type string    `json:"type"`
	Text slackText `json:"text"`
}

// slackText is a text of Slack's. Of the two types, plain_text has no
// mentions, links and formats.
type slackText struct {
	Type string `json:"type"`
	Text string `json:"text"`
	// Emoji is whether ":name:" is one; for plain_text.
	Emoji *bool `json:"emoji,omitempty"`
	// Verbatim keeps Slack from looking for links and mentions; for mrkdwn.
	Verbatim bool `json:"verbatim,omitempty"`
}

func slackPosts(t told) ([]post, error) {
	section := fenced(t.message.Text, slackSection, slackUnits)
	blocks := []slackBlock{
		{"header", slackText{Type: "plain_text", Text: cut(t.message.Subject, slackHeader, characters), Emoji: new(false)}},
		{"section", slackText{Type: "mrkdwn", Text: slackEscape(section), Verbatim: true}},
	}
	if link := runbook(t.notification); link != "" {
		blocks = append(blocks, slackBlock{"section", slackText{Type: "mrkdwn", Text: "<" + slackEscape(strings.ReplaceAll(link, "|", "%7C")) + ">", Verbatim: true}})
	}
	return onePost(slackMessage{Text: slackEscape(cut(t.message.Subject, slackFallback, slackUnits)), Blocks: blocks})
}

// slackEscape escapes what begins Slack's mentions and links, by its rules.
func slackEscape(text string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(text)
}

// slackUnits counts the characters of a text that slackEscape is yet to see.
func slackUnits(r rune) int {
	switch r {
	case '&':
		return len("&amp;")
	case '<', '>':
		return len("&lt;")
	}
	return units(r)
}

// slackAnswer is what Slack and its imitators answer instead of "ok".
type slackAnswer struct {
	OK      *bool  `json:"ok"`
	Success *bool  `json:"success"` // Rocket.Chat's word for it
	Error   string `json:"error"`
}

func slackAnswered(status int, body []byte) answer {
	if good(status) && strings.TrimSpace(string(body)) == "ok" {
		return answer{verdict: accepted}
	}
	var got slackAnswer
	if !decode(body, &got) {
		return answer{}
	}
	if got.OK == nil {
		got.OK = got.Success
	}
	if got.OK == nil {
		return answer{}
	}
	a := answer{said: "error " + got.Error}
	if good(status) {
		a.verdict = later // of a bad status that decides
	}
	switch {
	case *got.OK:
		a.verdict = accepted
	case slices.Contains([]string{
		"no_service", "no_team", "no_active_hooks", "invalid_token", "invalid_auth", "not_authed", "token_revoked",
		"account_inactive", "team_disabled", "action_prohibited", "posting_to_general_channel_denied",
		"channel_not_found", "channel_is_archived", "is_archived", "user_not_found",
		"invalid_payload", "invalid_blocks", "no_text", "msg_too_long", "too_many_attachments",
	}, got.Error):
		a.verdict = refused
	}
	return a
}
