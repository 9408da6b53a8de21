package webhook

import (
	"fmt"

	"hacheck/notify"
)

// What fits, as JSON, into the 4 KB that Apple takes for a phone.
const (
	barkTitle = 400
	barkBody  = 2800
)

// barkMessage is the body for a Bark server.
type barkMessage struct {
	DeviceKey string `json:"device_key"`
	Title     string `json:"title"`
	Body      string `json:"body"`
	Level     string `json:"level"`
	Group     string `json:"group"`
	URL       string `json:"url,omitempty"`
}

func barkPosts(t told) ([]post, error) {
	posts, err := onePost(barkMessage{
		DeviceKey: t.token,
		Title:     cut(t.message.Subject, barkTitle, jsonOctets),
		Body:      cut(t.message.Text, barkBody, jsonOctets),
		Level:     barkLevel(t.notification.Severity()),
		Group:     "hacheck",
		URL:       runbook(t.notification),
	})
	if err == nil {
		posts[0].path = "/push"
	}
	return posts, err
}

// barkLevel is how a phone behaves. What is critical breaks through a focus
// mode; it does not sound on a phone that is silent, as Bark's own "critical"
// does: a FAULT on one node is what the other one is there for.
func barkLevel(level notify.Level) string {
	switch level {
	case notify.Critical:
		return "timeSensitive"
	case notify.Warning:
		return "active"
	default:
		return "passive"
	}
}

// barkAnswer is what a Bark server answers; its code is an HTTP status.
type barkAnswer struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

func barkAnswered(_ int, body []byte) answer {
	var got barkAnswer
	if !decode(body, &got) || got.Code == 0 {
		return answer{}
	}
	a := answer{verdict: later, said: fmt.Sprintf("code %d: %s", got.Code, got.Message)}
	switch {
	case got.Code == 200:
		a.verdict = accepted
	case got.Code >= 400 && got.Code <= 499 && !again(got.Code):
		a.verdict = refused
	}
	return a
}
