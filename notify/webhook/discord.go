package webhook

import (
	"fmt"
	"net/url"
	"strings"
)

// discordContent is what Discord takes, in characters.
const discordContent = 2000

// discordNoPreviews is the flag SUPPRESS_EMBEDS.
const discordNoPreviews = 1 << 2

// discordMessage is the body for a webhook of Discord.
type discordMessage struct {
	Content string `json:"content"`
	// Mentions names the kinds of mentions that count: none.
	Mentions discordMentions `json:"allowed_mentions"`
	Flags    int             `json:"flags"`
}

type discordMentions struct {
	Parse []string `json:"parse"`
}

func discordPosts(t told) ([]post, error) {
	title := "**" + discordEscape(cut(t.message.Subject, 300, units)) + "**\n"
	posts, err := onePost(discordMessage{
		Content:  title + fenced(t.message.Text, discordContent-total(title, units), units),
		Mentions: discordMentions{Parse: []string{}},
		Flags:    discordNoPreviews,
	})
	if err == nil {
		// Only then Discord says whether the message was taken.
		posts[0].query = url.Values{"wait": {"true"}}
	}
	return posts, err
}

// discordEscape puts a backslash before all that has a meaning in Discord's
// Markdown.
func discordEscape(text string) string {
	var b strings.Builder
	for _, r := range text {
		if strings.ContainsRune("\\`*_~|<>[]()#-@:", r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// discordAnswer is a message that was taken, or an error.
type discordAnswer struct {
	ID         string  `json:"id"`
	Code       int64   `json:"code"`
	Message    string  `json:"message"`
	RetryAfter float64 `json:"retry_after"` // seconds
}

func discordAnswered(status int, body []byte) answer {
	if status == 204 && len(body) == 0 {
		return answer{verdict: accepted} // what a webhook without wait=true says
	}
	var got discordAnswer
	if !decode(body, &got) {
		return answer{}
	}
	switch {
	case good(status) && got.ID != "":
		return answer{verdict: accepted}
	case got.RetryAfter > 0:
		return answer{verdict: later, said: got.Message, wait: seconds(got.RetryAfter)}
	case got.Message != "":
		return answer{said: fmt.Sprintf("code %d: %s", got.Code, got.Message)}
	}
	return answer{}
}
