package webhook

import (
	"fmt"
	"net/http"
	"time"

	"hacheck/notify"
)

// What ntfy takes, in bytes: of a message, beyond which it makes an attachment
// of it, and of a title that phones show.
const (
	ntfyText  = 4096
	ntfyTitle = 250
)

// ntfyMessage is the body ntfy takes at its root.
type ntfyMessage struct {
	Topic    string   `json:"topic"`
	Title    string   `json:"title"`
	Message  string   `json:"message"`
	Priority int      `json:"priority"` // 1 to 5; 3 is what others send with
	Tags     []string `json:"tags"`
	Click    string   `json:"click,omitempty"`
}

func ntfyPosts(t told) ([]post, error) {
	message := ntfyMessage{
		Topic:   t.topic,
		Title:   cut(t.message.Subject, ntfyTitle, octets),
		Message: cut(t.message.Text, ntfyText, octets),
		Click:   runbook(t.notification),
	}
	switch t.notification.Severity() {
	case notify.Critical:
		message.Priority, message.Tags = 5, []string{"rotating_light"}
	case notify.Warning:
		message.Priority, message.Tags = 4, []string{"warning"}
	default:
		message.Priority, message.Tags = 3, []string{"information_source"}
	}
	posts, err := onePost(message)
	if err == nil && t.token != "" {
		posts[0].header = http.Header{"Authorization": {"Bearer " + t.token}}
	}
	return posts, err
}

// ntfyAnswer is the message that was taken, or an error. The first three
// digits of an error's code are the HTTP status.
type ntfyAnswer struct {
	ID    string `json:"id"`
	Event string `json:"event"`
	Code  int    `json:"code"`
	Error string `json:"error"`
}

func ntfyAnswered(status int, body []byte) answer {
	var got ntfyAnswer
	if !decode(body, &got) {
		return answer{}
	}
	a := answer{verdict: later, said: fmt.Sprintf("code %d: %s", got.Code, got.Error)}
	class := got.Code / 100
	switch {
	case got.Code == 0 && good(status) && got.ID != "" && got.Event == "message":
		return answer{verdict: accepted}
	case got.Code == 0:
		return answer{}
	case got.Code == 42901: // too many requests: one is allowed again every 5 s
		a.wait = 10 * time.Second
	case got.Code == 42908: // as many messages as are allowed a day
		a.wait = time.Hour
	case class >= 400 && class <= 499 && !again(class):
		a.verdict = refused
	}
	return a
}
