package webhook

import (
	"fmt"
	"strings"
)

// telegramText is what Telegram takes, in characters.
const telegramText = 4096

// telegramMessage is the body for sendMessage of Telegram's Bot API.
type telegramMessage struct {
	ChatID string `json:"chat_id"`
	Text   string `json:"text"`
	// Entities say how parts of the text are shown. Without a parse_mode no
	// character of the text has a meaning; and within "pre" Telegram does not
	// look for mentions, links and commands.
	Entities []telegramEntity    `json:"entities"`
	Preview  telegramLinkPreview `json:"link_preview_options"`
}

// telegramEntity is a part of the text, counted in units of UTF-16.
type telegramEntity struct {
	Type   string `json:"type"`
	Offset int    `json:"offset"`
	Length int    `json:"length"`
}

type telegramLinkPreview struct {
	Disabled bool `json:"is_disabled"`
}

func telegramPosts(t told) ([]post, error) {
	// In the title Telegram would look for them, so their first characters are
	// replaced by their full-width siblings.
	title := strings.NewReplacer("@", "＠", "#", "＃", "/", "／", "$", "＄").Replace(t.message.Subject)
	title = cut(title, 300, units)
	head := total(title, units) + len("\n\n")
	text := cut(strings.TrimRight(t.message.Text, "\n"), telegramText-head, units)
	message := telegramMessage{
		ChatID:   t.chatID,
		Text:     title + "\n\n" + text,
		Entities: []telegramEntity{{"bold", 0, head - len("\n\n")}, {"pre", head, total(text, units)}},
		Preview:  telegramLinkPreview{Disabled: true},
	}
	posts, err := onePost(message)
	if err == nil {
		posts[0].path = "/bot" + t.token + "/sendMessage"
	}
	return posts, err
}

// telegramAnswer is what the Bot API answers, with the HTTP status of the
// same code.
type telegramAnswer struct {
	OK          *bool  `json:"ok"`
	Code        int    `json:"error_code"`
	Description string `json:"description"`
	Parameters  struct {
		RetryAfter      float64 `json:"retry_after"`
		MigrateToChatID int64   `json:"migrate_to_chat_id"`
	} `json:"parameters"`
}

func telegramAnswered(_ int, body []byte) answer {
	var got telegramAnswer
	if !decode(body, &got) || got.OK == nil {
		return answer{}
	}
	if *got.OK {
		return answer{verdict: accepted}
	}
	a := answer{
		verdict: later,
		said:    fmt.Sprintf("error_code %d: %s", got.Code, got.Description),
		wait:    seconds(got.Parameters.RetryAfter),
	}
	if got.Parameters.MigrateToChatID != 0 {
		a.said = fmt.Sprintf("error_code %d: the group has a new chat_id, %d: %s", got.Code, got.Parameters.MigrateToChatID, got.Description)
	}
	if got.Code >= 400 && got.Code <= 499 && !again(got.Code) {
		a.verdict = refused
	}
	return a
}
